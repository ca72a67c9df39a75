import { Client } from "@langchain/langgraph-sdk/client";

import { ask, origin } from "./client";

/**
 * LangGraph's client. TanStack Query tries again, so the client does not. It is a quarter of what the first page may be: import
 * it from pages that are loaded late.
 */
export const langgraph = new Client({ apiUrl: origin, callerOptions: { maxRetries: 0, fetch: ask as typeof fetch } });

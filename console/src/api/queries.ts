import { QueryClient, queryOptions } from "@tanstack/react-query";

import { call } from "./client";
import { passes, Silent, Unreachable } from "./errors";
import { OWN, page } from "./prefix";
import type { AgentSummary, ConsoleConfig, RunFilter, RunPage, Status } from "./types";

/** How often lists ask again while the page is visible, in milliseconds. */
export const POLL_MS = 2000;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // Who has waited in vain for so long is told.
      retry: (failures, error) => passes(error) && !(error instanceof Silent) && failures < 2,
      retryDelay: (failures) => Math.min(500 * 2 ** failures, 5000),
      staleTime: 1000,
      // Also where the browser believes that it is offline: the API may be on this machine.
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

/** Who may come in and how; it needs no token. An API without it asks for nothing until it refuses. */
export const configQuery = queryOptions({
  queryKey: ["config"],
  queryFn: async (): Promise<ConsoleConfig> => {
    const response = await fetch(`${page}/config.json`).catch(() => {
      throw new Unreachable();
    });
    const json = response.headers.get("Content-Type")?.includes("json");
    return response.ok && json ? response.json() : { auth: ["none"], oidc: null, version: "" };
  },
  staleTime: Infinity,
});

export const agentsQuery = queryOptions({
  queryKey: ["agents"],
  queryFn: ({ signal }) => call<AgentSummary[]>("GET", `${OWN}/agents`, undefined, signal),
  refetchInterval: 5 * POLL_MS,
});

export const statusQuery = queryOptions({
  queryKey: ["status"],
  queryFn: ({ signal }) => call<Status>("GET", "/status", undefined, signal),
  refetchInterval: 2 * POLL_MS,
});

export function searchRuns(filter: RunFilter, limit: number, cursor: string | null, signal?: AbortSignal): Promise<RunPage> {
  return call("POST", "/runs/search", { ...filter, limit, ...(cursor && { cursor }) }, signal);
}

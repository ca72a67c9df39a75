import { queryOptions } from "@tanstack/react-query";

import type { JsonSchema } from "../schema/schema";
import { call } from "./client";
import type { JsonObject } from "./types";

export interface Assistant {
  assistant_id: string;
  graph_id: string;
  name: string;
  description: string | null;
  version: number;
  config: JsonObject;
  context: JsonObject;
  metadata: JsonObject;
  created_at: string;
  updated_at: string;
}

export interface Schemas {
  graph_id: string;
  input_schema: JsonSchema | null;
  output_schema: JsonSchema | null;
  state_schema: JsonSchema | null;
  config_schema: JsonSchema | null;
  context_schema: JsonSchema | null;
}

/** So many are listed: people with more of them search by graph. */
export const MOST_ASSISTANTS = 1000;

/** The assistants that the user may see, by graph and name. */
export const assistantsQuery = queryOptions({
  queryKey: ["assistants"],
  queryFn: async ({ signal }) => {
    const found = await call<Assistant[]>("POST", "/assistants/search", { limit: MOST_ASSISTANTS }, signal);
    return found.toSorted((one, other) => one.graph_id.localeCompare(other.graph_id) || one.name.localeCompare(other.name));
  },
});

export function schemasQuery(assistant: string) {
  return queryOptions({
    queryKey: ["schemas", assistant],
    queryFn: ({ signal }) => call<Schemas>("GET", `/assistants/${encodeURIComponent(assistant)}/schemas`, undefined, signal),
    staleTime: 60_000,
  });
}

/** Whether nobody made it: every graph has one. */
export function isDefault(assistant: Assistant): boolean {
  return assistant.metadata.created_by === "system";
}

/** How lists call it. */
export function labelOf({ name, graph_id }: Assistant): string {
  return name === graph_id ? name : `${name} (${graph_id})`;
}

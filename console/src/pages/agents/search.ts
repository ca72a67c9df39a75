/** The graph that is open. */
export interface AgentsSearch {
  graph?: string;
}

export function agentsSearch(raw: Record<string, unknown>): AgentsSearch {
  return typeof raw.graph === "string" && raw.graph !== "" ? { graph: raw.graph } : {};
}

import { queryOptions } from "@tanstack/react-query";

import { call } from "../api/client";

export interface Graph {
  nodes: { id: string; data?: { name?: string } }[];
  edges: { source: string; target: string; conditional?: boolean; data?: string }[];
}

/** How a node is doing in the run that is shown. */
export type NodeState = "waiting" | "running" | "done" | "error";

/** An assistant's graph; with `open` its subgraphs are drawn too, as `subgraph:node`. */
export function graphQuery(assistant: string, open: boolean) {
  return queryOptions({
    queryKey: ["graph", assistant, open],
    queryFn: ({ signal }) =>
      call<Graph>("GET", `/assistants/${encodeURIComponent(assistant)}/graph?xray=${open}`, undefined, signal),
    staleTime: 60_000,
  });
}

/** The nodes that can be named in `interrupt_before` and `interrupt_after`. */
export function stepsOf(graph: Graph): string[] {
  return graph.nodes.map(({ id }) => id).filter((id) => id !== "__start__" && id !== "__end__");
}

import type { ThreadSummary } from "../../api/threads";

/** What a thread's runs were started with last: an assistant's id or a graph's name. */
export function assistantOf({ metadata }: ThreadSummary): string | undefined {
  return [metadata.assistant_id, metadata.graph_id].find((id) => typeof id === "string");
}

/** What the address of the inbox says: an agent, a graph, an owner, and the question that is open. */
export interface InboxSearch {
  agent?: string;
  graph?: string;
  owner?: string;
  thread?: string;
  question?: string;
}

export function inboxSearch(raw: Record<string, unknown>): InboxSearch {
  const search: InboxSearch = {};
  for (const name of ["agent", "graph", "owner", "thread", "question"] as const) {
    const value = raw[name];
    if ((typeof value === "string" || typeof value === "number") && value !== "") search[name] = String(value);
  }
  return search;
}

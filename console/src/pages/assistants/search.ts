/** The assistant that is open, and the graph whose assistants are listed. */
export interface AssistantsSearch {
  assistant?: string;
  graph?: string;
}

export function assistantsSearch(raw: Record<string, unknown>): AssistantsSearch {
  const search: AssistantsSearch = {};
  for (const name of ["assistant", "graph"] as const) {
    const value = raw[name];
    if (typeof value === "string" && value !== "") search[name] = value;
  }
  return search;
}

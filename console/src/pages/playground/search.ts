/** What the address of the playground says: it comes back after a reload. */
export interface PlaygroundSearch {
  assistant?: string;
  thread?: string;
  run?: string;
}

export function playgroundSearch(raw: Record<string, unknown>): PlaygroundSearch {
  const search: PlaygroundSearch = {};
  for (const name of ["assistant", "thread", "run"] as const) {
    const value = raw[name];
    if ((typeof value === "string" || typeof value === "number") && value !== "") search[name] = String(value);
  }
  return search;
}

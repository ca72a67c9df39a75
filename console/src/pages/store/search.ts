/** What is looked for: a namespace, labels joined by dots, and a meaning. */
export interface StoreSearch {
  namespace?: string;
  query?: string;
}

export function storeSearch(raw: Record<string, unknown>): StoreSearch {
  const search: StoreSearch = {};
  for (const name of ["namespace", "query"] as const) {
    const value = raw[name];
    if ((typeof value === "string" || typeof value === "number") && value !== "") search[name] = String(value);
  }
  return search;
}

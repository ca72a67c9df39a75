import { RUN_STATES, type RunState } from "../../api/states";
import type { RunFilter } from "../../api/types";

/** The filters of the list of runs, as its URL has them. `within` is a span in minutes. */
export interface RunsSearch {
  status?: RunState[];
  agent?: string;
  graph?: string;
  assistant?: string;
  thread?: string;
  owner?: string;
  text?: string;
  within?: number;
  /** ISO 8601 times, as an address that is shared needs them. */
  from?: string;
  to?: string;
}

/** What of a URL is a filter; the rest is dropped. */
export function runsSearch(raw: Record<string, unknown>): RunsSearch {
  const search: RunsSearch = {};
  const status = [raw.status].flat().filter((state): state is RunState => RUN_STATES.includes(state as RunState));
  if (status.length) search.status = status;
  for (const name of ["agent", "graph", "assistant", "thread", "owner", "text"] as const) {
    const value = raw[name];
    if ((typeof value === "string" || typeof value === "number") && value !== "") search[name] = String(value);
  }
  for (const name of ["from", "to"] as const) {
    const value = raw[name];
    if (typeof value === "string" && !Number.isNaN(Date.parse(value))) search[name] = new Date(value).toISOString();
  }
  const within = Number(raw.within);
  if (within > 0 && !search.from && !search.to) search.within = within;
  return search;
}

/** The filter that the API is asked with. */
export function filterOf(search: RunsSearch, now: number): RunFilter {
  const { assistant, thread, within, from, to, ...rest } = search;
  return {
    ...rest,
    ...(assistant && { assistant_id: assistant }),
    ...(thread && { thread_id: thread }),
    ...(within && { created_after: new Date(now - within * 60_000).toISOString() }),
    ...(from && { created_after: from }),
    ...(to && { created_before: to }),
  };
}

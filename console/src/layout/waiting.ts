import { queryOptions, useQuery } from "@tanstack/react-query";

import { POLL_MS, searchRuns } from "../api/queries";

/** More than this many are shown as "99+". */
const MOST = 99;

/** Runs that paused, newest first. */
export const waitingQuery = queryOptions({
  queryKey: ["runs", "waiting", "count"],
  queryFn: ({ signal }) => searchRuns({ status: ["interrupted"] }, 200, null, signal),
  refetchInterval: 2 * POLL_MS,
});

/** How many runs wait for a person, as a badge shows it; undefined while that is not known. */
export function useWaiting(): string | undefined {
  const { data } = useQuery({ ...waitingQuery, select: (page) => page.runs.filter((run) => run.waiting).length });
  if (!data) return undefined;
  return data > MOST ? `${MOST}+` : String(data);
}

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";

import { POLL_MS, searchRuns } from "../../api/queries";
import type { RunFilter, RunPage, RunSummary } from "../../api/types";
import { filterOf, type RunsSearch } from "./search";

const PAGE = 50;
/** A bounded search may answer with no rows and a cursor: so often it is continued before the user is asked. */
const ROUNDS = 8;
/** With more pages open than this, they are asked for less often. */
const FEW_PAGES = 3;

interface Place {
  /** Of the first page, so that "the last hour" is the same hour on each page. */
  filter: RunFilter;
  cursor: string | null;
}

export interface Found extends RunPage {
  filter: RunFilter;
}

/** The runs that fit, newest first. They are asked for again while the page is visible. */
export function useRuns(search: RunsSearch, live: boolean) {
  return useInfiniteQuery({
    queryKey: ["runs", "search", search],
    initialPageParam: null as Place | null,
    queryFn: ({ pageParam, signal }) => find(pageParam ?? { filter: filterOf(search, Date.now()), cursor: null }, signal),
    getNextPageParam: ({ filter, next }): Place | undefined => (next === null ? undefined : { filter, cursor: next }),
    refetchInterval: ({ state }) => live && POLL_MS * ((state.data?.pages.length ?? 0) > FEW_PAGES ? 5 : 1),
    placeholderData: keepPreviousData,
  });
}

/** So many runs are chosen at once, in pages as large as the API has. */
export const MOST_CHOSEN = 10_000;
const CHOSEN_PAGE = 200;

/** The runs that fit behind the pages that are there. */
export async function restOf({ filter, next }: Found, most: number): Promise<RunSummary[]> {
  const runs: RunSummary[] = [];
  for (let cursor = next; cursor !== null && runs.length < most; ) {
    const page = await searchRuns(filter, Math.min(CHOSEN_PAGE, most - runs.length), cursor);
    runs.push(...page.runs);
    cursor = page.next;
  }
  return runs;
}

async function find({ filter, cursor }: Place, signal: AbortSignal): Promise<Found> {
  let page = await searchRuns(filter, PAGE, cursor, signal);
  for (let round = 1; page.runs.length === 0 && page.next !== null && round < ROUNDS; round++)
    page = await searchRuns(filter, PAGE, page.next, signal);
  return { ...page, filter };
}

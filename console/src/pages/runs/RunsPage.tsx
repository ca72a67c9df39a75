import "./runs.css";

import { getRouteApi, Link } from "@tanstack/react-router";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";

import type { RunSummary } from "../../api/types";
import { Button } from "../../ui/Button";
import { useNotices } from "../../ui/Notices";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { Chosen } from "./Chosen";
import { Filters } from "./Filters";
import { RunsTable } from "./RunsTable";
import { runsSearch } from "./search";
import { type Found, MOST_CHOSEN, restOf, useRuns } from "./useRuns";

const route = getRouteApi("/runs");

/** The runs of all threads, newest first. */
export function RunsPage() {
  const asked = route.useSearch();
  // The router leaves in what its check has dropped.
  const search = useMemo(() => runsSearch({ ...asked }), [asked]);
  const navigate = route.useNavigate();
  const { failed } = useNotices();
  const [live, setLive] = useState(true);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { data, error, isPending, isPlaceholderData, refetch, ...more } = useRuns(search, live);
  const runs = useMemo(() => unique(data?.pages.flatMap((page) => page.runs) ?? []), [data]);
  const all = useMutation({
    mutationFn: (last: Found) => restOf(last, MOST_CHOSEN - runs.length),
    onSuccess: (rest) => setChosen(new Set([...runs, ...rest].map((run) => run.run_id))),
    onError: failed,
  });
  // What was found for other filters fits these no longer.
  useEffect(() => all.reset(), [search]);
  const last = data?.pages.at(-1);
  const isFiltered = Object.keys(search).length > 0;

  return (
    <Page
      title="Runs"
      beside={
        <Button aria-pressed={live} onClick={() => setLive(!live)}>
          {live ? "Pause" : "Go on"}
        </Button>
      }
    >
      <Filters search={search} onChange={(next) => void navigate({ search: next, replace: true, resetScroll: false })} />
      <Reconnecting shown={error !== null && data !== undefined} />
      {isPending && !error && <Loading what="runs" />}
      {error && !data && <Failed error={error} retry={() => void refetch()} />}
      {data && runs.length === 0 && !more.hasNextPage && (
        <Empty title={isFiltered ? "No run fits these filters." : "No runs yet."}>
          {isFiltered ? (
            <Button onClick={() => void navigate({ search: {} })}>Remove the filters</Button>
          ) : (
            <p>
              Start one in the{" "}
              <Link to="/playground" search={{}}>
                playground
              </Link>
              , or send one to the API.
            </p>
          )}
        </Empty>
      )}
      {runs.length > 0 && (
        <>
          <Chosen
            runs={unique([...(all.data ?? []), ...runs]).filter((run) => chosen.has(run.run_id))}
            onDone={() => {
              setChosen(new Set());
              all.reset();
              void refetch();
            }}
          >
            {last && more.hasNextPage && !all.data && runs.every((run) => chosen.has(run.run_id)) && (
              <Button kind="quiet" disabled={all.isPending} onClick={() => all.mutate(last)}>
                {all.isPending ? "Looking for them…" : "Choose all that fit, older ones too"}
              </Button>
            )}
            {all.data && runs.length + all.data.length >= MOST_CHOSEN && <small>These are the newest that fit.</small>}
          </Chosen>
          <RunsTable runs={runs} chosen={chosen} onChoose={setChosen} busy={isPlaceholderData} />
        </>
      )}
      {more.hasNextPage && (
        <div className="actions">
          <Button disabled={more.isFetchingNextPage} onClick={() => void more.fetchNextPage()}>
            {more.isFetchingNextPage ? "Loading…" : "Older runs"}
          </Button>
        </div>
      )}
    </Page>
  );
}

/** Pages that are asked for one after the other may overlap. */
function unique(runs: RunSummary[]): RunSummary[] {
  return [...new Map(runs.map((run) => [run.run_id, run])).values()];
}

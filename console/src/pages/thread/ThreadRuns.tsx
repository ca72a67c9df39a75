import "../runs/runs.css";

import { useState } from "react";

import { Chosen } from "../runs/Chosen";
import { RunsTable } from "../runs/RunsTable";
import { useRuns } from "../runs/useRuns";
import { Button } from "../../ui/Button";
import { Empty } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";

/** The runs of one thread. */
export function ThreadRuns({ threadId }: { threadId: string }) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { data, error, refetch, hasNextPage, fetchNextPage } = useRuns({ thread: threadId }, true);
  if (!data) return error ? <Failed error={error} retry={() => void refetch()} /> : <Loading what="runs" />;
  const runs = data.pages.flatMap((page) => page.runs);
  if (runs.length === 0 && !hasNextPage) return <Empty title="No run has worked on this thread." />;
  return (
    <>
      <Chosen runs={runs.filter((run) => chosen.has(run.run_id))} onDone={() => setChosen(new Set())} />
      <RunsTable runs={runs} chosen={chosen} onChoose={setChosen} />
      {hasNextPage && <Button onClick={() => void fetchNextPage()}>Older runs</Button>}
    </>
  );
}

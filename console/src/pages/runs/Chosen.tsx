import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";

import { cancelRun, canRetry, retryRun } from "../../api/runs";
import { isActive } from "../../api/states";
import type { RunSummary } from "../../api/types";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useNotices } from "../../ui/Notices";

interface Props {
  runs: RunSummary[];
  onDone: () => void;
  /** How to choose more. */
  children?: ReactNode;
}

/** What can be done with the runs that are chosen. */
export function Chosen({ runs, onDone, children }: Props) {
  const { done, failed } = useNotices();
  const [asking, setAsking] = useState<"cancel" | "retry">();
  const active = runs.filter((run) => isActive(run.state));
  const ended = runs.filter((run) => canRetry(run.state));
  const each = useMutation({
    mutationFn: ({ runs, what }: { runs: RunSummary[]; what: (run: RunSummary) => Promise<unknown>; said: string }) =>
      fewAtOnce(runs, what),
    onSuccess: (results, { said }) => {
      const refused = results.filter((result) => result.status === "rejected");
      if (refused.length < results.length) done(`${said} ${runsIn(results.length - refused.length)}.`);
      // One sentence: what one was refused for, the others were mostly refused for too.
      if (refused[0]) failed(new Error(`${runsIn(refused.length)} refused: ${String(refused[0].reason?.message)}`));
      onDone();
    },
  });
  const retry = () => each.mutate({ runs: ended, what: retryRun, said: "Retried" });
  if (runs.length === 0) return <p className="hint">Choose runs to cancel or retry several at once.</p>;
  return (
    <div className="actions" role="group" aria-label="The chosen runs">
      <span role="status">{runsIn(runs.length)} chosen</span>
      {children}
      <Button kind="danger" disabled={!active.length || each.isPending} onClick={() => setAsking("cancel")}>
        Cancel {active.length}
      </Button>
      <Button
        disabled={!ended.length || each.isPending}
        onClick={() => (ended.length > FEW ? setAsking("retry") : retry())}
      >
        Retry {ended.length}
      </Button>
      <Confirm
        title={`Cancel ${runsIn(active.length)}?`}
        open={asking === "cancel"}
        does={`Cancel ${runsIn(active.length)}`}
        onConfirm={() => each.mutate({ runs: active, what: cancelRun, said: "Cancelled" })}
        onClose={() => setAsking(undefined)}
      >
        What they have done so far stays.
      </Confirm>
      <Confirm
        title={`Retry ${runsIn(ended.length)}?`}
        open={asking === "retry"}
        does={`Retry ${runsIn(ended.length)}`}
        onConfirm={retry}
        onClose={() => setAsking(undefined)}
      >
        Each goes on from its last checkpoint, as a new run.
      </Confirm>
    </div>
  );
}

const AT_ONCE = 4;
/** More than a person has looked at are not retried by one click. */
const FEW = 20;

/** Of a hundred at once the API would refuse most. */
async function fewAtOnce(runs: RunSummary[], what: (run: RunSummary) => Promise<unknown>) {
  const results: PromiseSettledResult<unknown>[] = [];
  for (let next = 0; next < runs.length; next += AT_ONCE)
    results.push(...(await Promise.allSettled(runs.slice(next, next + AT_ONCE).map(what))));
  return results;
}

function runsIn(count: number): string {
  return count === 1 ? "1 run" : `${count.toLocaleString()} runs`;
}

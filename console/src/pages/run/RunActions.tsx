import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { cancelRun, canRetry, retryRun, rollBackRun, type Run, runAgain, stateOf } from "../../api/runs";
import { isActive } from "../../api/states";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useNotices } from "../../ui/Notices";
import { CopyAs } from "./CopyAs";
import { refreshRun, useSteps } from "./useRun";

export function RunActions({ run }: { run: Run }) {
  const [asking, setAsking] = useState<"cancel" | "rollback" | null>(null);
  const [copying, setCopying] = useState(false);
  const { done, failed } = useNotices();
  const navigate = useNavigate();
  const { thread_id: threadId, run_id: runId } = run;
  const state = stateOf(run);

  const cancel = useMutation({
    mutationFn: () => cancelRun(run),
    onSuccess: () => done("Cancelling."),
    onError: failed,
    onSettled: () => refreshRun(threadId, runId),
  });
  const rollBack = useMutation({
    mutationFn: () => rollBackRun(run),
    onSuccess: () => {
      done("Rolled back: the thread is as it was before.");
      void navigate({ to: "/threads/$threadId", params: { threadId } });
    },
    onError: failed,
  });
  const start = useMutation({
    mutationFn: (how: (run: Run) => Promise<Run>) => how(run),
    onSuccess: (next) => navigate({ to: "/runs/$threadId/$runId", params: { threadId, runId: next.run_id } }),
    onError: failed,
  });

  return (
    <div className="actions">
      {state === "interrupted" && <AnswerLink run={run} />}
      {isActive(state) && (
        <>
          <Button kind="danger" disabled={cancel.isPending} onClick={() => setAsking("cancel")}>
            Cancel
          </Button>
          <Button disabled={rollBack.isPending} onClick={() => setAsking("rollback")}>
            Roll back
          </Button>
        </>
      )}
      {canRetry(state) && (
        <Button kind="primary" disabled={start.isPending} onClick={() => start.mutate(retryRun)}>
          Retry
        </Button>
      )}
      {!isActive(state) && (
        <Button disabled={start.isPending} onClick={() => start.mutate(runAgain)}>
          Run again
        </Button>
      )}
      <Button onClick={() => setCopying(true)}>Copy as…</Button>
      <Confirm
        title={asking === "rollback" ? "Roll this run back?" : "Cancel this run?"}
        open={asking !== null}
        does={asking === "rollback" ? "Roll back" : "Cancel the run"}
        onConfirm={() => (asking === "rollback" ? rollBack : cancel).mutate()}
        onClose={() => setAsking(null)}
      >
        {asking === "rollback" ? "What it wrote is undone, and the run is deleted." : "What it has done so far stays."}
      </Confirm>
      <CopyAs run={run} open={copying} onClose={() => setCopying(false)} />
    </div>
  );
}

/** The way to its question, as long as that is open. */
function AnswerLink({ run }: { run: Run }) {
  const last = useSteps(run).data?.at(-1);
  if (!last || last.next.length === 0) return null;
  const question = last.tasks.flatMap((task) => task.interrupts)[0]?.id;
  return (
    <Link
      to="/inbox"
      search={{ thread: run.thread_id, ...(question && { question }) }}
      className="button button-primary"
    >
      Answer
    </Link>
  );
}

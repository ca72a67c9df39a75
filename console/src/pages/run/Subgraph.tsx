import { useQuery } from "@tanstack/react-query";

import { searchSteps, type Step } from "../../api/history";
import type { Run } from "../../api/runs";
import { Details } from "../../ui/Details";
import { JsonView } from "../../ui/JsonView";
import { Failed, Loading } from "../../ui/states";
import { duration } from "../../ui/Time";

const MOST = 200;

/** The steps inside a node that is a graph of its own; those of its nodes open likewise. */
export function Subgraph({ run, namespace }: { run: Run; namespace: string }) {
  const steps = useQuery({
    queryKey: ["run", run.thread_id, run.run_id, "subgraph", namespace, run.finished_at],
    queryFn: ({ signal }) => searchSteps(run.thread_id, { limit: MOST, namespace }, signal),
  });
  if (steps.error) return <Failed error={steps.error} retry={() => void steps.refetch()} />;
  if (!steps.data) return <Loading what="its steps" />;
  const oldestFirst = steps.data.toReversed();
  const rows = oldestFirst.flatMap((step, index) =>
    step.tasks.filter(({ name }) => name !== "__start__").map((task) => ({ step, task, next: oldestFirst[index + 1] })),
  );
  if (rows.length === 0) return <p className="hint">It keeps no steps of its own.</p>;
  return (
    <ol className="subgraph">
      {rows.map(({ step, task, next }) => (
        <li key={`${step.checkpoint.checkpoint_id}/${task.id}`}>
          <Details summary={`${task.name ?? "?"}${took(step, next)}${task.error ? " · failed" : ""}`}>
            {task.error && <pre tabIndex={0}>{task.error}</pre>}
            {task.interrupts.length > 0 && <JsonView label="Questions" value={task.interrupts} />}
            <JsonView label={`Output of ${task.name}`} value={task.result ?? null} />
            {task.checkpoint?.checkpoint_ns && <Subgraph run={run} namespace={task.checkpoint.checkpoint_ns} />}
          </Details>
        </li>
      ))}
    </ol>
  );
}

function took(step: Step, next: Step | undefined): string {
  return next ? ` · ${duration(Date.parse(next.created_at) - Date.parse(step.created_at))}` : "";
}

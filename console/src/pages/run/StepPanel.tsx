import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import type { RunEvent } from "../../api/events";
import { getState } from "../../api/history";
import type { Run } from "../../api/runs";
import { Button } from "../../ui/Button";
import { Difference } from "../../ui/Difference";
import { JsonView } from "../../ui/JsonView";
import { Alert, Failed, Loading } from "../../ui/states";
import { Tabs } from "../../ui/Tabs";
import { Fork } from "../thread/Fork";
import { Subgraph } from "./Subgraph";
import { inputOf, tokensOf } from "./tasks";
import type { Row } from "./timeline";

interface Props {
  run: Run;
  row: Row;
  step: NonNullable<Row["step"]>;
  events: RunEvent[];
  onClose: () => void;
}

/** One step: what went in, what came out, and what that made of the state. */
export function StepPanel({ run, row, step: { before, task, after }, events, onClose }: Props) {
  const [forking, setForking] = useState(false);
  const at = before.checkpoint;
  const then = after?.checkpoint;
  const states = useQuery({
    queryKey: ["states", at.checkpoint_id, then?.checkpoint_id],
    queryFn: async ({ signal }) => {
      const both = [getState(run.thread_id, at, signal), then && getState(run.thread_id, then, signal)] as const;
      const [one, other] = await Promise.all(both);
      return { before: one.values, after: other?.values };
    },
    staleTime: Infinity,
  });
  const panel = useRef<HTMLElement>(null);
  // Below a long timeline it would open out of sight.
  useEffect(() => {
    panel.current?.scrollIntoView({ block: "nearest" });
  }, [states.data]);
  const tokens = tokensOf(task.result);
  const namespace = task.checkpoint?.checkpoint_ns;
  return (
    <section ref={panel} className="card step" aria-label={`Step ${row.label}`}>
      <div className="page-head">
        <h2>{row.label}</h2>
        <small>{row.about}</small>
        {tokens && (
          <small>
            {tokens.input} tokens in, {tokens.output} out
          </small>
        )}
        <div className="actions">
          <Button onClick={() => setForking(true)}>Fork from here</Button>
          <Button kind="quiet" onClick={onClose}>
            Close
          </Button>
        </div>
      </div>
      {task.error && (
        <Alert>
          <pre tabIndex={0}>{task.error}</pre>
        </Alert>
      )}
      {states.error && <Failed error={states.error} retry={() => void states.refetch()} />}
      {states.isPending && !states.error && <Loading what="the state" />}
      {states.data && (
        <Tabs
          label={`Step ${row.label}`}
          tabs={[
            { name: "Input", content: <JsonView label="Input" value={inputOf(events, task.id) ?? states.data.before} /> },
            { name: "Output", content: <Output result={task.result} interrupts={task.interrupts} /> },
            {
              name: "Difference",
              content: states.data.after ? (
                <Difference before={states.data.before} after={states.data.after} />
              ) : (
                <p className="hint">It has left no state yet.</p>
              ),
            },
            { name: "State", content: <JsonView label="State before" value={states.data.before} /> },
            ...(namespace ? [{ name: "Subgraph", content: <Subgraph run={run} namespace={namespace} /> }] : []),
          ]}
        />
      )}
      {forking && <Fork threadId={run.thread_id} step={before} run={run} onClose={() => setForking(false)} />}
    </section>
  );
}

function Output({ result, interrupts }: { result: unknown; interrupts: { id: string; value: unknown }[] }) {
  if (interrupts.length > 0) return <JsonView label="Questions" value={interrupts} />;
  if (result === null || result === undefined) return <p className="hint">Nothing yet.</p>;
  return <JsonView label="Output" value={result} />;
}

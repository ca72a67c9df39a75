import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { getState, type Step } from "../../api/history";
import type { Thread } from "../../api/threads";
import { Button } from "../../ui/Button";
import { Difference } from "../../ui/Difference";
import { JsonView } from "../../ui/JsonView";
import { ShortId } from "../../ui/ShortId";
import { Failed, Loading } from "../../ui/states";
import { Tabs } from "../../ui/Tabs";
import { assistantOf } from "./assistant";
import { Fork } from "./Fork";

interface Props {
  thread: Thread;
  step: Step;
  onClose: () => void;
}

/** The state at one checkpoint, what changed with it, and a way to go on from it in another way. */
export function CheckpointPanel({ thread, step, onClose }: Props) {
  const [forking, setForking] = useState(false);
  const { thread_id: threadId } = thread;
  const { checkpoint, parent_checkpoint: parent } = step;
  const states = useQuery({
    queryKey: ["states", parent?.checkpoint_id, checkpoint.checkpoint_id],
    queryFn: async ({ signal }) => {
      const both = [getState(threadId, checkpoint, signal), parent && getState(threadId, parent, signal)] as const;
      const [now, before] = await Promise.all(both);
      return { now: now.values, before: before?.values ?? {} };
    },
    staleTime: Infinity,
  });
  const runId = step.metadata.run_id;
  return (
    <section className="card step" aria-label="Checkpoint">
      <div className="page-head">
        <h2>Checkpoint</h2>
        <ShortId id={checkpoint.checkpoint_id} />
        {runId && (
          <Link to="/runs/$threadId/$runId" params={{ threadId, runId }}>
            Its run
          </Link>
        )}
        <div className="actions">
          <Button onClick={() => setForking(true)}>Fork from here</Button>
          <Button kind="quiet" onClick={onClose}>
            Close
          </Button>
        </div>
      </div>
      {states.error && <Failed error={states.error} retry={() => void states.refetch()} />}
      {states.isPending && !states.error && <Loading what="the state" />}
      {states.data && (
        <Tabs
          label="Checkpoint"
          tabs={[
            { name: "What changed", content: <Difference before={states.data.before} after={states.data.now} /> },
            { name: "State then", content: <JsonView label="State then" value={states.data.now} /> },
          ]}
        />
      )}
      {forking && <Fork threadId={threadId} step={step} assistant={assistantOf(thread)} onClose={() => setForking(false)} />}
    </section>
  );
}

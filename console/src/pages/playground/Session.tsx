import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import type { Assistant } from "../../api/assistants";
import { call } from "../../api/client";
import { useRunEvents } from "../../api/events";
import { getState } from "../../api/history";
import { cancelRun, startRun } from "../../api/runs";
import type { JsonObject } from "../../api/types";
import { LazyGraph } from "../../graph/LazyGraph";
import type { NodeState } from "../../graph/graph";
import { Button } from "../../ui/Button";
import { useNotices } from "../../ui/Notices";
import { Alert, Failed, Reconnecting } from "../../ui/states";
import type { Pauses } from "./Breakpoints";
import { Output } from "./Output";
import { PausePanel } from "./PausePanel";
import { progressOf } from "./progress";
import { StartForm } from "./StartForm";

interface Props {
  assistant: Assistant;
  threadId: string | undefined;
  runId: string | undefined;
  onGoTo: (threadId: string | undefined, runId?: string) => void;
}

const NONE: ReadonlyMap<string, NodeState> = new Map();

/** One thread with one assistant: its runs, one after the other. */
export function Session({ assistant, threadId, runId, onGoTo }: Props) {
  const { failed } = useNotices();
  const [pauses, setPauses] = useState<Pauses>({ before: [], after: [] });
  const [before, setBefore] = useState(NONE);
  const { events, connection, error } = useRunEvents(threadId ?? "", runId);
  const progress = useMemo(() => progressOf(events, before), [events, before]);
  const ended = runId !== undefined && connection === "ended";
  const state = useQuery({
    queryKey: ["playground", "state", threadId, runId],
    queryFn: ({ signal }) => getState(threadId ?? "", undefined, signal),
    enabled: threadId !== undefined && (ended || runId === undefined),
  });

  const edited = state.data?.metadata.source === "update";

  const start = useMutation({
    mutationFn: async (body: JsonObject) => {
      const thread = threadId ?? (await call<{ thread_id: string }>("POST", "/threads", {})).thread_id;
      const run = await startRun(thread, {
        ...body,
        assistant_id: assistant.assistant_id,
        stream_mode: ["tasks", "values", "messages-tuple"],
        stream_subgraphs: true,
        // LangGraph would pause once more where the state was edited since.
        interrupt_before: edited ? pauses.before.filter((node) => !state.data?.next.includes(node)) : pauses.before,
        interrupt_after: pauses.after,
      });
      return { thread, run: run.run_id };
    },
    onSuccess: ({ thread, run }) => onGoTo(thread, run),
    onError: failed,
  });
  const runs = runId !== undefined && !ended;
  const busy = start.isPending || runs;
  const isPaused = ended && state.data !== undefined && state.data.next.length > 0 && progress.error === null;
  const states = useMemo(() => {
    if (!isPaused) return progress.states;
    return new Map([...progress.states, ...(state.data?.next.map((node) => [node, "waiting"] as const) ?? [])]);
  }, [progress.states, isPaused, state.data]);
  const values = state.data && !runs ? state.data.values : progress.values;

  const statusOf = () => {
    if (runs) return "Running…";
    if (!ended || !state.data) return "";
    if (isPaused) return "Paused.";
    return progress.error === null ? "Finished." : "Failed.";
  };

  return (
    <div className="playground">
      <div className="playground-side">
        {isPaused && state.data ? (
          <PausePanel
            threadId={threadId ?? ""}
            state={state.data}
            assistant={assistant.assistant_id}
            last={progress.last}
            busy={busy}
            onGoOn={(command) => {
              setBefore(progress.states);
              start.mutate({ input: null, ...(command && { command }) });
            }}
            onEdited={() => state.refetch()}
          />
        ) : (
          <section className="card" aria-label="Input">
            <StartForm
              assistant={assistant.assistant_id}
              busy={busy}
              pauses={pauses}
              onPauses={setPauses}
              onStart={(input, context) => {
                setBefore(NONE);
                start.mutate({ input, ...(context && { context }) });
              }}
            />
          </section>
        )}
        {threadId && (
          <div className="actions">
            {runs && runId && (
              <Button kind="danger" onClick={() => void cancelRun({ thread_id: threadId, run_id: runId }).catch(failed)}>
                Stop
              </Button>
            )}
            <Button
              disabled={busy}
              onClick={() => {
                setBefore(NONE);
                onGoTo(undefined);
              }}
            >
              New thread
            </Button>
            <Link to="/threads/$threadId" params={{ threadId }}>
              Open the thread
            </Link>
            {runId && (
              <Link to="/runs/$threadId/$runId" params={{ threadId, runId }}>
                Open the run
              </Link>
            )}
          </div>
        )}
      </div>
      <div className="playground-main">
        <Reconnecting shown={connection === "reconnecting"} />
        <p className="hint" role="status">
          {statusOf()}
        </p>
        {Boolean(error) && <Failed error={error} />}
        {progress.error !== null && <Alert>{progress.error}</Alert>}
        <LazyGraph assistant={assistant.assistant_id} states={states} />
        <Output values={values} events={runs ? events : []} />
      </div>
    </div>
  );
}

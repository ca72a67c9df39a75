import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { editState, getState, type Step, type ThreadState } from "../../api/history";
import { queryClient } from "../../api/queries";
import { requestOf, type Run, startRun } from "../../api/runs";
import type { Json, JsonObject } from "../../api/types";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { TextArea, TextField } from "../../ui/fields";
import { Failed, Loading } from "../../ui/states";

interface Props {
  threadId: string;
  /** Where to fork. */
  step: Step;
  /** Whose assistant and configuration the new run has; without it, `assistant`. */
  run?: Run;
  assistant?: string | undefined;
  onClose: () => void;
}

/** Go on from a checkpoint in another way: edit its state, and run from there. */
export function Fork({ threadId, step, run, assistant, onClose }: Props) {
  const state = useQuery({
    queryKey: ["states", "fork", step.checkpoint.checkpoint_id],
    queryFn: async ({ signal }) => {
      const { checkpoint, parent_checkpoint: parent } = step;
      const both = [getState(threadId, checkpoint, signal), parent && getState(threadId, parent, signal)] as const;
      const [at, before] = await Promise.all(both);
      return { values: at.values, writers: writersOf(before) };
    },
    staleTime: Infinity,
  });
  return (
    <Dialog title="Edit the state and go on" open onClose={onClose}>
      {state.error && <Failed error={state.error} retry={() => void state.refetch()} />}
      {state.isPending && <Loading what="the state" />}
      {state.data && (
        <Editor threadId={threadId} step={step} run={run} assistant={assistant} onClose={onClose} {...state.data} />
      )}
    </Dialog>
  );
}

/** The nodes that wrote a state: those that ran from the one before. What comes next depends on them. */
function writersOf(before: ThreadState | null): string[] {
  const names = before?.tasks.flatMap(({ name }) => (name === null || name === "__start__" ? [] : [name]));
  return [...new Set(names)];
}

interface EditorProps extends Omit<Props, "run"> {
  run: Run | undefined;
  values: JsonObject | Json[];
  writers: string[];
}

function Editor({ threadId, step, run, assistant, values, writers, onClose }: EditorProps) {
  const [text, setText] = useState(() => JSON.stringify(values, null, 2));
  const [node, setNode] = useState(writers.length === 1 ? writers[0]! : "");
  const navigate = useNavigate();
  const edited = parse(text);
  const changes = "error" in edited ? null : changesIn(values, edited.value);

  const fork = useMutation({
    mutationFn: async ({ runs }: { runs: boolean }) => {
      let { checkpoint } = step;
      if (changes !== null) {
        const as_node = node.trim();
        ({ checkpoint } = await editState(threadId, { values: changes, checkpoint, ...(as_node && { as_node }) }));
      }
      if (!runs) return null;
      const request = run ? requestOf(run) : { assistant_id: assistant };
      return startRun(threadId, { ...request, input: null, checkpoint });
    },
    onSuccess: async (started) => {
      await queryClient.invalidateQueries({ queryKey: ["thread", threadId] });
      onClose();
      if (started) {
        const params = { threadId, runId: started.run_id };
        await navigate({ to: "/runs/$threadId/$runId", params });
      }
    },
  });

  return (
    <>
      <p className="hint">
        Edit the state, or leave it. What you change is written as a node writes it: lists that nodes add to are added to.
        The thread goes on from there; what came after stays in its history.
      </p>
      <TextArea
        label="State"
        mono
        rows={16}
        value={text}
        onChange={setText}
        error={"error" in edited ? edited.error : undefined}
      />
      <TextField label="As node" value={node} onChange={setNode} hint={hintOf(writers)} />
      {fork.error && <Failed error={fork.error} />}
      <div className="actions">
        <Button kind="primary" disabled={"error" in edited || fork.isPending} onClick={() => fork.mutate({ runs: true })}>
          Fork and run
        </Button>
        <Button disabled={changes === null || fork.isPending} onClick={() => fork.mutate({ runs: false })}>
          Only write the state
        </Button>
        <Button kind="quiet" onClick={onClose}>
          Go back
        </Button>
      </div>
    </>
  );
}

function hintOf(writers: string[]): string {
  const several = writers.length > 1 ? ` ${writers.join(" and ")} wrote this state.` : "";
  return `What comes next is what follows this node.${several} Empty: as LangGraph finds.`;
}

function parse(text: string): { value: Json } | { error: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: `This is not JSON: ${(error as Error).message}` };
  }
}

/** The members that were edited; null where none was. */
function changesIn(before: JsonObject | Json[], after: Json): Json {
  const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
  if (same(before, after)) return null;
  if (Array.isArray(before) || Array.isArray(after) || after === null || typeof after !== "object") return after;
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => !same(before[name], value)));
}

import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { editState, type ThreadState } from "../../api/history";
import type { Json, JsonObject } from "../../api/types";
import { graphQuery, stepsOf } from "../../graph/graph";
import { AnswerForm } from "../../questions/AnswerForm";
import { isComplete, JsonArea } from "../../schema/JsonArea";
import { isObject, type JsonSchema } from "../../schema/schema";
import { Button } from "../../ui/Button";
import { Choice } from "../../ui/fields";
import { useNotices } from "../../ui/Notices";

interface Question {
  id: string;
  value: Json;
  response_schema?: JsonSchema | null;
}

interface Props {
  threadId: string;
  state: ThreadState;
  assistant: string;
  /** The node that finished last: an edit is written as if it had returned it. */
  last: string | null;
  busy: boolean;
  /** Go on; with a command where a question was answered. */
  onGoOn: (command?: JsonObject) => void;
  onEdited: () => Promise<unknown>;
}

/** A run that paused: answer its questions, edit the state, go on. */
export function PausePanel({ threadId, state, assistant, last, busy, onGoOn, onEdited }: Props) {
  const questions: Question[] = state.tasks.flatMap((task) => task.interrupts);
  return (
    <section className="card pause" aria-label="Pause">
      <h2>Paused {questions.length > 0 ? "in" : "before"} {state.next.join(", ")}</h2>
      {questions.map(({ id, value, response_schema }) => (
        <div key={id}>
          {typeof value === "string" && <p>{value}</p>}
          <AnswerForm
            question={value}
            schema={response_schema ?? null}
            busy={busy}
            onSend={(answer) => onGoOn({ resume: { [id]: answer } })}
          />
        </div>
      ))}
      {questions.length === 0 && (
        <div className="actions">
          <Button kind="primary" disabled={busy} onClick={() => onGoOn()}>
            Go on
          </Button>
        </div>
      )}
      <details>
        <summary>Edit the state</summary>
        <EditState
          key={state.checkpoint.checkpoint_id}
          values={state.values}
          {...{ threadId, assistant, last, onEdited }}
        />
      </details>
    </section>
  );
}

interface EditProps extends Pick<Props, "threadId" | "assistant" | "last" | "onEdited"> {
  values: Json;
}

/** Sends only what was changed: reducers would add the rest once more. */
function EditState({ threadId, assistant, last, values, onEdited }: EditProps) {
  const { done, failed } = useNotices();
  const [draft, setDraft] = useState<Json | undefined>(values);
  const [node, setNode] = useState(last ?? "");
  const steps = useQuery({ ...graphQuery(assistant, false), select: stepsOf }).data ?? [];
  const nodes = [{ value: "", name: "The one that LangGraph finds" }, ...steps.map((step) => ({ value: step, name: step }))];
  const changed = changesOf(values, draft);
  const save = useMutation({
    mutationFn: (values: Json) => editState(threadId, { values, ...(node && { as_node: node }) }),
    onSuccess: async () => {
      await onEdited();
      done("The state is changed.");
    },
    onError: failed,
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (changed !== undefined && isComplete(event.currentTarget)) save.mutate(changed);
  };
  return (
    <form className="start" onSubmit={submit}>
      <JsonArea
        label="State"
        rows={12}
        value={draft}
        onChange={setDraft}
        hint="What you change is written through the reducers of the state."
      />
      <Choice label="As if returned by the node" value={node} options={nodes} onChange={setNode} />
      <div className="actions">
        <Button type="submit" disabled={changed === undefined || save.isPending}>
          Change the state
        </Button>
      </div>
    </form>
  );
}

function changesOf(before: Json, after: Json | undefined): Json | undefined {
  if (after === undefined || JSON.stringify(before) === JSON.stringify(after)) return undefined;
  if (!isObject(before) || !isObject(after)) return after;
  const changed = Object.entries(after).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
  return changed.length > 0 ? Object.fromEntries(changed) : undefined;
}

import { type FormEvent, useEffect, useMemo, useRef, useState } from "react";

import type { Json } from "../api/types";
import { isComplete } from "../schema/JsonArea";
import { isObject, schemaOf } from "../schema/schema";
import { ValueEditor } from "../schema/ValueEditor";
import { Button } from "../ui/Button";
import { TextArea } from "../ui/fields";
import { Markdown } from "../ui/Markdown";
import { useKeys } from "../ui/useKeys";
import type { Action, Decided, Decision, Shape } from "./shapes";

interface Props {
  shape: Extract<Shape, { kind: "actions" }>;
  busy: boolean;
  onSend: (answer: Json) => void;
}

/** Decides on one action, or on several at once. */
export function ActionsForm({ shape, busy, onSend }: Props) {
  const { actions, words, answer } = shape;
  const form = useRef<HTMLFormElement>(null);
  const [drafts, setDrafts] = useState<Partial<Decided>[]>(actions.map(() => ({})));
  const [keyed, setKeyed] = useState<number | null>(null);
  const decided = drafts.every((draft) => draft.decision !== undefined);

  const change = (index: number, part: Partial<Decided>) =>
    setDrafts(drafts.map((draft, at) => (at === index ? { ...draft, ...part } : draft)));
  /** By a key: of the action that has the focus, else of the first that is not decided. */
  const decide = (...wanted: Decision[]) => {
    const focused = Number(document.activeElement?.closest<HTMLElement>("[data-action]")?.dataset.action ?? -1);
    const open = drafts.findIndex((draft) => draft.decision === undefined);
    const index = focused >= 0 ? focused : Math.max(open, 0);
    const decision = wanted.find((one) => actions[index]?.allowed.includes(one));
    if (!decision) return;
    change(index, { decision });
    setKeyed(index);
  };
  useKeys({
    a: () => decide("approve"),
    e: () => decide("edit"),
    r: () => decide("reject", "respond"),
    w: () => decide("respond"),
    i: () => decide("ignore"),
  });
  useEffect(() => {
    // What a key opened comes next: its field, else the button that sends.
    if (keyed === null) return;
    const field = form.current?.querySelector<HTMLElement>(`[data-action="${keyed}"] .decision :is(input, textarea)`);
    (field ?? form.current?.querySelector<HTMLElement>("button[type=submit]:not([data-disabled])"))?.focus();
    setKeyed(null);
  }, [keyed]);

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (!decided || busy || !isComplete(event.currentTarget)) return;
    const complete = (draft: Partial<Decided>, index: number): Decided => ({
      decision: draft.decision ?? "reject",
      args: draft.args ?? actions[index]?.args ?? {},
      message: draft.message ?? "",
    });
    onSend(answer(drafts.map(complete)));
  };
  return (
    <form className="answer" ref={form} onSubmit={submit}>
      {actions.map((action, index) => (
        <ActionFields
          key={index}
          action={action}
          index={index}
          words={words}
          draft={drafts[index] ?? {}}
          onChange={(part) => change(index, part)}
        />
      ))}
      <div className="actions">
        <Button type="submit" kind="primary" disabled={!decided || busy}>
          Send {actions.length === 1 ? "the answer" : "all answers"}
        </Button>
        {actions.length > 1 && actions.every(({ allowed }) => allowed.includes("approve")) && (
          <Button onClick={() => setDrafts(drafts.map((draft) => ({ ...draft, decision: "approve" })))}>
            {words.approve} all
          </Button>
        )}
      </div>
    </form>
  );
}

interface FieldsProps {
  action: Action;
  index: number;
  words: Record<Decision, string>;
  draft: Partial<Decided>;
  onChange: (part: Partial<Decided>) => void;
}

function ActionFields({ action, index, words, draft, onChange }: FieldsProps) {
  const schema = useMemo(() => action.schema ?? schemaOf(action.args), [action]);
  const { decision } = draft;
  return (
    <fieldset className="action" data-action={index}>
      <legend>{action.name}</legend>
      {action.description && action.markdown && <Markdown text={action.description} />}
      {action.description && !action.markdown && <p className="description">{action.description}</p>}
      {decision !== "edit" && <Arguments args={action.args} />}
      <div className="decisions">
        {action.allowed.map((one) => (
          <label key={one}>
            <input
              type="radio"
              name={`decision-${index}`}
              checked={decision === one}
              onChange={() => onChange({ decision: one })}
            />
            {words[one]}
          </label>
        ))}
      </div>
      <div className="decision">
        {decision === "edit" && (
          <ValueEditor
            label="Arguments"
            schema={schema}
            value={draft.args ?? action.args}
            onChange={(args) => onChange({ args: args ?? {} })}
          />
        )}
        {(decision === "reject" || decision === "respond") && (
          <TextArea
            label={decision === "reject" ? "Why (optional)" : "Your response"}
            rows={3}
            value={draft.message ?? ""}
            onChange={(message) => onChange({ message })}
          />
        )}
      </div>
    </fieldset>
  );
}

function Arguments({ args }: { args: Json }) {
  if (!isObject(args)) return <pre>{JSON.stringify(args, null, 2)}</pre>;
  return (
    <dl className="facts">
      {Object.entries(args).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</dd>
        </div>
      ))}
    </dl>
  );
}

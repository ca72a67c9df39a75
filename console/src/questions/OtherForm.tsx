import { type FormEvent, useState } from "react";

import type { Json } from "../api/types";
import { isComplete, JsonArea } from "../schema/JsonArea";
import { defaultsOf, type JsonSchema, resolve } from "../schema/schema";
import { ValueEditor } from "../schema/ValueEditor";
import { Button } from "../ui/Button";
import { Choice, TextArea } from "../ui/fields";

interface Props {
  question: Json;
  schema: JsonSchema | null;
  busy: boolean;
  onSend: (answer: Json) => void;
}

type Way = "text" | "json";
const WAYS = [
  { value: "text", name: "Text" },
  { value: "json", name: "JSON" },
] as const;

/** Any question: answered by a form of its schema, by text, or by JSON. */
export function OtherForm({ question, schema, busy, onSend }: Props) {
  const [way, setWay] = useState<Way>("text");
  const [text, setText] = useState("");
  const [json, setJson] = useState<Json | undefined>(schema ? defaultsOf(resolve(schema, schema), schema) : undefined);
  const answer = schema || way === "json" ? json : text;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    // null is no answer to LangGraph.
    if (answer !== undefined && answer !== null && isComplete(event.currentTarget)) onSend(answer);
  };
  return (
    <form className="answer" onSubmit={submit}>
      {typeof question !== "string" && <pre>{JSON.stringify(question, null, 2)}</pre>}
      {schema ? (
        <ValueEditor label="Answer" schema={schema} value={json} onChange={setJson} />
      ) : (
        <>
          <Choice label="Answer with" value={way} options={WAYS} onChange={setWay} />
          {way === "text" ? (
            <TextArea label="Answer" rows={4} value={text} onChange={setText} />
          ) : (
            <JsonArea label="Answer" value={json} onChange={setJson} />
          )}
        </>
      )}
      <div className="actions">
        <Button type="submit" kind="primary" disabled={busy || answer === undefined || answer === null || answer === ""}>
          Send the answer
        </Button>
      </div>
    </form>
  );
}

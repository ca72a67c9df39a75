import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { schemasQuery } from "../../api/assistants";
import type { Json, JsonObject } from "../../api/types";
import { graphQuery, stepsOf } from "../../graph/graph";
import { isComplete } from "../../schema/JsonArea";
import { defaultsOf, isObject, type JsonSchema, resolve } from "../../schema/schema";
import { ValueEditor } from "../../schema/ValueEditor";
import { Button } from "../../ui/Button";
import { TextArea } from "../../ui/fields";
import { Failed, Loading } from "../../ui/states";
import { Breakpoints, type Pauses } from "./Breakpoints";

interface Props {
  assistant: string;
  busy: boolean;
  pauses: Pauses;
  onPauses: (pauses: Pauses) => void;
  onStart: (input: Json, context: Json | undefined) => void;
}

/** Input and context for a run: as the graph's schemas say, or as JSON; a message where the graph talks. */
export function StartForm({ assistant, busy, pauses, onPauses, onStart }: Props) {
  const schemas = useQuery(schemasQuery(assistant));
  const graph = useQuery(graphQuery(assistant, false));
  if (schemas.error) return <Failed error={schemas.error} retry={() => void schemas.refetch()} />;
  if (!schemas.data) return <Loading what="the schemas" />;
  const { input_schema, context_schema, config_schema } = schemas.data;
  const context = [context_schema, config_schema].find((schema) => schema?.properties) ?? null;
  return (
    <Form
      input={input_schema ?? {}}
      context={context}
      steps={graph.data ? stepsOf(graph.data) : []}
      {...{ busy, pauses, onPauses, onStart }}
    />
  );
}

interface FormProps extends Omit<Props, "assistant"> {
  input: JsonSchema;
  context: JsonSchema | null;
  steps: string[];
}

function Form({ input, context, steps, busy, pauses, onPauses, onStart }: FormProps) {
  const schema = withoutMessages(input);
  const talks = schema !== input;
  const [message, setMessage] = useState("");
  const [value, setValue] = useState<Json | undefined>(() => defaultsOf(resolve(schema, schema), schema));
  const [settings, setSettings] = useState<Json | undefined>({});

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy || !isComplete(event.currentTarget)) return;
    const said: JsonObject = message ? { messages: [{ role: "user", content: message }] } : {};
    onStart(isObject(value) ? { ...value, ...said } : (value ?? said), isObject(settings) ? settings : undefined);
    setMessage("");
  };
  return (
    <form className="start" onSubmit={submit}>
      {talks && (
        <TextArea
          label="Message"
          rows={3}
          sends
          hint="Enter sends it, Shift + Enter begins a line."
          value={message}
          onChange={setMessage}
        />
      )}
      {talks ? (
        <details>
          <summary>Further input</summary>
          <ValueEditor label="Input" schema={schema} value={value} onChange={setValue} />
        </details>
      ) : (
        <ValueEditor label="Input" schema={schema} value={value} onChange={setValue} />
      )}
      {context && (
        <details>
          <summary>Context</summary>
          <ValueEditor label="Context" schema={context} value={settings} onChange={setSettings} />
        </details>
      )}
      <Breakpoints steps={steps} pauses={pauses} onChange={onPauses} />
      <div className="actions">
        <Button type="submit" kind="primary" disabled={busy}>
          {talks ? "Send" : "Run"}
        </Button>
      </div>
    </form>
  );
}

/** The schema without `messages`, where it has them: these are written as a message. */
function withoutMessages(schema: JsonSchema): JsonSchema {
  if (!schema.properties?.messages) return schema;
  const { messages: _, ...properties } = schema.properties;
  return { ...schema, properties, required: schema.required?.filter((name) => name !== "messages") ?? [] };
}

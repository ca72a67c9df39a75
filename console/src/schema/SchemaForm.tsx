import "./schema.css";

import { useId } from "react";

import type { Json, JsonObject } from "../api/types";
import { Choice, TextArea, TextField } from "../ui/fields";
import { JsonArea } from "./JsonArea";
import { isObject, type JsonSchema, kindOf, resolve } from "./schema";

interface Props {
  schema: JsonSchema;
  /** The schema that references are looked up in. */
  root?: JsonSchema;
  value: JsonObject;
  onChange: (value: JsonObject) => void;
}

/** Texts longer than this get several lines. */
const LONG_TEXT = 60;

/** A field for each property of a schema of an object. */
export function SchemaForm({ schema, root = schema, value, onChange }: Props) {
  return (
    <div className="schema-form">
      {Object.entries(schema.properties ?? {}).map(([name, member]) => (
        <Member
          key={name}
          name={name}
          schema={resolve(member, root)}
          root={root}
          required={schema.required?.includes(name) ?? false}
          value={value[name]}
          onChange={(next) => {
            const { [name]: _, ...rest } = value;
            onChange(next === undefined ? rest : { ...value, [name]: next });
          }}
        />
      ))}
    </div>
  );
}

interface MemberProps {
  name: string;
  schema: JsonSchema;
  root: JsonSchema;
  required: boolean;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
}

function Member({ name, schema, root, required, value, onChange }: MemberProps) {
  const label = required ? `${name} *` : name;
  const hint = schema.description ? { hint: schema.description } : {};
  const kind = fits(value, kindOf(schema, root)) ? kindOf(schema, root) : "json";
  switch (kind) {
    case "text": {
      const text = typeof value === "string" ? value : "";
      const change = (next: string) => onChange(next === "" && !required ? undefined : next);
      return text.length > LONG_TEXT || text.includes("\n") ? (
        <TextArea label={label} rows={4} value={text} onChange={change} {...hint} />
      ) : (
        <TextField label={label} value={text} onChange={change} {...hint} />
      );
    }
    case "number":
    case "integer":
      return (
        <TextField
          type="number"
          label={label}
          value={value === undefined || value === null ? "" : String(value)}
          onChange={(next) => onChange(next === "" ? undefined : Number(next))}
          {...hint}
        />
      );
    case "boolean":
      return <Check label={label} checked={value === true} onChange={onChange} {...hint} />;
    case "choice":
      return <OneOf label={label} values={schema.enum ?? []} value={value} onChange={onChange} />;
    case "list":
      return (
        <TextArea
          label={label}
          rows={3}
          value={Array.isArray(value) ? value.join("\n") : ""}
          onChange={(next) => onChange(next === "" ? undefined : next.split("\n"))}
          hint={schema.description ?? "One in each line."}
        />
      );
    case "object":
      return (
        <fieldset>
          <legend>{label}</legend>
          <SchemaForm
            schema={schema}
            root={root}
            value={isObject(value) ? value : {}}
            onChange={onChange}
          />
        </fieldset>
      );
    case "json":
      return (
        <JsonArea
          label={`${label} (JSON)`}
          rows={4}
          value={value}
          onChange={onChange}
          {...hint}
        />
      );
  }
}

/** Whether a field of this kind can show the value. */
function fits(value: Json | undefined, kind: string): boolean {
  if (value === undefined || value === null || kind === "choice") return true;
  if (kind === "text") return typeof value === "string";
  if (kind === "number" || kind === "integer") return typeof value === "number";
  if (kind === "boolean") return typeof value === "boolean";
  if (kind === "list") return Array.isArray(value) && value.every((item) => typeof item === "string");
  return kind !== "object" || isObject(value);
}

interface CheckProps {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  hint?: string;
}

export function Check({ label, checked, onChange, hint }: CheckProps) {
  const id = useId();
  return (
    <div className="check">
      <input id={id} type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      <label htmlFor={id}>{label}</label>
      {hint && <small>{hint}</small>}
    </div>
  );
}

interface OneOfProps {
  label: string;
  values: Json[];
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
}

function OneOf({ label, values, value, onChange }: OneOfProps) {
  const options = [{ value: "", name: "–" }, ...values.map((one, index) => ({ value: String(index), name: String(one) }))];
  const chosen = value === undefined ? -1 : values.indexOf(value);
  return (
    <Choice
      label={label}
      value={chosen < 0 ? "" : String(chosen)}
      options={options}
      onChange={(index) => onChange(index === "" ? undefined : values[Number(index)])}
    />
  );
}

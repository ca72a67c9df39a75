import { useState } from "react";

import type { Json } from "../api/types";
import { Button } from "../ui/Button";
import { JsonArea } from "./JsonArea";
import { SchemaForm } from "./SchemaForm";
import { isObject, type JsonSchema, kindOf, resolve } from "./schema";

interface Props {
  /** What the value is called: the name of the group of fields. */
  label: string;
  schema: JsonSchema;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  rows?: number;
}

/** A value as a form of its schema, or as JSON, whichever the user prefers. */
export function ValueEditor({ label, schema, value, onChange, rows = 8 }: Props) {
  const resolved = resolve(schema, schema);
  const hasForm = kindOf(resolved, schema) === "object" && (value === undefined || isObject(value));
  const [asJson, setAsJson] = useState(false);
  if (!hasForm) {
    return <JsonArea label={label} rows={rows} value={value} onChange={onChange} />;
  }
  return (
    <div className="value-editor" role="group" aria-label={label}>
      <div className="value-editor-head">
        <span>{label}</span>
        <Button kind="quiet" aria-pressed={asJson} onClick={() => setAsJson(!asJson)}>
          JSON
        </Button>
      </div>
      {asJson ? (
        <JsonArea label={`${label} (JSON)`} rows={rows} value={value} onChange={onChange} />
      ) : (
        <SchemaForm
          schema={resolved}
          root={schema}
          value={isObject(value) ? value : {}}
          onChange={onChange}
        />
      )}
    </div>
  );
}

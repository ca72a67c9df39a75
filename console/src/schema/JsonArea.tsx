import { useEffect, useRef, useState } from "react";

import type { Json } from "../api/types";
import { TextArea } from "../ui/fields";

interface Props {
  label: string;
  /** undefined: nothing is written. */
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  rows?: number;
  hint?: string;
}

/** A value written as JSON. What is no JSON yet stays in the field and is not handed on: see `isComplete`. */
export function JsonArea({ label, value, onChange, rows = 6, hint }: Props) {
  const [text, setText] = useState(() => textOf(value));
  const handedOn = useRef(value);
  const error = errorOf(text);

  // Another value from outside replaces what is written.
  useEffect(() => {
    if (value === handedOn.current) return;
    handedOn.current = value;
    setText(textOf(value));
  }, [value]);

  const write = (next: string) => {
    setText(next);
    if (errorOf(next) !== undefined) return;
    handedOn.current = next.trim() === "" ? undefined : (JSON.parse(next) as Json);
    onChange(handedOn.current);
  };
  return (
    <TextArea mono label={label} rows={rows} value={text} onChange={write} error={error} {...(hint && { hint })} />
  );
}

function textOf(value: Json | undefined): string {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

function errorOf(text: string): string | undefined {
  if (text.trim() === "") return undefined;
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return `This is not JSON: ${(error as Error).message}`;
  }
}

/** Whether every field of a form holds what it should; the first that does not gets the focus. */
export function isComplete(form: HTMLFormElement): boolean {
  const wrong = form.querySelector<HTMLElement>("textarea[data-invalid], input[data-invalid]");
  wrong?.focus();
  return wrong === null;
}

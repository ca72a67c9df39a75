import { useEffect, useRef, useState } from "react";

import { TextField } from "./fields";

const TYPING_MS = 300;

interface Props {
  label: string;
  value?: string | undefined;
  onChange: (value: string) => void;
}

/** A text that filters once the user pauses. */
export function Typed({ label, value = "", onChange }: Props) {
  const [text, setText] = useState(value);
  const told = useRef(onChange);
  useEffect(() => {
    told.current = onChange;
  });
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    const timer = setTimeout(() => text.trim() !== value && told.current(text.trim()), TYPING_MS);
    return () => clearTimeout(timer);
    // Only typing starts the clock: a value that comes from the address is no typing.
  }, [text]);
  return <TextField label={label} type="search" value={text} onChange={setText} />;
}

/** A value, once it has stayed as it is for a moment. */
export function useDeferred<Value>(value: Value): Value {
  const [kept, setKept] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setKept(value), TYPING_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return kept;
}

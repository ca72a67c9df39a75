import { Field } from "@base-ui/react/field";
import { type KeyboardEvent, type ReactNode, useId } from "react";

interface TextProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  type?: "text" | "search" | "password" | "number" | "datetime-local";
  hint?: string;
  error?: string | undefined;
  placeholder?: string;
  autoComplete?: string;
}

export function TextField({ label, value, onChange, hint, error, ...rest }: TextProps) {
  return (
    <Field.Root className="field" invalid={!!error}>
      <Field.Label>{label}</Field.Label>
      <Field.Control {...rest} value={value} onChange={(event) => onChange(event.target.value)} />
      {hint && <Field.Description className="hint">{hint}</Field.Description>}
      {error && <FieldError>{error}</FieldError>}
    </Field.Root>
  );
}

interface AreaProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  rows?: number;
  /** For JSON and code. */
  mono?: boolean;
  hint?: string;
  error?: string | undefined;
  /** Whether Enter sends the form that it is in; Shift and Enter begin a line. */
  sends?: boolean;
}

export function TextArea({ label, value, onChange, rows = 8, mono = false, hint, error, sends = false }: AreaProps) {
  const send = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    // Enter may also choose a word of an input method.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    if (value.trim()) event.currentTarget.form?.requestSubmit();
  };
  return (
    <Field.Root className="field" invalid={!!error}>
      <Field.Label>{label}</Field.Label>
      <Field.Control
        render={<textarea rows={rows} spellCheck={!mono} {...(sends && { onKeyDown: send })} />}
        className={mono ? "mono" : ""}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      {hint && <Field.Description className="hint">{hint}</Field.Description>}
      {error && <FieldError>{error}</FieldError>}
    </Field.Root>
  );
}

interface ChoiceProps<Value extends string> {
  label: string;
  value: Value;
  options: readonly { value: Value; name: string }[];
  onChange: (value: Value) => void;
}

/** One of a few. The browser's own list, which phones and screen readers know. */
export function Choice<Value extends string>({ label, value, options, onChange }: ChoiceProps<Value>) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.target.value as Value)}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.name}
          </option>
        ))}
      </select>
    </div>
  );
}

function FieldError({ children }: { children: ReactNode }) {
  return (
    <Field.Error match className="field-error">
      {children}
    </Field.Error>
  );
}

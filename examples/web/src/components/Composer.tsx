import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react";

interface Props {
  ready: boolean;
  answering: boolean;
  hint: string;
  onSay: (text: string) => Promise<boolean>;
  onStop: () => void;
}

/** What the API takes. */
const MOST_CHARACTERS = 10_000;

export function Composer({ ready, answering, hint, onSay, onStop }: Props) {
  const id = useId();
  const [text, setText] = useState("");
  const input = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (ready) input.current?.focus();
  }, [ready]);

  const send = async () => {
    const message = text.trim();
    if (!ready || !message) return;
    setText("");
    // What was refused is not lost, unless something else was written meanwhile.
    if (!(await onSay(message))) setText((now) => now || message);
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void send();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // An Enter that ends the composition of a character is no end of a message.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      <label htmlFor={id} className="hidden">
        Message
      </label>
      <textarea
        id={id}
        ref={input}
        rows={2}
        value={text}
        maxLength={MOST_CHARACTERS}
        placeholder={hint || "Write a message"}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {answering ? (
        <button type="button" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button type="submit" className="primary" disabled={!ready || !text.trim()}>
          Send
        </button>
      )}
    </form>
  );
}

import { useEffect, useRef } from "react";

import type { Interrupt } from "../api/events";

interface Props {
  interrupt: Interrupt;
  onAnswer: (value: { approved: boolean }) => void;
}

export function Approval({ interrupt, onAnswer }: Props) {
  const group = useRef<HTMLElement>(null);
  // The question gets the focus and not its button: whoever is just typing must not approve with the next Enter.
  useEffect(() => group.current?.focus(), []);
  return (
    <section ref={group} className="approval" role="group" aria-label="Approval" tabIndex={-1}>
      <p>{questionOf(interrupt.value)}</p>
      <button type="button" className="primary" onClick={() => onAnswer({ approved: true })}>
        Approve
      </button>
      <button type="button" onClick={() => onAnswer({ approved: false })}>
        Decline
      </button>
    </section>
  );
}

export function questionOf(value: unknown): string {
  if (typeof value === "string") return value;
  const question = (value as { question?: unknown } | null)?.question;
  return typeof question === "string" ? question : JSON.stringify(value, null, 2);
}

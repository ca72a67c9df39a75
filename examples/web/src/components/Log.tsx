import { useEffect, useLayoutEffect, useRef } from "react";

import type { Interrupt } from "../api/events";
import type { Conversation, Item } from "../conversation";
import type { Activity } from "../useChat";
import { Approval } from "./Approval";
import { Tool } from "./Tool";

interface Props {
  conversation: Conversation;
  activity: Activity;
  onAnswer: (interrupt: Interrupt, value: unknown) => void;
  onSuggestion: (text: string) => void;
}

const SUGGESTIONS = ["Where is order 4712?", "Please refund order 4711"];
const NEAR_THE_END_PX = 80;

export function Log({ conversation, activity, onAnswer, onSuggestion }: Props) {
  const { items, interrupts } = conversation;
  const follow = useFollowing(conversation);
  return (
    <main ref={follow} className="log" aria-label="Conversation" aria-busy={activity === "answering"} tabIndex={-1}>
      {items.length === 0 && activity === "idle" && (
        <section className="empty">
          <p>Ask for an order, or for your money back.</p>
          {SUGGESTIONS.map((text) => (
            <button key={text} type="button" onClick={() => onSuggestion(text)}>
              {text}
            </button>
          ))}
        </section>
      )}
      <ol>
        {items.map((item) => (
          <li key={`${item.kind} ${item.id}`} className={item.kind} hidden={item.kind === "assistant" && !item.text}>
            <Entry item={item} waits={interrupts.length > 0} atWork={activity !== "idle"} />
          </li>
        ))}
      </ol>
      {interrupts.map((interrupt) => (
        <Approval key={interrupt.id} interrupt={interrupt} onAnswer={(value) => onAnswer(interrupt, value)} />
      ))}
    </main>
  );
}

function Entry({ item, waits, atWork }: { item: Item; waits: boolean; atWork: boolean }) {
  switch (item.kind) {
    case "user":
      return (
        <p className="text">
          <span className="hidden">You: </span>
          {item.text}
        </p>
      );
    case "assistant":
      return (
        <p className={item.done || !atWork ? "text" : "text growing"}>
          <span className="hidden">Assistant: </span>
          {item.text}
        </p>
      );
    case "tool":
      return <Tool call={item.call} result={item.result} waits={waits} atWork={atWork} />;
    case "failure":
      return <p role="alert">{item.text}</p>;
  }
}

/** Keeps the end in sight for whoever reads there, and moves nobody who has scrolled up. */
function useFollowing(conversation: Conversation) {
  const log = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = log.current!;
    const look = () => {
      atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_THE_END_PX;
    };
    element.addEventListener("scroll", look, { passive: true });
    return () => element.removeEventListener("scroll", look);
  }, []);
  useLayoutEffect(() => {
    if (atEnd.current) log.current!.scrollTop = log.current!.scrollHeight;
  }, [conversation]);
  return log;
}

import type { Conversation } from "../conversation";
import { questionOf } from "./Approval";

/** Tells a screen reader what is complete: read out token by token, an answer cannot be understood. */
export function Announcer({ conversation }: { conversation: Conversation }) {
  const [question] = conversation.interrupts;
  const last = conversation.items.findLast((item) => item.kind === "assistant" && item.done && item.text);
  return (
    <p className="hidden" aria-live="polite">
      {question ? `Approval needed: ${questionOf(question.value)}` : last?.kind === "assistant" ? last.text : ""}
    </p>
  );
}

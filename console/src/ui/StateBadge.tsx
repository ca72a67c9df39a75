import type { RunState } from "../api/states";

const SIGNS: Record<RunState, string> = {
  delayed: "◷",
  pending: "…",
  running: "▶",
  interrupted: "?",
  success: "✓",
  error: "✕",
  timeout: "⧖",
  cancelled: "■",
};

/** A run's state, in colour, with a sign and in words. */
export function StateBadge({ state, waiting = false }: { state: RunState; waiting?: boolean }) {
  return (
    <span className={`state state-${state}`}>
      <span aria-hidden="true">{SIGNS[state]}</span> {state === "interrupted" && waiting ? "waits for you" : state}
    </span>
  );
}

/** The states of a run, as lists have them. */
export const RUN_STATES = [
  "delayed",
  "pending",
  "running",
  "interrupted",
  "success",
  "error",
  "timeout",
  "cancelled",
] as const;

export type RunState = (typeof RUN_STATES)[number];

/** Whether a run in this state can still change. */
export function isActive(state: RunState): boolean {
  return state === "delayed" || state === "pending" || state === "running";
}

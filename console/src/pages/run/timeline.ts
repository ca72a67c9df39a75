import type { Step, Task } from "../../api/history";
import { type Run, stateOf } from "../../api/runs";
import { isActive } from "../../api/states";
import type { Attempt } from "../../api/types";

/** A span of time on a row. Times are in milliseconds since 1970. */
export interface Bar {
  from: number;
  to: number;
  kind: "wait" | "attempt" | "lost" | "step" | "failed" | "stopped" | "asked" | "person";
  /** Whether it goes on. */
  open: boolean;
}

export interface Row {
  key: string;
  label: string;
  /** What stands below the label. */
  about: string;
  bar: Bar;
  /** What a step row opens. */
  step?: { before: Step; task: Task; after: Step | null };
}

export interface Timeline {
  from: number;
  to: number;
  rows: Row[];
  /** When attempts were lost. */
  crashes: number[];
}

/** When tasks ended, by their ids, in milliseconds since 1970. */
type Ends = ReadonlyMap<string, number>;

/** What a run did when. `steps` are its checkpoints and the one it began from, oldest first. */
export function timelineOf(run: Run, attempts: Attempt[], steps: Step[], ends: Ends, now: number): Timeline {
  const active = isActive(stateOf(run));
  const end = run.finished_at === null ? now : Date.parse(run.finished_at);
  const accepted = Date.parse(run.created_at);
  const begun = attempts[0] ? Date.parse(attempts[0].claimed_at) : run.started_at ? Date.parse(run.started_at) : null;
  const rows = [...attemptRows(run, attempts, end), ...stepRows(run, steps, ends, begun ?? accepted, end, active)];
  // The order in which things began; an attempt stands above its first step.
  rows.sort((one, other) => one.bar.from - other.bar.from || rank(one) - rank(other));
  const waiting = waitRow(run, accepted, begun, end, active);
  if (waiting) rows.unshift(waiting);
  const person = personRow(run, steps, end);
  if (person) rows.push(person);
  const crashes = attempts.flatMap(({ ending, ended_at }) => (ending === "Lost" && ended_at ? [Date.parse(ended_at)] : []));
  return { from: accepted, to: Math.max(end, accepted + 1), rows, crashes };
}

function rank(row: Row): number {
  return row.step ? 1 : 0;
}

/** What a run waits for, by its reason. */
const WAITS: Record<string, string> = {
  NoCapacity: "Waits for a runner",
  AgentNotReady: "Waits for the agent",
  AgentNotFound: "Waits for the agent",
  ThreadBusy: "Waits for the thread",
  BackOff: "Waits after a failure",
};

function waitRow(run: Run, accepted: number, begun: number | null, end: number, active: boolean): Row | null {
  const to = begun ?? end;
  if (to <= accepted) return null;
  const open = begun === null && active;
  const label = open ? (WAITS[run.reason ?? ""] ?? "Waiting") : "Waited";
  return { key: "wait", label, about: open ? (run.message ?? "") : "", bar: { from: accepted, to, kind: "wait", open } };
}

function attemptRows(run: Run, attempts: Attempt[], end: number): Row[] {
  return attempts.flatMap((attempt, index): Row[] => {
    const { attempt: number, runner, claimed_at, ended_at, ending } = attempt;
    const from = Date.parse(claimed_at);
    const open = ended_at === null && run.finished_at === null;
    const bar: Bar = {
      from,
      to: ended_at === null ? end : Date.parse(ended_at),
      kind: ending === "Lost" ? "lost" : "attempt",
      open,
    };
    const row: Row = { key: `attempt-${number}`, label: `Attempt ${number}`, about: `${endingOf(ending)}${runner}`, bar };
    const before = attempts[index - 1];
    if (!before?.ended_at || Date.parse(before.ended_at) >= from) return [row];
    const gap: Bar = { from: Date.parse(before.ended_at), to: from, kind: "wait", open: false };
    return [{ key: `wait-${number}`, label: "Waited", about: "for another runner", bar: gap }, row];
  });
}

function endingOf(ending: Attempt["ending"]): string {
  if (ending === "Lost") return "lost · ";
  return ending === "Drained" ? "handed over · " : "";
}

function stepRows(run: Run, steps: Step[], ends: Ends, begun: number, end: number, active: boolean): Row[] {
  const following = new Map<string, Step>();
  // Of several from one checkpoint (a fork) the oldest is this run's.
  for (const step of steps)
    if (step.parent_checkpoint && step.metadata.run_id === run.run_id && !following.has(step.parent_checkpoint.checkpoint_id))
      following.set(step.parent_checkpoint.checkpoint_id, step);
  return steps.flatMap((before) => {
    const after = following.get(before.checkpoint.checkpoint_id) ?? null;
    // Of what was there before, only what this run went on from.
    if (before.metadata.run_id !== run.run_id && after === null && !isLast(before, steps)) return [];
    const tasks = before.tasks.filter((task) => task.name !== "__start__");
    return tasks.map((task, index): Row => {
      const from = Math.max(Date.parse(before.created_at), begun);
      // A step lasts as long as the longest of those beside each other.
      const last = after === null ? end : Math.min(Date.parse(after.created_at), end);
      const own = ends.get(task.id);
      const to = own === undefined ? last : Math.min(own, last);
      const open = after === null && own === undefined && active;
      return {
        key: `${before.checkpoint.checkpoint_id}/${task.id}`,
        label: task.name ?? "?",
        about: `Step ${(before.metadata.step ?? 0) + 1}${placeOf(tasks, index)}`,
        bar: { from, to: Math.max(to, from), kind: kindOf(task), open },
        step: { before, task, after },
      };
    });
  });
}

/** Which of several of one name it is. */
function placeOf(tasks: Task[], index: number): string {
  const { name } = tasks[index]!;
  const alike = tasks.filter((task) => task.name === name).length;
  const place = tasks.slice(0, index + 1).filter((task) => task.name === name).length;
  return alike > 1 ? ` · ${place} of ${alike}` : "";
}

function isLast(step: Step, steps: Step[]): boolean {
  return steps.at(-1) === step;
}

function kindOf(task: Task): Bar["kind"] {
  if (task.interrupts.length > 0) return "asked";
  if (task.error === null) return "step";
  // LangGraph stops those beside one that fails.
  return task.error.startsWith("CancelledError(") ? "stopped" : "failed";
}

function personRow(run: Run, steps: Step[], end: number): Row | null {
  if (run.reason !== "WaitingForInput") return null;
  const questions = steps.at(-1)?.tasks.flatMap((task) => task.interrupts).length ?? 0;
  const about = questions > 0 ? `${questions} open ${questions === 1 ? "question" : "questions"}` : "answered";
  return {
    key: "person",
    label: questions > 0 ? "Waits for a person" : "Waited for a person",
    about,
    bar: { from: end, to: end, kind: "person", open: questions > 0 },
  };
}

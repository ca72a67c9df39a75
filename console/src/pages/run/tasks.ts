import type { RunEvent } from "../../api/events";
import type { Json } from "../../api/types";

/** What a task was called with, where the run streams `tasks` or `debug`; undefined elsewhere. */
export function inputOf(events: RunEvent[], taskId: string): Json | undefined {
  for (const { event, data } of events) {
    const mode = event.split("|", 1)[0];
    if ((mode !== "tasks" && mode !== "debug") || !data.includes(taskId)) continue;
    const told = JSON.parse(data);
    const task = mode === "debug" ? told.payload : told;
    if (task?.id === taskId && "input" in task) return task.input;
  }
  return undefined;
}

/** What an event tells of a task: that it has begun, or ended. */
interface Told {
  id: string;
  ended: boolean;
}

const told = new WeakMap<RunEvent, Told | null>();

/** When each task ended, by its id; of a run that streams neither `tasks` nor `debug` nothing is known. */
export function endsOf(events: RunEvent[]): ReadonlyMap<string, number> {
  const ends = new Map<string, number>();
  for (const event of events) {
    if (event.at === null || (event.event !== "tasks" && event.event !== "debug")) continue;
    // Each is read once, whatever comes behind it.
    if (!told.has(event)) told.set(event, toldIn(event));
    const task = told.get(event);
    if (task?.ended) ends.set(task.id, event.at);
    // Another attempt does it once more.
    else if (task) ends.delete(task.id);
  }
  return ends;
}

function toldIn({ event, data }: RunEvent): Told | null {
  const parsed = JSON.parse(data);
  if (event === "debug" && parsed.type !== "task" && parsed.type !== "task_result") return null;
  const task = event === "debug" ? parsed.payload : parsed;
  return { id: task.id, ended: !("input" in task) };
}

/** The tokens of the messages in a step's output, as models report them; null where there are none. */
export function tokensOf(result: Json | undefined): { input: number; output: number } | null {
  let found = false;
  const sum = { input: 0, output: 0 };
  const visit = (value: Json | undefined): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (value !== null && typeof value === "object") {
      const usage = value.usage_metadata;
      if (usage !== null && typeof usage === "object" && !Array.isArray(usage)) {
        found = true;
        sum.input += Number(usage.input_tokens) || 0;
        sum.output += Number(usage.output_tokens) || 0;
      } else Object.values(value).forEach(visit);
    }
  };
  visit(result);
  return found ? sum : null;
}

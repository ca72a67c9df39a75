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

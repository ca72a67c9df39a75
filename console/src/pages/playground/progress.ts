import type { RunEvent } from "../../api/events";
import type { Json } from "../../api/types";
import type { NodeState } from "../../graph/graph";
import { isObject } from "../../schema/schema";

export interface Progress {
  /** Of the nodes that the run has come to; a subgraph's nodes are `subgraph:node`. */
  states: ReadonlyMap<string, NodeState>;
  /** The graph's own newest values. */
  values: Json | undefined;
  /** The node of the graph itself that finished last. */
  last: string | null;
  /** Why the run failed. */
  error: string | null;
}

/** What a run's events say so far. `before` is what an earlier run of the same turn came to. */
export function progressOf(events: RunEvent[], before: ReadonlyMap<string, NodeState>): Progress {
  const states = new Map<string, NodeState>(before);
  const tasks = new Map<string, Set<string>>();
  let values: Json | undefined;
  let last: string | null = null;
  let error: string | null = null;
  for (const { event, data } of events) {
    const [mode, ...namespace] = event.split("|");
    if (mode === "tasks") {
      const task: Json = JSON.parse(data);
      if (isObject(task)) take(task, [...namespace.map((part) => part.split(":")[0]), task.name].join(":"));
      if (isObject(task) && namespace.length === 0 && "result" in task && task.error === null) last = String(task.name);
    } else if (mode === "values" && namespace.length === 0) {
      values = JSON.parse(data) as Json;
    } else if (mode === "error") {
      const told: Json = JSON.parse(data);
      error = isObject(told) ? [told.error, told.message].filter(Boolean).join(": ") : String(told);
    } else if (mode === "metadata") {
      // A later attempt begins its tasks again.
      for (const [node, working] of tasks) if (working.size > 0) states.delete(node);
      tasks.clear();
    }
  }
  if (error !== null) for (const [node, working] of tasks) if (working.size > 0) states.set(node, "error");
  return { states, values, last, error };

  function take(task: { [member: string]: Json }, node: string) {
    const working = tasks.get(node) ?? new Set();
    tasks.set(node, working);
    const id = String(task.id);
    if (!("result" in task)) {
      working.add(id);
      states.set(node, "running");
      return;
    }
    working.delete(id);
    if (task.error !== null) states.set(node, "error");
    else if (Array.isArray(task.interrupts) && task.interrupts.length > 0) states.set(node, "waiting");
    else if (working.size === 0) states.set(node, "done");
  }
}

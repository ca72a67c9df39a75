import type { Step } from "../../api/history";

/** A checkpoint in the drawing of a history: forks stand beside each other. */
export interface Node {
  step: Step;
  lane: number;
  /** The lanes that pass by, its own included where it goes on upwards. */
  above: number[];
  /** The lanes that end here: what forked from this checkpoint. */
  joining: number[];
  /** The lanes that go on below. */
  below: number[];
}

/** Lay out a history, newest first, as version control draws its commits. */
export function treeOf(steps: Step[]): Node[] {
  const ids = new Set(steps.map((step) => step.checkpoint.checkpoint_id));
  // For each lane the checkpoint that it waits for.
  const lanes: (string | null)[] = [];
  return steps.map((step): Node => {
    const id = step.checkpoint.checkpoint_id;
    const above = occupied(lanes);
    const waiting = above.filter((lane) => lanes[lane] === id);
    const lane = waiting[0] ?? free(lanes);
    for (const other of waiting) lanes[other] = null;
    const parent = step.parent_checkpoint?.checkpoint_id;
    lanes[lane] = parent !== undefined && ids.has(parent) ? parent : null;
    return { step, lane, above, joining: waiting.slice(1), below: occupied(lanes) };
  });
}

function occupied(lanes: (string | null)[]): number[] {
  return lanes.flatMap((waits, lane) => (waits === null || waits === undefined ? [] : [lane]));
}

function free(lanes: (string | null)[]): number {
  const empty = lanes.findIndex((waits) => waits === null || waits === undefined);
  return empty === -1 ? lanes.length : empty;
}

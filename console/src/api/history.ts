import { call } from "./client";
import type { Json, JsonObject } from "./types";

export interface Checkpoint {
  thread_id: string;
  checkpoint_ns: string;
  checkpoint_id: string;
  checkpoint_map?: JsonObject;
}

export interface Task {
  id: string;
  name: string | null;
  error: string | null;
  interrupts: Interrupt[];
  /** Where the states of its subgraph are, if it has one. */
  checkpoint: Partial<Checkpoint> | null;
  result?: Json;
}

export interface Interrupt {
  id: string;
  value: Json;
}

/** A thread's state at a checkpoint, without its values. */
export interface Step {
  next: string[];
  tasks: Task[];
  metadata: JsonObject & { step?: number; source?: string; run_id?: string; run_attempt?: number };
  created_at: string;
  checkpoint: Checkpoint;
  parent_checkpoint: Checkpoint | null;
}

export interface ThreadState extends Step {
  values: JsonObject | Json[];
}

const LIGHT = ["next", "tasks", "metadata", "created_at", "checkpoint", "parent_checkpoint"];

const pathOf = (threadId: string) => `/threads/${encodeURIComponent(threadId)}`;

interface StepsQuery {
  limit: number;
  /** Of one run only. */
  runId?: string;
  /** Of the subgraph there. */
  namespace?: string;
  before?: Checkpoint;
}

/** A thread's checkpoints, newest first, without their values. */
export function searchSteps(threadId: string, query: StepsQuery, signal?: AbortSignal): Promise<Step[]> {
  const { limit, runId, namespace, before } = query;
  const body = {
    limit,
    select: LIGHT,
    ...(runId !== undefined && { metadata: { run_id: runId } }),
    ...(namespace !== undefined && { checkpoint: { checkpoint_ns: namespace } }),
    ...(before !== undefined && { before }),
  };
  return call("POST", `${pathOf(threadId)}/history`, body, signal);
}

/** The state at a checkpoint; the newest one without. */
export function getState(threadId: string, checkpoint?: Partial<Checkpoint>, signal?: AbortSignal): Promise<ThreadState> {
  if (checkpoint === undefined) return call("GET", `${pathOf(threadId)}/state`, undefined, signal);
  return call("POST", `${pathOf(threadId)}/state/checkpoint`, { checkpoint }, signal);
}

interface Edit {
  values: Json;
  as_node?: string;
  checkpoint?: Checkpoint;
}

/** Write values into a thread's state, as a node would; answers where the new state is. */
export function editState(threadId: string, edit: Edit): Promise<{ checkpoint: Checkpoint }> {
  return call("POST", `${pathOf(threadId)}/state`, edit);
}

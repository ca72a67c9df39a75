import { call } from "./client";
import type { RunState } from "./states";
import type { Json, JsonObject } from "./types";

/** A run as the Agent Server's API tells it, with Relayrun's own members. */
export interface Run {
  run_id: string;
  thread_id: string;
  assistant_id: string | null;
  agent: string;
  graph: string;
  number: number;
  status: "pending" | "running" | "success" | "error" | "timeout" | "interrupted";
  attempt: number;
  runner: string | null;
  reason: string | null;
  message: string | null;
  error: { error: string; message: string; [key: string]: Json } | null;
  metadata: JsonObject;
  kwargs: RunKwargs;
  multitask_strategy: string;
  checkpoint_id: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface RunKwargs {
  input: Json;
  command: JsonObject | null;
  config: JsonObject;
  context: JsonObject;
  stream_mode: string[];
  interrupt_before: Json;
  interrupt_after: Json;
  subgraphs: boolean;
  durability: string;
  webhook: string | null;
}

interface Named {
  thread_id: string;
  run_id: string;
}

const pathOf = ({ thread_id, run_id }: Named) => `/threads/${encodeURIComponent(thread_id)}/runs/${run_id}`;

export function getRun(run: Named, signal?: AbortSignal): Promise<Run> {
  return call("GET", pathOf(run), undefined, signal);
}

/** The state of a run as lists have it: the Agent Server's `status` does not tell a question from a success. */
export function stateOf(run: Run): RunState {
  if (run.reason === "WaitingForInput") return "interrupted";
  if (run.status === "interrupted") return "cancelled";
  if (run.status === "pending" && Date.parse(run.created_at) > Date.now()) return "delayed";
  return run.status;
}

export function cancelRun(run: Named): Promise<void> {
  return call("POST", `${pathOf(run)}/cancel`);
}

/** Cancel a run and undo what it wrote: afterwards there is no such run. */
export function rollBackRun(run: Named): Promise<void> {
  return call("POST", `${pathOf(run)}/cancel?action=rollback`);
}

/** Start a run on a thread. What is undefined is left out. */
export function startRun(threadId: string, body: Record<string, unknown>): Promise<Run> {
  return call("POST", `/threads/${encodeURIComponent(threadId)}/runs`, body);
}

/** The same request once more: the same assistant, input and configuration, on the same thread. */
export function runAgain(run: Run): Promise<Run> {
  return startRun(run.thread_id, { ...requestOf(run), input: run.kwargs.input, command: run.kwargs.command });
}

/**
 * Let a run that failed go on: from its last checkpoint, so that what is done is not repeated. A run that left no
 * checkpoint begins with its input again.
 */
export async function retryRun(named: Named): Promise<Run> {
  const run = await getRun(named);
  const state = await call<{ metadata: JsonObject | null }>("GET", `/threads/${encodeURIComponent(run.thread_id)}/state`);
  const tookNothing = run.kwargs.command === null && state.metadata?.run_id !== run.run_id;
  return startRun(run.thread_id, {
    ...requestOf(run),
    input: tookNothing ? run.kwargs.input : null,
    metadata: { ...run.metadata, retry_of: run.run_id },
    // Somebody may have started a run since we looked.
    multitask_strategy: "reject",
  });
}

/** How a run was asked for, without its input. */
export function requestOf(run: Run): Record<string, unknown> {
  const { config, context, stream_mode, interrupt_before, interrupt_after, subgraphs, durability, webhook } = run.kwargs;
  return {
    assistant_id: run.assistant_id ?? run.graph,
    // The API takes one of both, and a run that was told one shows it in the other.
    ...(config.configurable && Object.keys(config.configurable).length > 0 ? {} : { context }),
    config,
    metadata: run.metadata,
    stream_mode,
    stream_subgraphs: subgraphs,
    durability,
    ...(interrupt_before !== null && { interrupt_before }),
    ...(interrupt_after !== null && { interrupt_after }),
    ...(webhook !== null && { webhook }),
  };
}

/** Which runs can be retried: those that ended without success. */
export function canRetry(state: RunState): boolean {
  return state === "error" || state === "timeout" || state === "cancelled";
}

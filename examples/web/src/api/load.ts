/** A thread as it stands: its messages, what it waits for, and the run that is at work. */

import type { HistoryMessage, Interrupt, Run, Thread } from "./events";
import { Problem, read, type Server } from "./server";

export interface Loaded {
  messages: HistoryMessage[];
  interrupts: Interrupt[];
  error: string | null;
  /** Where to follow the run that is at work. */
  running: string | null;
}

export async function load(server: Server, name: string, signal: AbortSignal): Promise<Loaded> {
  const at = encodeURIComponent(name);
  // In this order: a run that ends in between is told by its replay, and one thing twice does no harm.
  const runs = await unlessMissing(read<Run[]>(server, `/threads/${at}/runs?limit=1`, signal));
  const thread = runs && (await unlessMissing(read<Thread>(server, `/threads/${at}`, signal)));
  const history = await read<{ messages: HistoryMessage[] }>(server, `/history/${at}?limit=1000`, signal);
  const latest = runs?.[0];
  const atWork = latest && (latest.status === "pending" || latest.status === "running");
  return {
    messages: history.messages,
    interrupts: atWork ? [] : Object.values(thread?.interrupts ?? {}).flat(),
    error: atWork || !thread?.error ? null : `${thread.error.error}: ${thread.error.message}`,
    running: atWork ? `/chat/${latest.run_id}` : null,
  };
}

async function unlessMissing<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Problem && error.code === "thread_not_found") return null;
    throw error;
  }
}

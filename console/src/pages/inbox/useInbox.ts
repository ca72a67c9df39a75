import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";

import { call } from "../../api/client";
import { POLL_MS } from "../../api/queries";
import type { Json, JsonObject } from "../../api/types";
import { waitingQuery } from "../../layout/waiting";
import type { JsonSchema } from "../../schema/schema";

/** A question that waits for a person, or a pause without one. */
export interface Question {
  /** Stays the same while the thread works on and the question waits again. */
  key: string;
  threadId: string;
  threadName: string | null;
  /** null: the run was told to pause before or after a node. */
  id: string | null;
  value: Json;
  assistant: string;
  graph: string;
  askedAt: string;
  agent: string | null;
  owner: string | null;
  runId: string | null;
}

interface Thread {
  thread_id: string;
  metadata: JsonObject;
  interrupts: Record<string, { id: string; value: Json }[]>;
  error: Json;
  state_updated_at: string;
}

/** The API answers no more at once. */
export const MOST_THREADS = 1000;

/** What waits for a person, oldest first, of at most so many threads. */
export function useInbox(limit: number) {
  const threads = useQuery({
    queryKey: ["inbox", limit],
    queryFn: ({ signal }) => call<Thread[]>("POST", "/threads/search", { ...SEARCH, limit }, signal),
    refetchInterval: 2 * POLL_MS,
    placeholderData: keepPreviousData,
  });
  // Agents, owners and names are told with runs.
  const runs = useQuery(waitingQuery).data?.runs;
  const runOf = new Map(runs?.map((run) => [run.thread_id, run]));
  const questions = threads.data?.flatMap((thread) => questionsOf(thread)).map((question) => {
    const run = runOf.get(question.threadId);
    const { agent = null, owner = null, thread_name: threadName = null, run_id: runId = null } = run ?? {};
    return { ...question, agent, owner, threadName, runId };
  });
  return { ...threads, questions, hasMore: threads.data?.length === limit && limit < MOST_THREADS };
}

const SEARCH = {
  status: "interrupted",
  sort_by: "state_updated_at",
  sort_order: "asc",
  select: ["thread_id", "metadata", "interrupts", "error", "state_updated_at"],
};

function questionsOf(thread: Thread): Omit<Question, "threadName" | "agent" | "owner" | "runId">[] {
  const { thread_id, metadata, state_updated_at } = thread;
  const graph = String(metadata.graph_id ?? "");
  const common = {
    threadId: thread_id,
    graph,
    assistant: String(metadata.assistant_id ?? graph),
    askedAt: state_updated_at,
  };
  // A node's second question has the id of its first.
  const keyOf = (id: string, value: Json) => `${thread_id} ${id} ${JSON.stringify(value)}`;
  const asked = Object.values(thread.interrupts).flat();
  if (asked.length > 0) return asked.map(({ id, value }) => ({ ...common, key: keyOf(id, value), id, value }));
  // A run that was cancelled leaves its thread interrupted as well, with an error.
  return thread.error === null ? [{ ...common, key: keyOf("", state_updated_at), id: null, value: null }] : [];
}

export interface ThreadState {
  values: Json;
  next: string[];
  interrupts: { id: string; value: Json; response_schema: JsonSchema | null }[];
}

/** The state in which a thread waits: it has the schema of the answer. */
export function waitingStateQuery({ threadId, askedAt }: Question) {
  return queryOptions({
    queryKey: ["inbox", "state", threadId, askedAt],
    queryFn: ({ signal }) => call<ThreadState>("GET", `/threads/${threadId}/state`, undefined, signal),
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
}

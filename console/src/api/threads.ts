import { call } from "./client";
import type { Interrupt } from "./history";
import type { Json, JsonObject } from "./types";

export const THREAD_STATES = ["idle", "busy", "interrupted", "error"] as const;
export type ThreadStatus = (typeof THREAD_STATES)[number];

export interface ThreadSummary {
  thread_id: string;
  status: ThreadStatus;
  created_at: string;
  updated_at: string;
  metadata: JsonObject;
}

export interface Thread extends ThreadSummary {
  name: string | null;
  interrupts: Record<string, Interrupt[]>;
  error: Json;
  ttl?: JsonObject | null;
}

export interface ThreadFilter {
  status?: ThreadStatus;
  metadata?: JsonObject;
}

const SUMMARY = ["thread_id", "status", "created_at", "updated_at", "metadata"];

/** Threads, those that changed last first, without their values. */
export function searchThreads(filter: ThreadFilter, limit: number, offset: number, signal?: AbortSignal) {
  const body = { ...filter, limit, offset, sort_by: "updated_at", sort_order: "desc", select: SUMMARY };
  return call<ThreadSummary[]>("POST", "/threads/search", body, signal);
}

export function getThread(threadId: string, signal?: AbortSignal): Promise<Thread> {
  return call("GET", `/threads/${encodeURIComponent(threadId)}`, undefined, signal);
}

export function deleteThread(threadId: string): Promise<void> {
  return call("DELETE", `/threads/${encodeURIComponent(threadId)}`);
}

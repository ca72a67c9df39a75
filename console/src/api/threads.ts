import { call } from "./client";
import type { Interrupt } from "./history";
import type { Json, JsonObject } from "./types";

export const THREAD_STATES = ["idle", "busy", "interrupted", "error"] as const;
export type ThreadStatus = (typeof THREAD_STATES)[number];

export interface ThreadSummary {
  thread_id: string;
  name: string | null;
  status: ThreadStatus;
  created_at: string;
  updated_at: string;
  metadata: JsonObject;
}

export interface Thread extends ThreadSummary {
  interrupts: Record<string, Interrupt[]>;
  error: Json;
  ttl?: JsonObject | null;
}

export interface ThreadFilter {
  status?: ThreadStatus;
  metadata?: JsonObject;
}

const SUMMARY = ["thread_id", "name", "status", "created_at", "updated_at", "metadata"];

/** Threads, those that changed last first, without their values. */
export function searchThreads(filter: ThreadFilter, limit: number, offset: number, signal?: AbortSignal) {
  const body = { ...filter, limit, offset, sort_by: "updated_at", sort_order: "desc", select: SUMMARY };
  return call<ThreadSummary[]>("POST", "/threads/search", body, signal);
}

export function getThread(threadId: string, signal?: AbortSignal): Promise<Thread> {
  return call("GET", `/threads/${encodeURIComponent(threadId)}`, undefined, signal);
}

/** What a thread takes in the database. Not `complete`: at least so much. */
export interface Storage {
  checkpoints: number;
  state_bytes: number;
  events: number;
  event_bytes: number;
  complete: boolean;
}

export function getStorage(threadId: string, signal?: AbortSignal): Promise<Storage> {
  return call("GET", `/threads/${encodeURIComponent(threadId)}/storage`, undefined, signal);
}

export function deleteThread(threadId: string): Promise<void> {
  return call("DELETE", `/threads/${encodeURIComponent(threadId)}`);
}

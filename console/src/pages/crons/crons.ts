import { queryOptions } from "@tanstack/react-query";

import { call } from "../../api/client";
import { POLL_MS } from "../../api/queries";
import { type Run, startRun } from "../../api/runs";
import type { JsonObject } from "../../api/types";

export interface Cron {
  cron_id: string;
  assistant_id: string;
  thread_id: string | null;
  user_id: string | null;
  schedule: string;
  timezone: string | null;
  end_time: string | null;
  /** The body of its runs. */
  payload: JsonObject;
  next_run_date: string | null;
  enabled: boolean;
  on_run_completed: string;
  last_run_id: string | null;
  last_run_date: string | null;
  /** Why it could start no run the last time. */
  refusal: string | null;
}

export const MOST_CRONS = 1000;

export const cronsQuery = queryOptions({
  queryKey: ["crons"],
  queryFn: ({ signal }) => call<Cron[]>("POST", "/runs/crons/search", { limit: MOST_CRONS }, signal),
  refetchInterval: 5 * POLL_MS,
});

/** The next times at which a schedule fires. */
export function previewQuery(schedule: string, timezone: string | null) {
  return queryOptions({
    queryKey: ["crons", "preview", schedule, timezone],
    queryFn: ({ signal }) =>
      call<{ next: string[] }>("POST", "/runs/crons/preview", { schedule, timezone: timezone || null }, signal),
    staleTime: 60_000,
  });
}

export function createCron(threadId: string, body: Record<string, unknown>): Promise<Cron> {
  const path = threadId ? `/threads/${encodeURIComponent(threadId)}/runs/crons` : "/runs/crons";
  return call("POST", path, body);
}

export function changeCron({ cron_id }: Cron, change: Record<string, unknown>): Promise<Cron> {
  return call("PATCH", `/runs/crons/${cron_id}`, change);
}

export function deleteCron({ cron_id }: Cron): Promise<void> {
  return call("DELETE", `/runs/crons/${cron_id}`);
}

/** Start now what the cron starts, on its thread or on a new one. */
export async function fireNow({ thread_id, payload, assistant_id }: Cron): Promise<Run> {
  const thread = thread_id ?? (await call<{ thread_id: string }>("POST", "/threads", {})).thread_id;
  return startRun(thread, { ...payload, assistant_id });
}

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";

import { call } from "../../api/client";
import { ApiError } from "../../api/errors";
import { getState, searchSteps, type Step } from "../../api/history";
import { POLL_MS, queryClient } from "../../api/queries";
import { getRun, type Run, stateOf } from "../../api/runs";
import { isActive } from "../../api/states";
import type { Attempt } from "../../api/types";

/** So many steps are shown of one run. */
export const MOST_STEPS = 500;

const stillActive = (run: Run | undefined) => run !== undefined && isActive(stateOf(run));

/** A run, asked for again until it has ended. */
export function useRun(threadId: string, runId: string) {
  return useQuery({
    queryKey: ["run", threadId, runId],
    queryFn: ({ signal }) => getRun({ thread_id: threadId, run_id: runId }, signal),
    refetchInterval: ({ state }) => (stillActive(state.data) ? POLL_MS / 2 : false),
  });
}

/** Its attempts, oldest first. */
export function useAttempts(run: Run) {
  return useQuery({
    queryKey: ["run", run.thread_id, run.run_id, "attempts", run.attempt, run.finished_at],
    queryFn: async ({ signal }): Promise<Attempt[]> => {
      const path = `/threads/${encodeURIComponent(run.thread_id)}/runs/${run.run_id}/attempts`;
      const attempts = await call<Attempt[]>("GET", path, undefined, signal);
      return attempts.toSorted((one, other) => one.attempt - other.attempt);
    },
    refetchInterval: stillActive(run) ? POLL_MS : false,
    placeholderData: keepPreviousData,
  });
}

/** Its checkpoints and the one from which it went on, oldest first. */
export function useSteps(run: Run) {
  const key = ["run", run.thread_id, run.run_id, "steps", run.finished_at];
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) => stepsOf(run, signal),
    refetchInterval: stillActive(run) ? POLL_MS : false,
    placeholderData: keepPreviousData,
  });
}

async function stepsOf(run: Run, signal: AbortSignal): Promise<Step[]> {
  if (run.started_at === null) return [];
  const steps = await searchSteps(run.thread_id, { limit: MOST_STEPS, runId: run.run_id }, signal);
  const oldest = steps.at(-1);
  const before = oldest ? await parentOf(run, oldest, signal) : await head(run, signal);
  return [...(before ? [before] : []), ...steps.toReversed()];
}

/** What it went on from: an earlier run's checkpoint that had tasks left, not the end of one. */
async function parentOf(run: Run, step: Step, signal: AbortSignal): Promise<Step | null> {
  if (step.parent_checkpoint === null || step.metadata.source === "input") return null;
  return getState(run.thread_id, step.parent_checkpoint, signal).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  });
}

/** A run without a checkpoint of its own works, or worked, on the thread's newest one. */
async function head(run: Run, signal: AbortSignal): Promise<Step | null> {
  const [newest] = await searchSteps(run.thread_id, { limit: 1 }, signal);
  return newest && (run.finished_at === null || newest.created_at <= run.finished_at) ? newest : null;
}

/** Ask for everything about a run again when its stream tells of something new. */
export function useRefreshOn(run: Run, events: number, ended: boolean) {
  const active = stillActive(run);
  useEffect(() => {
    if (active && (events > 0 || ended)) refreshRun(run.thread_id, run.run_id);
  }, [active, events, ended, run.thread_id, run.run_id]);
}

export function refreshRun(threadId: string, runId: string) {
  return queryClient.invalidateQueries({ queryKey: ["run", threadId, runId] });
}

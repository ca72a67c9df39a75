import { createParser } from "eventsource-parser";
import { useEffect, useState } from "react";

import { ask, origin } from "./client";
import { ApiError, passes } from "./errors";

/** An event of a run's journal. `data` is JSON. */
export interface RunEvent {
  /** `<attempt>-<number>`: it only grows. */
  id: string;
  /** The stream mode, with `|<namespace>` where a subgraph tells. */
  event: string;
  data: string;
  /** When it was written, in milliseconds since 1970, where the API told. */
  at: number | null;
}

export type Connection = "connecting" | "open" | "reconnecting" | "ended";

export interface Followed {
  events: RunEvent[];
  connection: Connection;
  /** Why it cannot be followed. */
  error: unknown;
}

/** The API sends a comment every 5 s; a connection that is silent for this long is dead, in milliseconds. */
const SILENCE_MS = 20_000;
const LONGEST_PAUSE_MS = 5000;
/** Events that come in one go are shown in one go, in milliseconds. */
const BATCH_MS = 60;
const START: Followed = { events: [], connection: "connecting", error: null };

/** A run's events from the first one on, and on as they come, whatever happens to the connection. */
export function useRunEvents(threadId: string, runId: string | undefined): Followed {
  const [followed, setFollowed] = useState<Followed & { of?: string | undefined }>(START);
  useEffect(() => {
    setFollowed({ ...START, of: runId });
    if (runId === undefined) return;
    const abort = new AbortController();
    const events: RunEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (change: Partial<Followed> = {}) => {
      clearTimeout(timer);
      timer = undefined;
      setFollowed((before) => ({ ...before, ...change, events: events.slice() }));
    };
    const take = (event: RunEvent) => {
      events.push(event);
      timer ??= setTimeout(show, BATCH_MS);
    };
    follow(`/threads/${encodeURIComponent(threadId)}/runs/${runId}/stream?times=true`, take, (connection) => show({ connection }), abort.signal)
      .then(() => abort.signal.aborted || show({ connection: "ended" }))
      .catch((error: unknown) => abort.signal.aborted || show({ connection: "ended", error }));
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [threadId, runId]);
  // Until the effect has run, what is there is another run's.
  return followed.of === runId ? followed : START;
}

/** Follow an event stream to its end. A connection that is cut is made again behind the last event. */
export async function follow(
  path: string,
  take: (event: RunEvent) => void,
  tell: (connection: Connection) => void,
  signal: AbortSignal,
): Promise<void> {
  let last = "-";
  let failures = 0;
  for (;;) {
    try {
      const told = (event: RunEvent) => {
        failures = 0;
        if (event.id) last = event.id;
        take(event);
      };
      await read(path, last, told, () => tell("open"), signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !passes(error)) throw error;
      tell("reconnecting");
      await pause(Math.min(LONGEST_PAUSE_MS, 250 * 2 ** failures++), signal);
      if (signal.aborted) return;
    }
  }
}

async function read(
  path: string,
  last: string,
  take: (event: RunEvent) => void,
  opened: () => void,
  signal: AbortSignal,
): Promise<void> {
  const silence = new AbortController();
  const headers = { Accept: "text/event-stream", "Last-Event-ID": last };
  const response = await ask(`${origin}${path}`, { headers, signal: AbortSignal.any([signal, silence.signal]) });
  opened();
  let at: number | null = null;
  const parser = createParser({
    // The time of the event that follows, or a heartbeat.
    onComment: (comment) => {
      at = Date.parse(comment) || null;
    },
    onEvent: ({ id = "", event = "message", data }) => take({ id, event, data, at }),
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      parser.feed(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

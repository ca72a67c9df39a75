/**
 * Follows a run to its end, through lost connections, without losing or repeating an event.
 *
 *     POST /chat ─▶ events ─▶ `end`
 *                     │ connection lost
 *                     └─▶ GET Location, Last-Event-ID ─▶ the events behind it ─▶ `end`
 */

import type { ChatEvent, Say } from "./events";
import { call, Problem, type Server } from "./server";
import { readEvents } from "./sse";

export type Beginning = { thread: string; say: Say } | { location: string };

export interface Following {
  signal: AbortSignal;
  onConnection: (connected: boolean) => void;
}

export async function* follow(server: Server, beginning: Beginning, way: Following): AsyncGenerator<ChatEvent> {
  // With it a POST whose answer was lost can be sent again: the API knows the run by it and starts no other.
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  let location = "location" in beginning ? beginning.location : null;
  let lastId = "";
  for (let failures = 0; ; failures++) {
    try {
      const response = location
        ? await call(server, location, { signal: way.signal, headers: lastId ? { "Last-Event-ID": lastId } : {} })
        : await call(server, "/chat", post(beginning, key, way.signal));
      if (response.status === 204 || !response.body) return;
      location ??= response.headers.get("Location");
      way.onConnection(true);
      for await (const event of readEvents(response.body)) {
        failures = 0;
        lastId = event.id || lastId;
        const told = JSON.parse(event.data) as ChatEvent;
        yield told;
        if (told.type === "end") return;
      }
    } catch (error) {
      if (way.signal.aborted || (error instanceof Problem && !error.passes)) throw error;
    }
    way.onConnection(false);
    await pause(Math.min(250 * 2 ** failures, 5_000), way.signal);
  }
}

function post(beginning: Beginning, key: string, signal: AbortSignal): RequestInit {
  const { thread, say } = beginning as Extract<Beginning, { thread: string }>;
  return {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify({ thread_id: thread, ...say }),
  };
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
  signal.throwIfAborted();
}

/** What outlives a reload: who calls which API, for this tab alone, and in the address the thread. */

import type { Server } from "./api/server";

const KEY = "relayrun.server";
export const DEFAULT_URL: string = import.meta.env.VITE_API_URL ?? "http://localhost:8000";

export function savedServer(): Server | null {
  const saved = sessionStorage.getItem(KEY);
  return saved ? (JSON.parse(saved) as Server) : null;
}

export function saveServer(server: Server | null): void {
  if (server) sessionStorage.setItem(KEY, JSON.stringify(server));
  else sessionStorage.removeItem(KEY);
}

export function threadOfAddress(): string {
  return new URLSearchParams(location.search).get("thread") ?? beginThread();
}

/** A new thread needs no call: its name is enough. */
export function beginThread(): string {
  const digits = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0"));
  const thread = `chat-${digits.join("")}`;
  history.replaceState(null, "", `?thread=${thread}`);
  return thread;
}

import { useEffect, useState, useSyncExternalStore } from "react";

let now = Date.now();
const listeners = new Set<() => void>();
const TICK_MS = 5000;

setInterval(() => {
  now = Date.now();
  for (const listener of listeners) listener();
}, TICK_MS);

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** How long ago something was; the exact time in its title. */
export function Time({ at }: { at: string | null }) {
  useSyncExternalStore(subscribe, () => now);
  if (at === null) return <span aria-label="not yet">–</span>;
  const date = new Date(at);
  return (
    <time dateTime={at} title={date.toLocaleString()}>
      {ago(Date.now() - date.getTime())}
    </time>
  );
}

function ago(milliseconds: number): string {
  const text = duration(Math.abs(milliseconds), true);
  if (Math.abs(milliseconds) < 1000) return "now";
  return milliseconds < 0 ? `in ${text}` : `${text} ago`;
}

/** A duration as people write it: `840 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`. */
export function duration(milliseconds: number, rough = false): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return rough ? `${Math.floor(seconds)} s` : `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return rough ? `${minutes} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return rough ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

/** The time, again and again, in milliseconds; once where `every` is undefined. */
export function useNow(every: number | undefined): number {
  const [time, setTime] = useState(Date.now);
  useEffect(() => {
    if (every === undefined) return;
    const timer = setInterval(() => setTime(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return time;
}

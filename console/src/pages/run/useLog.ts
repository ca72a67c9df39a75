import { useEffect, useRef, useState } from "react";

import { call } from "../../api/client";
import { passes } from "../../api/errors";
import type { Run } from "../../api/runs";

/** What a run's code printed or logged. */
export interface LogLine {
  id: string;
  time: string;
  attempt: number;
  node: string | null;
  source: "stdout" | "stderr" | "log" | "relayrun";
  level: string | null;
  logger: string | null;
  text: string;
  dropped: number | null;
}

interface Page {
  lines: LogLine[];
  next: string | null;
}

const PAGE = 1000;
const POLL_MS = 1000;

/** A run's log, and on as it is written while the run is active. */
export function useLog(run: Run, active: boolean) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const [error, setError] = useState<unknown>(null);
  const [isRead, setRead] = useState(false);
  const last = useRef<string | null>(null);
  const path = `/threads/${encodeURIComponent(run.thread_id)}/runs/${run.run_id}/logs`;
  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    const read = async () => {
      while (!signal.aborted) {
        try {
          const after = last.current === null ? "" : `&after=${encodeURIComponent(last.current)}`;
          const page = await call<Page>("GET", `${path}?limit=${PAGE}${after}`, undefined, signal);
          setError(null);
          last.current = page.next ?? page.lines.at(-1)?.id ?? last.current;
          if (page.lines.length > 0) setLines((before) => [...before, ...page.lines]);
          if (page.next !== null) continue;
          setRead(true);
          if (!active) return;
        } catch (failure) {
          if (signal.aborted) return;
          setError(failure);
          if (!passes(failure)) return;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    };
    void read();
    return () => abort.abort();
  }, [path, active]);
  return { lines, error, isRead };
}

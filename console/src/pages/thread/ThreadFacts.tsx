import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { getStorage, type Thread } from "../../api/threads";
import { Alert } from "../../ui/states";
import { Time } from "../../ui/Time";

export function ThreadFacts({ thread }: { thread: Thread }) {
  const { error, metadata, created_at, updated_at, ttl, interrupts } = thread;
  const storage = useQuery({
    queryKey: ["thread", thread.thread_id, "storage", updated_at],
    queryFn: ({ signal }) => getStorage(thread.thread_id, signal),
    // A busy thread changes each second; this may wait.
    enabled: thread.status !== "busy",
    placeholderData: keepPreviousData,
  }).data;
  const questions = Object.values(interrupts).flat();
  return (
    <section aria-label="About the thread" className="card">
      {error !== null && thread.status === "error" && (
        <Alert>
          <pre tabIndex={0}>{typeof error === "string" ? error : JSON.stringify(error, null, 2)}</pre>
        </Alert>
      )}
      <dl className="facts">
        <dt>Created</dt>
        <dd>
          <Time at={created_at} />
        </dd>
        <dt>Changed</dt>
        <dd>
          <Time at={updated_at} />
        </dd>
        {questions[0] && (
          <>
            <dt>Waits</dt>
            <dd>
              for a person:{" "}
              <Link to="/inbox" search={{ thread: thread.thread_id, question: questions[0].id }}>
                {questions.length === 1 ? "1 open question" : `${questions.length} open questions`}
              </Link>
            </dd>
          </>
        )}
        {ttl && (
          <>
            <dt>Expires</dt>
            <dd>
              <code>{JSON.stringify(ttl)}</code>
            </dd>
          </>
        )}
        {storage && (
          <>
            <dt>Storage</dt>
            <dd>
              {storage.complete ? "" : "at least "}
              {counted(storage.checkpoints, "checkpoint")}, {bytes(storage.state_bytes)}; {counted(storage.events, "event")} of its
              runs, {bytes(storage.event_bytes)}
            </dd>
          </>
        )}
        <dt>Metadata</dt>
        <dd>
          <code>{JSON.stringify(metadata)}</code>
        </dd>
      </dl>
    </section>
  );
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString()} ${what}${count === 1 ? "" : "s"}`;
}

function bytes(count: number): string {
  if (count < 1000) return `${count} bytes`;
  return count < 1_000_000 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1_000_000).toFixed(1)} MB`;
}

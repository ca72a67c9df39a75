import { Link } from "@tanstack/react-router";

import type { Thread } from "../../api/threads";
import { Alert } from "../../ui/states";
import { Time } from "../../ui/Time";

export function ThreadFacts({ thread }: { thread: Thread }) {
  const { error, metadata, created_at, updated_at, ttl, interrupts } = thread;
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
        <dt>Metadata</dt>
        <dd>
          <code>{JSON.stringify(metadata)}</code>
        </dd>
      </dl>
    </section>
  );
}

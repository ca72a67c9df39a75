import { Link } from "@tanstack/react-router";

import type { Run } from "../../api/runs";
import { Details } from "../../ui/Details";
import { JsonView } from "../../ui/JsonView";
import { ShortId } from "../../ui/ShortId";
import { Alert } from "../../ui/states";
import { duration, Time } from "../../ui/Time";

export function RunFacts({ run }: { run: Run }) {
  const { error, reason, message, started_at, finished_at } = run;
  const retryOf = run.metadata.retry_of;
  return (
    <section aria-label="About the run" className="card run-facts">
      {error && (
        <Alert>
          <p>
            <strong>{error.error}</strong>: {error.message}
          </p>
          {typeof error.traceback === "string" && (
            <Details summary="Traceback">
              <pre tabIndex={0}>{error.traceback}</pre>
            </Details>
          )}
        </Alert>
      )}
      <dl className="facts">
        <dt>Thread</dt>
        <dd>
          <Link to="/threads/$threadId" params={{ threadId: run.thread_id }}>
            <ShortId id={run.thread_id} />
          </Link>
        </dd>
        <dt>Agent</dt>
        <dd>{run.agent}</dd>
        <dt>Accepted</dt>
        <dd>
          <Time at={run.created_at} />
        </dd>
        {started_at && finished_at && (
          <>
            <dt>Took</dt>
            <dd>{duration(Date.parse(finished_at) - Date.parse(started_at))}</dd>
          </>
        )}
        {run.runner && (
          <>
            <dt>Runner</dt>
            <dd>
              {run.runner}, attempt {run.attempt}
            </dd>
          </>
        )}
        {!error && reason !== "Succeeded" && (reason || message) && (
          <>
            <dt>Why</dt>
            <dd>{message || reason}</dd>
          </>
        )}
        {typeof retryOf === "string" && (
          <>
            <dt>Retry of</dt>
            <dd>
              <Link to="/runs/$threadId/$runId" params={{ threadId: run.thread_id, runId: retryOf }}>
                <ShortId id={retryOf} />
              </Link>
            </dd>
          </>
        )}
      </dl>
      <Details summary="Input, configuration and metadata">
        <JsonView label="Request" value={{ ...run.kwargs, metadata: run.metadata }} />
      </Details>
    </section>
  );
}

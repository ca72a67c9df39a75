import "./status.css";

import { useQuery } from "@tanstack/react-query";

import { statusQuery } from "../../api/queries";
import type { Check, CheckStatus, Status } from "../../api/types";
import { Page } from "../../ui/Page";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { duration } from "../../ui/Time";
import { Charts } from "./Charts";

const SENTENCES: Record<CheckStatus, string> = {
  ok: "Everything works.",
  degraded: "Some of it works.",
  down: "It does not work.",
  disabled: "Nobody has looked.",
};

/** Is everything well, and how much is going on? */
export function StatusPage() {
  const { data, error, refetch } = useQuery(statusQuery);
  return (
    <Page title="Status" beside={data && <Badge status={data.status} />}>
      <Reconnecting shown={error !== null && data !== undefined} />
      {error && !data && <Failed error={error} retry={() => void refetch()} />}
      {!error && !data && <Loading what="the status" />}
      {data && (
        <>
          <p>{SENTENCES[data.status]}</p>
          <Checks checks={data.checks ?? {}} />
          <Queue status={data} />
        </>
      )}
      <Charts />
    </Page>
  );
}

function Badge({ status }: { status: CheckStatus }) {
  return <span className={`state state-${status}`}>{status}</span>;
}

function Checks({ checks }: { checks: Record<string, Check> }) {
  return (
    <ul className="checks">
      {Object.entries(checks).map(([name, check]) => (
        <li key={name} className="card">
          <h2>
            {name.replaceAll("_", " ")} <Badge status={check.status} />
          </h2>
          {check.reason && <p>{check.reason}</p>}
          <p className="hint">{factsOf(check)}</p>
        </li>
      ))}
    </ul>
  );
}

function factsOf({ ready, desired, latency_ms, checked_seconds_ago }: Check): string {
  return [
    ready !== undefined && `${ready} of ${desired} ready`,
    latency_ms !== undefined && `answers in ${duration(latency_ms)}`,
    checked_seconds_ago !== undefined && `looked at ${Math.round(checked_seconds_ago)} s ago`,
  ]
    .filter(Boolean)
    .join(", ");
}

function Queue({ status: { queue, active_threads } }: { status: Status }) {
  if (!queue) return null;
  const { length, oldest_seconds, blocked } = queue;
  return (
    <section className="card" aria-label="Queue">
      <h2>Queue</h2>
      <p>
        {length === 0 ? "No run waits" : `${length} ${length === 1 ? "run waits" : "runs wait"}`}
        {oldest_seconds !== null && `, the oldest for ${duration(oldest_seconds * 1000)}`}
        {active_threads !== undefined && `; ${active_threads} active ${active_threads === 1 ? "thread" : "threads"}`}.
      </p>
      {blocked !== null && blocked !== undefined && (
        <pre tabIndex={0}>{typeof blocked === "string" ? blocked : JSON.stringify(blocked, null, 2)}</pre>
      )}
    </section>
  );
}

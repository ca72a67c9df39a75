import "./agents.css";

import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";

import { agentsQuery, statusQuery } from "../../api/queries";
import type { Check, Status } from "../../api/types";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { duration } from "../../ui/Time";
import { AgentCard } from "./AgentCard";
import { GraphPanel } from "./GraphPanel";

const route = getRouteApi("/agents");

/** The agents whose code is registered, whether their runners are ready, and their graphs. */
export function AgentsPage() {
  const { graph } = route.useSearch();
  const navigate = route.useNavigate();
  const { data, error, refetch } = useQuery(agentsQuery);
  const status = useQuery(statusQuery).data;
  return (
    <Page title="Agents">
      <Reconnecting shown={error !== null && data !== undefined} />
      {error && !data && <Failed error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading what="agents" />}
      {status && <Readiness status={status} />}
      {data?.length === 0 && (
        <Empty title="No agent has registered.">
          <p>A runner registers its graphs when it has loaded them. If it cannot, its reason is above, and in its log.</p>
        </Empty>
      )}
      {data?.map((agent) => (
        <AgentCard
          key={agent.agent}
          agent={agent}
          activeThreads={status?.active_threads_by_agent?.[agent.agent]}
          opened={graph}
          onOpen={(next) => void navigate({ search: next === graph ? {} : { graph: next }, resetScroll: false })}
        />
      ))}
      {graph && <GraphPanel key={graph} graph={graph} onClose={() => void navigate({ search: {}, resetScroll: false })} />}
    </Page>
  );
}

const LOOKED_AT = [
  ["Runners", "runners"],
  ["Operator", "operator"],
  ["Kubernetes", "kubernetes"],
  ["Language models", "llm"],
] as const;

/** What `/status` says of the parts that agents need. */
function Readiness({ status: { checks, queue } }: { status: Status }) {
  const rows = LOOKED_AT.flatMap(([name, key]) => {
    const check = checks?.[key];
    return check && check.status !== "disabled" ? [[name, check] as const] : [];
  });
  return (
    <section className="card" aria-labelledby="readiness">
      <h2 id="readiness">Readiness</h2>
      <dl className="facts">
        {rows.map(([name, check]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <CheckLine check={check} />
            </dd>
          </div>
        ))}
        {queue && (
          <div>
            <dt>Queue</dt>
            <dd>
              {queue.length === 0 ? "Empty." : `${queue.length} waiting.`}
              {queue.oldest_seconds !== null && ` The oldest for ${duration(queue.oldest_seconds * 1000)}.`}
              {typeof queue.blocked === "string" && ` ${queue.blocked}`}
            </dd>
          </div>
        )}
      </dl>
    </section>
  );
}

function CheckLine({ check: { status, ready, desired, reason } }: { check: Check }) {
  return (
    <>
      <span className={`state state-${status}`}>{status}</span>
      {ready !== undefined && desired !== undefined && ` ${ready} of ${desired} ready.`}
      {reason && ` ${reason}`}
    </>
  );
}

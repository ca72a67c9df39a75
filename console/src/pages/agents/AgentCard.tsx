import { Link } from "@tanstack/react-router";

import type { AgentSummary } from "../../api/types";
import { Button } from "../../ui/Button";
import { Time } from "../../ui/Time";
import { Conditions, Runners } from "./Runners";

interface Props {
  agent: AgentSummary;
  activeThreads: number | undefined;
  /** The graph that is open below. */
  opened: string | undefined;
  onOpen: (graph: string) => void;
}

export function AgentCard({ agent, activeThreads, opened, onOpen }: Props) {
  const { agent: name, build, registered_at, indexed, pending, running, graphs, ready, desired } = agent;
  return (
    <section className="card agent" aria-label={`Agent ${name}`}>
      <div className="page-head">
        <h2>{name}</h2>
        {ready !== null && desired !== null && (
          <span className={`state state-${ready === 0 && desired > 0 ? "down" : ready < desired ? "degraded" : "ok"}`}>
            {ready} of {desired} ready
          </span>
        )}
        <span className={`state ${running > 0 ? "state-running" : ""}`}>{running} running</span>
        <span className={`state ${pending > 0 ? "state-pending" : ""}`}>{pending} pending</span>
        <Link to="/runs" search={{ agent: name }}>
          Its runs
        </Link>
      </div>
      <dl className="facts">
        <div>
          <dt>Registered</dt>
          <dd>{registered_at ? <Time at={registered_at} /> : "Not yet: no runner has loaded its graphs."}</dd>
        </div>
        {build && (
          <div>
            <dt>Build</dt>
            <dd>
              <code>{build}</code>
            </dd>
          </div>
        )}
        {activeThreads !== undefined && (
          <div>
            <dt>Active threads</dt>
            <dd>{activeThreads}</dd>
          </div>
        )}
        <div>
          <dt>Store</dt>
          <dd>{indexed ? "Searches by meaning" : "Without vectors"}</dd>
        </div>
      </dl>
      <Conditions agent={agent} />
      <Runners agent={agent} />
      {graphs.length > 0 && (
      <div className="table-frame">
        <table aria-label={`Graphs of ${name}`}>
          <thead>
            <tr>
              <th scope="col">Graph</th>
              <th scope="col">What it does</th>
              <th scope="col">
                <span className="hidden">What to do</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {graphs.map(({ graph, description, own_name }) => (
              <tr key={graph}>
                <th scope="row">
                  {graph}
                  {own_name && own_name !== graph && <small> {own_name}</small>}
                </th>
                <td>{description}</td>
                <td>
                  <div className="actions">
                    <Button kind="quiet" aria-expanded={opened === graph} onClick={() => onOpen(graph)}>
                      Draw {graph}
                    </Button>
                    <Link to="/playground" search={{ assistant: graph }}>
                      Try {graph}
                    </Link>
                  </div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      )}
    </section>
  );
}

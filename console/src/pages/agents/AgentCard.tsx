import { Link } from "@tanstack/react-router";

import type { AgentSummary } from "../../api/types";
import { Button } from "../../ui/Button";
import { Time } from "../../ui/Time";

interface Props {
  agent: AgentSummary;
  activeThreads: number | undefined;
  /** The graph that is open below. */
  opened: string | undefined;
  onOpen: (graph: string) => void;
}

export function AgentCard({ agent, activeThreads, opened, onOpen }: Props) {
  const { agent: name, build, registered_at, indexed, pending, running, graphs } = agent;
  return (
    <section className="card agent" aria-label={`Agent ${name}`}>
      <div className="page-head">
        <h2>{name}</h2>
        <span className={`state ${running > 0 ? "state-running" : ""}`}>{running} running</span>
        <span className={`state ${pending > 0 ? "state-pending" : ""}`}>{pending} pending</span>
        <Link to="/runs" search={{ agent: name }}>
          Its runs
        </Link>
      </div>
      <dl className="facts">
        <div>
          <dt>Registered</dt>
          <dd>
            <Time at={registered_at} />
          </dd>
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
      <div className="table-frame">
        <table>
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
    </section>
  );
}

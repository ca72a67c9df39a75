import { Link } from "@tanstack/react-router";

import type { AgentSummary } from "../../api/types";
import { Details } from "../../ui/Details";
import { Time } from "../../ui/Time";

/** The runners of an agent: how many runs each has, which code, and which ends nobody asked for. Admins are told. */
export function Runners({ agent }: { agent: AgentSummary }) {
  const { agent: name, runners, recent_deaths: deaths, generation } = agent;
  if (runners === null) return null;
  const old = (of: string | null) => of !== null && generation !== null && of !== generation;
  return (
    <>
      {runners.length === 0 && <p className="hint">No runner is there now.</p>}
      {runners.length > 0 && (
        <div className="table-frame" tabIndex={0} role="region" aria-label={`All runners of ${name}`}>
          <table aria-label={`Runners of ${name}`}>
            <thead>
              <tr>
                <th scope="col">Runner</th>
                <th scope="col">State</th>
                <th scope="col">Slots in use</th>
                <th scope="col">Generation</th>
                <th scope="col" className="number">
                  Restarts
                </th>
              </tr>
            </thead>
            <tbody>
              {runners.map(({ name: runner, state, running, slots, generation: of, restarts }) => (
                <tr key={runner}>
                  <th scope="row">
                    <code>{runner}</code>
                  </th>
                  <td>
                    <span className={`state state-${BADGES[state] ?? "pending"}`}>{state}</span>
                  </td>
                  <td>
                    <Slots running={running} slots={slots} />
                  </td>
                  <td>
                    {of !== null && <code>{of}</code>}
                    {old(of) && <small> older code</small>}
                  </td>
                  <td className="number">{restarts}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {deaths !== null && deaths.length > 0 && (
        <Details summary={`${deaths.length} unexpected ${deaths.length === 1 ? "death" : "deaths"} of runners`}>
          <ul className="deaths">
            {deaths.map(({ runner, at, reason }) => (
              <li key={`${runner} ${at} ${reason}`}>
                <Time at={at} /> <code>{runner}</code>: {reason}
              </li>
            ))}
          </ul>
          <p className="hint">
            Runs that such a runner had go on in <Link to="/runs" search={{ agent: name, status: ["running"] }}>another attempt</Link>.
          </p>
        </Details>
      )}
    </>
  );
}

const BADGES: Record<string, string> = { ready: "ok", draining: "pending", starting: "pending", lost: "down", refused: "down" };

function Slots({ running, slots }: { running: number; slots: number | null }) {
  if (slots === null) return <>{running}</>;
  return (
    <span className="slots">
      <meter min={0} max={Math.max(slots, 1)} value={running} aria-label={`${running} of ${slots} slots in use`} />
      {running} of {slots}
    </span>
  );
}

/** What an Agent's status says on Kubernetes. */
export function Conditions({ agent: { agent, conditions } }: { agent: AgentSummary }) {
  if (conditions.length === 0) return null;
  return (
    <dl className="facts conditions" aria-label={`Conditions of ${agent}`}>
      {conditions.map(({ type, status, reason, message, since }) => (
        <div key={type}>
          <dt>{type}</dt>
          <dd>
            <span className={`state state-${isGood(type, status) ? "ok" : "down"}`}>{status}</span> {reason}{" "}
            {since && <Time at={since} />}
            {message && <p>{message}</p>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** Ready should hold; the others are there only while something is in the way or under way. */
function isGood(type: string, status: string): boolean {
  return (type === "Ready") === (status === "True");
}

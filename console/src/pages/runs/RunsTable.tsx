import { Link } from "@tanstack/react-router";

import type { RunSummary } from "../../api/types";
import { ShortId } from "../../ui/ShortId";
import { StateBadge } from "../../ui/StateBadge";
import { duration, Time } from "../../ui/Time";

interface Props {
  runs: RunSummary[];
  chosen: ReadonlySet<string>;
  onChoose: (chosen: ReadonlySet<string>) => void;
  /** Whether these are the runs of the filters before. */
  busy?: boolean;
}

export function RunsTable({ runs, chosen, onChoose, busy = false }: Props) {
  const owned = runs.some((run) => run.owner !== null);
  const all = runs.every((run) => chosen.has(run.run_id));
  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    onChoose(next);
  };
  return (
    <div className="table-frame" aria-busy={busy}>
      <table className="runs">
        <thead>
          <tr>
            <th>
              <input
                type="checkbox"
                aria-label="Choose all runs shown"
                checked={all}
                onChange={() => onChoose(new Set(all ? [] : runs.map((run) => run.run_id)))}
              />
            </th>
            <th scope="col">State</th>
            <th scope="col">Run</th>
            <th scope="col">Graph</th>
            <th scope="col">Thread</th>
            {owned && <th scope="col">Owner</th>}
            <th scope="col">Accepted</th>
            <th scope="col" className="number">
              Took
            </th>
            <th scope="col" className="number">
              Attempt
            </th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <Row key={run.run_id} run={run} owned={owned} chosen={chosen.has(run.run_id)} onToggle={toggle} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  run: RunSummary;
  owned: boolean;
  chosen: boolean;
  onToggle: (id: string) => void;
}

function Row({ run, owned, chosen, onToggle }: RowProps) {
  const { run_id, thread_id } = run;
  return (
    <tr data-chosen={chosen || undefined}>
      <td>
        <input
          type="checkbox"
          aria-label={`Choose run ${run_id}`}
          checked={chosen}
          onChange={() => onToggle(run_id)}
        />
      </td>
      <td>
        <StateBadge state={run.state} waiting={run.waiting} />
      </td>
      <td>
        <Link to="/runs/$threadId/$runId" params={{ threadId: thread_id, runId: run_id }}>
          <ShortId id={run_id} />
        </Link>
      </td>
      <td>{run.graph}</td>
      <td>
        <Link to="/threads/$threadId" params={{ threadId: thread_id }} className="thread-name">
          {run.thread_name ?? <ShortId id={thread_id} />}
        </Link>
      </td>
      {owned && <td className="owner">{run.owner}</td>}
      <td className="nowrap">
        <Time at={run.created_at} />
      </td>
      <td className="number nowrap">{took(run)}</td>
      <td className="number">{run.attempt || "–"}</td>
      <td className="why">{why(run)}</td>
    </tr>
  );
}

function took({ started_at, finished_at }: RunSummary): string {
  if (started_at === null) return "–";
  return duration((finished_at === null ? Date.now() : Date.parse(finished_at)) - Date.parse(started_at));
}

function why({ state, reason, message }: RunSummary): string {
  if (state === "success" || state === "interrupted") return "";
  return message || reason || "";
}

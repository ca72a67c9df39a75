import { Link } from "@tanstack/react-router";

import { Button } from "../../ui/Button";
import { Details } from "../../ui/Details";
import { JsonView } from "../../ui/JsonView";
import { ShortId } from "../../ui/ShortId";
import { Time } from "../../ui/Time";
import type { Cron } from "./crons";
import { Firings } from "./Firings";

interface Props {
  cron: Cron;
  /** The name of what it starts. */
  assistant: string;
  busy: boolean;
  onSwitch: () => void;
  onFire: () => void;
  onDelete: () => void;
}

export function CronRow({ cron, assistant, busy, onSwitch, onFire, onDelete }: Props) {
  const { schedule, timezone, thread_id, next_run_date, enabled, last_run_id, last_run_date, refusal, payload } = cron;
  const name = `the cron ${schedule} of ${assistant}`;
  return (
    <tr>
      <th scope="row">
        <code>{schedule}</code>
        <br />
        <small>{timezone ?? "UTC"}</small>
      </th>
      <td>
        {assistant}
        <Details summary="Its run">
          <JsonView label={`Run of ${name}`} value={payload} />
        </Details>
      </td>
      <td>
        {thread_id ? (
          <Link to="/threads/$threadId" params={{ threadId: thread_id }}>
            <ShortId id={thread_id} />
          </Link>
        ) : (
          "a new thread"
        )}
      </td>
      <td>
        {enabled ? (
          <>
            <Time at={next_run_date} />
            {next_run_date && (
              <>
                <br />
                <small>{new Date(next_run_date).toLocaleString()}</small>
                <Details summary="And then">
                  <Firings schedule={schedule} timezone={timezone} label={`Next times of ${name}`} />
                </Details>
              </>
            )}
          </>
        ) : (
          <span className="state">paused</span>
        )}
      </td>
      <td>
        {last_run_id && thread_id ? (
          <Link to="/runs/$threadId/$runId" params={{ threadId: thread_id, runId: last_run_id }}>
            <Time at={last_run_date} />
          </Link>
        ) : (
          <Time at={last_run_date} />
        )}
        {refusal && <p className="field-error">{refusal}</p>}
      </td>
      <td>
        <div className="actions">
          <Button disabled={busy} aria-label={`Test ${name}`} onClick={onFire}>
            Test
          </Button>
          <Button disabled={busy} aria-label={`${enabled ? "Pause" : "Resume"} ${name}`} onClick={onSwitch}>
            {enabled ? "Pause" : "Resume"}
          </Button>
          <Button kind="danger" disabled={busy} aria-label={`Delete ${name}`} onClick={onDelete}>
            Delete
          </Button>
        </div>
      </td>
    </tr>
  );
}

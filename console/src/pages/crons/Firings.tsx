import { useQuery } from "@tanstack/react-query";

import { sentenceOf } from "../../api/errors";
import { Time } from "../../ui/Time";
import { previewQuery } from "./crons";

/** When a schedule fires next. */
export function Firings({ schedule, timezone, label }: { schedule: string; timezone: string | null; label: string }) {
  const { data, error } = useQuery(previewQuery(schedule, timezone));
  if (error) return <p className="hint">{sentenceOf(error)}</p>;
  if (!data) return <p className="hint">Reckoning…</p>;
  if (data.next.length === 0) return <p className="hint">It fires no more.</p>;
  return (
    <ol className="firings" aria-label={label}>
      {data.next.map((at) => (
        <li key={at}>
          {shown(at, timezone)} <small>(<Time at={at} />)</small>
        </li>
      ))}
    </ol>
  );
}

/** As the clock of the cron's own time zone shows it. */
function shown(at: string, timezone: string | null): string {
  const options: Intl.DateTimeFormatOptions = { dateStyle: "medium", timeStyle: "short", timeZone: timezone || "UTC" };
  try {
    return new Date(at).toLocaleString(undefined, options);
  } catch {
    return at; // a zone that the browser does not know
  }
}

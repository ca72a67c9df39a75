import { duration } from "../../ui/Time";
import type { Bar, Row, Timeline } from "./timeline";

interface Props {
  timeline: Timeline;
  chosen: string | undefined;
  onChoose: (key: string | undefined) => void;
}

/** The timeline, one bar a row. What was lost is a line through the rows. */
export function Bars({ timeline, chosen, onChoose }: Props) {
  const { from, to, rows, crashes } = timeline;
  const at = (time: number) => `${(100 * Math.min(Math.max(time - from, 0), to - from)) / (to - from)}%`;
  return (
    <ol className="timeline card" aria-label="Timeline">
      {rows.map((row) => (
        <li key={row.key}>
          <Label row={row} chosen={row.key === chosen} onChoose={onChoose} />
          <span className="track">
            {crashes.map((crash) => (
              <span key={crash} className="crash" style={{ left: at(crash) }} />
            ))}
            <span
              className={`bar bar-${row.bar.kind}`}
              data-open={row.bar.open || undefined}
              style={{ left: at(row.bar.from), right: `calc(100% - ${at(row.bar.to)})` }}
            />
          </span>
          <span className="took">{row.bar.kind === "person" ? "" : duration(row.bar.to - row.bar.from)}</span>
        </li>
      ))}
    </ol>
  );
}

function Label({ row, chosen, onChoose }: { row: Row; chosen: boolean; onChoose: Props["onChoose"] }) {
  const text = (
    <>
      <span className="name">{row.label}</span> <small>{row.about}</small>
      <span className="hidden">, {SAID[row.bar.kind]}</span>
    </>
  );
  if (!row.step) return <span className="label">{text}</span>;
  return (
    <button
      type="button"
      className="label"
      aria-expanded={chosen}
      onClick={() => onChoose(chosen ? undefined : row.key)}
    >
      {text}
    </button>
  );
}

/** What a bar's colour says. */
const SAID: Record<Bar["kind"], string> = {
  wait: "waiting",
  attempt: "attempt",
  lost: "lost here",
  step: "step",
  failed: "failed",
  stopped: "stopped, because one beside it failed",
  asked: "asks",
  person: "a person",
};

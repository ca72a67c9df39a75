import type { RunBucket, RunStats } from "../../api/types";
import { Details } from "../../ui/Details";

const OUTCOMES = ["success", "interrupted", "cancelled", "timeout", "error"] as const;
const WIDTH = 720;
const HEIGHT = 140;

/** Runs by outcome over time: a drawing, and the same as a table. */
export function Outcomes({ stats }: { stats: RunStats }) {
  const { buckets, bucket_seconds } = stats;
  const most = Math.max(1, ...buckets.map(total));
  const all = buckets.reduce((sum, bucket) => sum + total(bucket), 0);
  const since = Date.parse(stats.since);
  // Spans in which no run ended are not in the answer.
  const places = Math.max(1, Math.ceil((Date.now() - since) / (1000 * bucket_seconds)));
  const width = WIDTH / places;
  const placeOf = ({ at }: RunBucket) => Math.max(0, Math.floor((Date.parse(at) - since) / (1000 * bucket_seconds)));
  return (
    <figure className="card outcomes">
      <figcaption>
        {all.toLocaleString()} runs ended, at most {most.toLocaleString()} in {spanOf(bucket_seconds)}
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {buckets.map((bucket) => (
          <Stack key={bucket.at} bucket={bucket} x={placeOf(bucket) * width} width={width} most={most} />
        ))}
      </svg>
      <ul className="legend">
        {OUTCOMES.map((outcome) => (
          <li key={outcome}>
            <span className={`swatch outcome-${outcome}`} aria-hidden="true" /> {outcome}
          </li>
        ))}
      </ul>
      <Details summary="As a table">
        <Table buckets={buckets} />
      </Details>
    </figure>
  );
}

function Stack({ bucket, x, width, most }: { bucket: RunBucket; x: number; width: number; most: number }) {
  let top = HEIGHT;
  return OUTCOMES.map((outcome) => {
    const height = (HEIGHT * bucket[outcome]) / most;
    top -= height;
    if (height === 0) return null;
    return <rect key={outcome} className={`outcome-${outcome}`} x={x} y={top} width={Math.max(1, width - 1)} height={height} />;
  });
}

function Table({ buckets }: { buckets: RunBucket[] }) {
  const rows = buckets.filter((bucket) => total(bucket) > 0);
  if (rows.length === 0) return <p className="hint">No run ended.</p>;
  return (
    <div className="table-frame" tabIndex={0} role="region" aria-label="Runs by outcome">
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            {OUTCOMES.map((outcome) => (
              <th key={outcome} scope="col" className="number">
                {outcome}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((bucket) => (
            <tr key={bucket.at}>
              <th scope="row">{new Date(bucket.at).toLocaleTimeString()}</th>
              {OUTCOMES.map((outcome) => (
                <td key={outcome} className="number">
                  {bucket[outcome]}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function total(bucket: RunBucket): number {
  return OUTCOMES.reduce((sum, outcome) => sum + bucket[outcome], 0);
}

function spanOf(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  return seconds === 60 ? "a minute" : `${Math.round(seconds / 60)} minutes`;
}

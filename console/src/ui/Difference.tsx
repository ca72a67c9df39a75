import "./difference.css";

import { useMemo } from "react";

import { type Change, changesOf } from "./changes";

const MOST = 200;
const SIGNS: Record<Change["kind"], string> = { added: "+", removed: "−", changed: "±" };

/** What changed between two states. */
export function Difference({ before, after }: { before: unknown; after: unknown }) {
  const changes = useMemo(() => changesOf(before, after), [before, after]);
  if (changes.length === 0) return <p className="hint">The state did not change.</p>;
  return (
    <div className="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">Where</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
        <tbody>
          {changes.slice(0, MOST).map((change) => (
            <tr key={change.path} className={`change-${change.kind}`}>
              <th scope="row">
                <span aria-hidden="true">{SIGNS[change.kind]}</span> <code>{change.path || "all"}</code>
                <span className="hidden"> {change.kind}</span>
              </th>
              <td>{change.kind !== "added" && <code>{text(change.before)}</code>}</td>
              <td>{change.kind !== "removed" && <code>{text(change.after)}</code>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {changes.length > MOST && <p className="hint">and {changes.length - MOST} more</p>}
    </div>
  );
}

function text(value: unknown): string {
  const json = JSON.stringify(value, null, 1) ?? "";
  return json.length > 2000 ? `${json.slice(0, 2000)}…` : json;
}

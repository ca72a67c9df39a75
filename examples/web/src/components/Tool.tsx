import type { ToolCall } from "../api/events";
import type { Result } from "../conversation";

interface Props {
  call: ToolCall;
  result: Result | null;
  waits: boolean;
  atWork: boolean;
}

export function Tool({ call, result, waits, atWork }: Props) {
  const state = stateOf(result, waits, atWork);
  return (
    <section className={`tool ${state}`} aria-label={`Tool ${call.name}`}>
      <h2>
        <code>{call.name}</code>
        <span className="chip">{state}</span>
      </h2>
      <dl>
        {Object.entries(call.args).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
          </div>
        ))}
      </dl>
      {result && <p className="result">{result.content}</p>}
    </section>
  );
}

function stateOf(result: Result | null, waits: boolean, atWork: boolean): string {
  if (result) return result.status === "error" ? "failed" : "done";
  if (waits) return "waiting";
  return atWork ? "running" : "unfinished";
}

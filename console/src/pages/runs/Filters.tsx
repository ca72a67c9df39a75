import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { agentsQuery } from "../../api/queries";
import { RUN_STATES, type RunState } from "../../api/states";
import { Button } from "../../ui/Button";
import { Choice, TextField } from "../../ui/fields";
import { Typed } from "../../ui/Typed";
import type { RunsSearch } from "./search";

interface Props {
  search: RunsSearch;
  onChange: (search: RunsSearch) => void;
}

const SPANS = [
  { value: "", name: "Any time" },
  { value: "15", name: "The last 15 minutes" },
  { value: "60", name: "The last hour" },
  { value: "1440", name: "The last day" },
  { value: "10080", name: "The last 7 days" },
  { value: "range", name: "Between two times" },
];
const RANGE = "range";

export function Filters({ search, onChange }: Props) {
  const agents = useQuery(agentsQuery).data ?? [];
  // On a telephone alone: there they would fill the page.
  const [open, setOpen] = useState(() => Object.keys(search).some((name) => name !== "status"));
  const set = (name: keyof RunsSearch, value: unknown) => {
    const { [name]: _, ...rest } = search;
    onChange(value === "" || value === undefined ? rest : { ...rest, [name]: value });
  };
  const graphs = agents.filter(({ agent }) => !search.agent || agent === search.agent).flatMap(({ graphs }) => graphs);
  return (
    <section aria-label="Filters" className="runs-filters">
      <States chosen={search.status ?? []} onChange={(status) => set("status", status.length ? status : undefined)} />
      <Button className="more-filters" aria-expanded={open} aria-controls="filters" onClick={() => setOpen(!open)}>
        Filters
      </Button>
      <div className="filters" id="filters" data-open={open || undefined}>
        <Choice
          label="Agent"
          value={search.agent ?? ""}
          options={choices(agents.map(({ agent }) => agent), search.agent)}
          onChange={(value) => set("agent", value)}
        />
        <Choice
          label="Graph"
          value={search.graph ?? ""}
          options={choices(graphs.map(({ graph }) => graph), search.graph)}
          onChange={(value) => set("graph", value)}
        />
        <Accepted search={search} onChange={onChange} />
        <Typed label="Metadata or ids" value={search.text} onChange={(value) => set("text", value)} />
        <Typed label="Thread" value={search.thread} onChange={(value) => set("thread", value)} />
        <Typed label="Assistant" value={search.assistant} onChange={(value) => set("assistant", value)} />
        <Typed label="Owner" value={search.owner} onChange={(value) => set("owner", value)} />
      </div>
    </section>
  );
}

/** A span up to now, or two times. */
function Accepted({ search: { within, from, to, ...rest }, onChange }: Props) {
  const [asksBoth, setAsksBoth] = useState(false);
  const isRange = from !== undefined || to !== undefined || (asksBoth && within === undefined);
  const change = (next: { from: string | undefined; to: string | undefined }) =>
    onChange({ ...rest, ...(next.from && { from: next.from }), ...(next.to && { to: next.to }) });
  return (
    <>
      <Choice
        label="Accepted"
        value={isRange ? RANGE : String(within ?? "")}
        options={SPANS}
        onChange={(value) => {
          setAsksBoth(value === RANGE);
          onChange(value === "" || value === RANGE ? rest : { ...rest, within: Number(value) });
        }}
      />
      {isRange && (
        <>
          <Moment label="From" value={from} onChange={(value) => change({ from: value, to })} />
          <Moment label="To" value={to} onChange={(value) => change({ from, to: value })} />
        </>
      )}
    </>
  );
}

/** A time in the reader's own zone; the address has it in UTC. */
function Moment({ label, value, onChange }: { label: string; value: string | undefined; onChange: (value: string | undefined) => void }) {
  const told = (text: string) => {
    const time = Date.parse(text);
    onChange(Number.isNaN(time) ? undefined : new Date(time).toISOString());
  };
  return <TextField label={label} type="datetime-local" value={value ? local(value) : ""} onChange={told} />;
}

function local(at: string): string {
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function States({ chosen, onChange }: { chosen: RunState[]; onChange: (states: RunState[]) => void }) {
  return (
    <div role="group" aria-label="States" className="actions">
      {RUN_STATES.map((state) => {
        const on = chosen.includes(state);
        return (
          <button
            key={state}
            type="button"
            aria-pressed={on}
            className="toggle"
            onClick={() => onChange(on ? chosen.filter((other) => other !== state) : [...chosen, state])}
          >
            {state}
          </button>
        );
      })}
    </div>
  );
}

function choices(names: string[], chosen: string | undefined) {
  const all = [...new Set(chosen ? [...names, chosen] : names)].sort();
  return [{ value: "", name: "Any" }, ...all.map((name) => ({ value: name, name }))];
}

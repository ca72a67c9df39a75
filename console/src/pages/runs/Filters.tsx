import { useQuery } from "@tanstack/react-query";

import { agentsQuery } from "../../api/queries";
import { RUN_STATES, type RunState } from "../../api/states";
import { Choice } from "../../ui/fields";
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
];

export function Filters({ search, onChange }: Props) {
  const agents = useQuery(agentsQuery).data ?? [];
  const set = (name: keyof RunsSearch, value: unknown) => {
    const { [name]: _, ...rest } = search;
    onChange(value === "" || value === undefined ? rest : { ...rest, [name]: value });
  };
  const graphs = agents.filter(({ agent }) => !search.agent || agent === search.agent).flatMap(({ graphs }) => graphs);
  return (
    <section aria-label="Filters" className="runs-filters">
      <States chosen={search.status ?? []} onChange={(status) => set("status", status.length ? status : undefined)} />
      <div className="filters">
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
        <Choice
          label="Accepted"
          value={String(search.within ?? "")}
          options={SPANS}
          onChange={(value) => set("within", value && Number(value))}
        />
        <Typed label="Metadata or ids" value={search.text} onChange={(value) => set("text", value)} />
        <Typed label="Thread" value={search.thread} onChange={(value) => set("thread", value)} />
        <Typed label="Assistant" value={search.assistant} onChange={(value) => set("assistant", value)} />
        <Typed label="Owner" value={search.owner} onChange={(value) => set("owner", value)} />
      </div>
    </section>
  );
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

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { call } from "../../api/client";
import { agentsQuery } from "../../api/queries";
import type { Percentiles, RunStats } from "../../api/types";
import { Choice } from "../../ui/fields";
import { Failed, Loading } from "../../ui/states";
import { duration } from "../../ui/Time";
import { Outcomes } from "./Outcomes";

const REFRESH_MS = 10_000;
const SPANS = [
  { value: "60", name: "The last hour" },
  { value: "360", name: "The last 6 hours" },
  { value: "1440", name: "The last day" },
];

/** What runs came to and how long they took, from the database. */
export function Charts() {
  const [minutes, setMinutes] = useState("60");
  const [agent, setAgent] = useState("");
  const agents = useQuery(agentsQuery).data ?? [];
  const stats = useQuery({
    queryKey: ["stats", minutes, agent],
    queryFn: ({ signal }) =>
      call<RunStats>("POST", "/runs/stats", { minutes: Number(minutes), ...(agent && { agent }) }, signal),
    refetchInterval: REFRESH_MS,
    placeholderData: keepPreviousData,
  });
  const names = [{ value: "", name: "All" }, ...agents.map(({ agent: name }) => ({ value: name, name }))];
  return (
    <section aria-label="Runs" className="charts">
      <div className="page-head">
        <h2>Runs</h2>
        <Choice label="Span" value={minutes} options={SPANS} onChange={setMinutes} />
        <Choice label="Agent" value={agent} options={names} onChange={setAgent} />
      </div>
      {stats.error && <Failed error={stats.error} retry={() => void stats.refetch()} />}
      {stats.isPending && !stats.error && <Loading what="the charts" />}
      {stats.data && <Figures stats={stats.data} />}
      {stats.data && <Outcomes stats={stats.data} />}
    </section>
  );
}

function Figures({ stats }: { stats: RunStats }) {
  const { pending, running, delayed, start_ms, duration_ms } = stats;
  return (
    <dl className="figures">
      <Figure name="Running" value={running} />
      <Figure name="Pending" value={pending} />
      <Figure name="Delayed" value={delayed} />
      <Figure name="Until it starts, p50 / p95" value={percentiles(start_ms)} />
      <Figure name="Duration, p50 / p95" value={percentiles(duration_ms)} />
    </dl>
  );
}

function Figure({ name, value }: { name: string; value: number | string }) {
  return (
    <div className="card">
      <dt>{name}</dt>
      <dd>{value.toLocaleString()}</dd>
    </div>
  );
}

function percentiles(of: Percentiles | null): string {
  return of ? `${duration(of.p50)} / ${duration(of.p95)}` : "–";
}

import { getRouteApi } from "@tanstack/react-router";
import { useMemo } from "react";

import type { RunEvent } from "../../api/events";
import { type Run, stateOf } from "../../api/runs";
import { isActive } from "../../api/states";
import { Empty } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";
import { useNow } from "../../ui/Time";
import { StepPanel } from "./StepPanel";
import { Bars } from "./Bars";
import { endsOf } from "./tasks";
import { type Timeline, timelineOf } from "./timeline";
import { MOST_STEPS, useAttempts, useSteps } from "./useRun";

const route = getRouteApi("/runs/$threadId/$runId");

export function TimelineTab({ run, events }: { run: Run; events: RunEvent[] }) {
  const attempts = useAttempts(run);
  const steps = useSteps(run);
  const active = isActive(stateOf(run));
  const now = useNow(active ? 500 : undefined);
  const ends = useMemo(() => endsOf(events), [events]);
  const timeline = useMemo(
    () => timelineOf(run, attempts.data ?? [], steps.data ?? [], ends, active ? now : Date.now()),
    [run, attempts.data, steps.data, ends, active, now],
  );
  const { step: chosen } = route.useSearch();
  const navigate = route.useNavigate();
  const opened = timeline.rows.find((row) => row.key === chosen && row.step);
  const choose = (key: string | undefined) =>
    void navigate({ search: ({ step: _, ...rest }) => (key ? { ...rest, step: key } : rest), replace: true, resetScroll: false });

  if (steps.isPending && !steps.error) return <Loading what="the timeline" />;
  return (
    <div className="timeline-tab">
      {steps.error && <Failed error={steps.error} retry={() => void steps.refetch()} />}
      {attempts.error && <p className="hint">The attempts are not known: {attempts.error.message}</p>}
      {steps.data?.length === MOST_STEPS + 1 && <p className="hint">Only the newest {MOST_STEPS} steps are shown.</p>}
      {isBare(timeline) ? (
        <Empty title={active ? "It has not begun yet." : "It ended before it began."} />
      ) : (
        <Bars timeline={timeline} chosen={opened?.key} onChoose={choose} />
      )}
      {opened?.step && (
        <StepPanel key={opened.key} run={run} row={opened} step={opened.step} events={events} onClose={() => choose(undefined)} />
      )}
    </div>
  );
}

function isBare(timeline: Timeline): boolean {
  return timeline.rows.length === 0;
}

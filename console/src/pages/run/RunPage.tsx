import "./journal.css";
import "./run.css";

import { getRouteApi, Link } from "@tanstack/react-router";

import { ApiError } from "../../api/errors";
import { useRunEvents } from "../../api/events";
import { type Run, stateOf } from "../../api/runs";
import { Empty, Page } from "../../ui/Page";
import { ShortId } from "../../ui/ShortId";
import { StateBadge } from "../../ui/StateBadge";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { Tabs } from "../../ui/Tabs";
import { Events } from "./Events";
import { Log } from "./Log";
import { RunActions } from "./RunActions";
import { RunFacts } from "./RunFacts";
import { TimelineTab } from "./TimelineTab";
import { useRefreshOn, useRun } from "./useRun";

const route = getRouteApi("/runs/$threadId/$runId");

/** One run: what it did when, its events, and what can be done with it. */
export function RunPage() {
  const { threadId, runId } = route.useParams();
  const run = useRun(threadId, runId);
  const isGone = run.error instanceof ApiError && run.error.status === 404;
  if (run.data && !isGone) return <Shown key={runId} run={run.data} stale={run.error !== null} />;
  if (isGone)
    return (
      <Page title="Run">
        <Empty title="There is no such run. It was deleted, rolled back or is somebody else's.">
          <Link to="/runs" search={{}}>
            See the runs
          </Link>
        </Empty>
      </Page>
    );
  return (
    <Page title="Run">
      {run.error ? <Failed error={run.error} retry={() => void run.refetch()} /> : <Loading what="the run" />}
    </Page>
  );
}

function Shown({ run, stale }: { run: Run; stale: boolean }) {
  const followed = useRunEvents(run.thread_id, run.run_id);
  useRefreshOn(run, followed.events.length, followed.connection === "ended");
  const { tab } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <Page
      title={`Run of ${run.graph}`}
      beside={
        <>
          <StateBadge state={stateOf(run)} />
          <ShortId id={run.run_id} />
          <RunActions run={run} />
        </>
      }
    >
      <Reconnecting shown={stale || followed.connection === "reconnecting"} />
      <RunFacts run={run} />
      <Tabs
        label="The run"
        value={tab ?? "Timeline"}
        onChange={(name) => void navigate({ search: (before) => ({ ...before, tab: name }), replace: true, resetScroll: false })}
        tabs={[
          { name: "Timeline", content: <TimelineTab run={run} events={followed.events} /> },
          { name: "Events", content: <Events followed={followed} /> },
          { name: "Log", content: <Log run={run} /> },
        ]}
      />
    </Page>
  );
}

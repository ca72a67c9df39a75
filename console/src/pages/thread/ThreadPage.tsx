import "./thread.css";

import { useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";

import { ApiError } from "../../api/errors";
import { useRunEvents } from "../../api/events";
import { getState } from "../../api/history";
import { POLL_MS, searchRuns } from "../../api/queries";
import { deleteThread, getThread, type Thread } from "../../api/threads";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useNotices } from "../../ui/Notices";
import { Empty, Page } from "../../ui/Page";
import { ShortId } from "../../ui/ShortId";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { Tabs } from "../../ui/Tabs";
import { ThreadBadge } from "../../ui/ThreadBadge";
import { Conversation } from "./Conversation";
import { History } from "./History";
import { messagesOf } from "./messages";
import { State } from "./State";
import { ThreadFacts } from "./ThreadFacts";
import { ThreadRuns } from "./ThreadRuns";

const route = getRouteApi("/threads/$threadId");

export function ThreadPage() {
  const { threadId } = route.useParams();
  const thread = useQuery({
    queryKey: ["thread", threadId],
    queryFn: ({ signal }) => getThread(threadId, signal),
    refetchInterval: POLL_MS,
  });
  // Also while it is looked at: what is kept of it is no longer there.
  const isGone = thread.error instanceof ApiError && thread.error.status === 404;
  if (thread.data && !isGone) return <Shown key={threadId} thread={thread.data} stale={thread.error !== null} />;
  return (
    <Page title="Thread">
      {isGone && (
        <Empty title="There is no such thread. It was deleted or is somebody else's.">
          <Link to="/threads" search={{}}>
            See the threads
          </Link>
        </Empty>
      )}
      {thread.error && !isGone && <Failed error={thread.error} retry={() => void thread.refetch()} />}
      {thread.isPending && !thread.error && <Loading what="the thread" />}
    </Page>
  );
}

function Shown({ thread, stale }: { thread: Thread; stale: boolean }) {
  const { thread_id: threadId, status, updated_at } = thread;
  const { tab } = route.useSearch();
  const navigate = route.useNavigate();
  const busy = status === "busy";
  const state = useQuery({
    queryKey: ["thread", threadId, "state", updated_at],
    queryFn: ({ signal }) => getState(threadId, undefined, signal),
    refetchInterval: busy ? POLL_MS : false,
    placeholderData: (before) => before,
  });
  const running = useQuery({
    queryKey: ["thread", threadId, "running", updated_at],
    queryFn: ({ signal }) => searchRuns({ thread_id: threadId, status: ["running", "pending"] }, 1, null, signal),
    enabled: busy,
  });
  const { events, connection } = useRunEvents(threadId, busy ? running.data?.runs[0]?.run_id : undefined);
  const messages = messagesOf(state.data?.values);
  const tabs = [
    ...(messages || events.length > 0
      ? [{ name: "Conversation", content: <Conversation messages={messages ?? []} events={events} /> }]
      : []),
    { name: "State", content: state.data ? <State thread={thread} state={state.data} /> : <Loading what="the state" /> },
    { name: "History", content: <History thread={thread} /> },
    { name: "Runs", content: <ThreadRuns threadId={threadId} /> },
  ];
  const isThere = tabs.some(({ name }) => name === tab);
  return (
    <Page
      title={thread.name ?? "Thread"}
      beside={
        <>
          <ThreadBadge status={status} />
          <ShortId id={threadId} />
          <Delete threadId={threadId} />
        </>
      }
    >
      <Reconnecting shown={stale || connection === "reconnecting"} />
      <ThreadFacts thread={thread} />
      {state.error && <Failed error={state.error} retry={() => void state.refetch()} />}
      <Tabs
        label="The thread"
        value={(isThere && tab) || tabs[0]!.name}
        onChange={(name) => void navigate({ search: (before) => ({ ...before, tab: name }), replace: true, resetScroll: false })}
        tabs={tabs}
      />
    </Page>
  );
}

function Delete({ threadId }: { threadId: string }) {
  const [asking, setAsking] = useState(false);
  const { done, failed } = useNotices();
  const navigate = route.useNavigate();
  const { mutate, isPending } = useMutation({
    mutationFn: () => deleteThread(threadId),
    onSuccess: () => {
      done("Deleted.");
      void navigate({ to: "/threads", search: {} });
    },
    onError: failed,
  });
  return (
    <>
      <Button kind="danger" disabled={isPending} onClick={() => setAsking(true)}>
        Delete
      </Button>
      <Confirm title="Delete this thread?" open={asking} does="Delete the thread" onConfirm={mutate} onClose={() => setAsking(false)}>
        Its state, its history and its runs are deleted with it.
      </Confirm>
    </>
  );
}

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";

import { POLL_MS } from "../../api/queries";
import { searchThreads, THREAD_STATES, type ThreadFilter, type ThreadSummary } from "../../api/threads";
import type { JsonObject } from "../../api/types";
import { Button } from "../../ui/Button";
import { Choice } from "../../ui/fields";
import { Empty, Page } from "../../ui/Page";
import { ShortId } from "../../ui/ShortId";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { ThreadBadge } from "../../ui/ThreadBadge";
import { Time } from "../../ui/Time";
import { Typed } from "../../ui/Typed";

const route = getRouteApi("/threads");
const PAGE = 50;
const STATES = [{ value: "", name: "Any" }, ...THREAD_STATES.map((state) => ({ value: state as string, name: state }))];

export function ThreadsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const threads = useInfiniteQuery({
    queryKey: ["threads", search],
    initialPageParam: 0,
    queryFn: ({ pageParam, signal }) => searchThreads(filterOf(search), PAGE, pageParam, signal),
    getNextPageParam: (last, pages) => (last.length < PAGE ? undefined : pages.length * PAGE),
    refetchInterval: 2 * POLL_MS,
    placeholderData: keepPreviousData,
  });
  const rows = threads.data?.pages.flat() ?? [];
  const change = (name: "status" | "metadata", value: string) =>
    void navigate({ search: ({ [name]: _, ...rest }) => (value ? { ...rest, [name]: value } : rest), replace: true, resetScroll: false });
  return (
    <Page title="Threads">
      <div className="filters">
        <Choice label="State" value={search.status ?? ""} options={STATES} onChange={(value) => change("status", value)} />
        <Typed label="Metadata, as key=value" value={search.metadata} onChange={(value) => change("metadata", value)} />
      </div>
      <Reconnecting shown={threads.error !== null && threads.data !== undefined} />
      {threads.error && !threads.data && <Failed error={threads.error} retry={() => void threads.refetch()} />}
      {threads.isPending && !threads.error && <Loading what="threads" />}
      {threads.data && rows.length === 0 && <Empty title="There are no such threads." />}
      {rows.length > 0 && <Table threads={rows} />}
      {threads.hasNextPage && (
        <div className="actions">
          <Button disabled={threads.isFetchingNextPage} onClick={() => void threads.fetchNextPage()}>
            Older threads
          </Button>
        </div>
      )}
    </Page>
  );
}

function Table({ threads }: { threads: ThreadSummary[] }) {
  return (
    <div className="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Thread</th>
            <th scope="col">Graph</th>
            <th scope="col">Changed</th>
            <th scope="col">Metadata</th>
          </tr>
        </thead>
        <tbody>
          {threads.map(({ thread_id, name, status, updated_at, metadata }) => {
            const { graph_id, assistant_id: _, ...rest } = metadata;
            return (
              <tr key={thread_id}>
                <td>
                  <ThreadBadge status={status} />
                </td>
                <td>
                  <Link to="/threads/$threadId" params={{ threadId: thread_id }}>
                    {name ?? <ShortId id={thread_id} />}
                  </Link>
                </td>
                <td>{typeof graph_id === "string" ? graph_id : "–"}</td>
                <td>
                  <Time at={updated_at} />
                </td>
                <td>{Object.keys(rest).length > 0 && <code>{JSON.stringify(rest).slice(0, 200)}</code>}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function filterOf({ status, metadata }: { status?: string; metadata?: string }): ThreadFilter {
  const state = THREAD_STATES.find((one) => one === status);
  const wanted = metadata ? pair(metadata) : undefined;
  return { ...(state && { status: state }), ...(wanted && { metadata: wanted }) };
}

/** `key=value`. A value that is JSON is meant so: `paid=true`. */
function pair(text: string): JsonObject | undefined {
  const split = text.indexOf("=");
  if (split < 1) return undefined;
  const value = text.slice(split + 1).trim();
  try {
    return { [text.slice(0, split).trim()]: JSON.parse(value) };
  } catch {
    return { [text.slice(0, split).trim()]: value };
  }
}

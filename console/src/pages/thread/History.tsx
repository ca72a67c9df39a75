import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo } from "react";

import { type Checkpoint, searchSteps, type Step } from "../../api/history";
import type { Thread } from "../../api/threads";
import { Button } from "../../ui/Button";
import { Empty } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";
import { Time } from "../../ui/Time";
import { CheckpointPanel } from "./CheckpointPanel";
import { type Node, treeOf } from "./tree";

const route = getRouteApi("/threads/$threadId");
const PAGE = 100;
const LANE_PX = 18;
const ROW_PX = 40;

/** A thread's checkpoints, newest first, drawn with their forks. */
export function History({ thread }: { thread: Thread }) {
  const { thread_id: threadId, updated_at } = thread;
  const { at } = route.useSearch();
  const navigate = route.useNavigate();
  const history = useInfiniteQuery({
    queryKey: ["thread", threadId, "history", updated_at],
    initialPageParam: null as Checkpoint | null,
    queryFn: ({ pageParam, signal }) =>
      searchSteps(threadId, { limit: PAGE, ...(pageParam && { before: pageParam }) }, signal),
    getNextPageParam: (last) => (last.length < PAGE ? undefined : last.at(-1)!.checkpoint),
    placeholderData: (before) => before,
  });
  const nodes = useMemo(() => treeOf(history.data?.pages.flat() ?? []), [history.data]);
  const choose = (id: string | undefined) =>
    void navigate({ search: ({ at: _, ...rest }) => (id ? { ...rest, at: id } : rest), replace: true, resetScroll: false });
  if (!history.data)
    return history.error ? <Failed error={history.error} retry={() => void history.refetch()} /> : <Loading what="the history" />;
  if (nodes.length === 0) return <Empty title="Nothing has happened on this thread yet." />;
  const opened = nodes.find(({ step }) => step.checkpoint.checkpoint_id === at);
  return (
    <div className="history">
      <ol className="tree card" aria-label="History">
        {nodes.map((node) => (
          <Row key={node.step.checkpoint.checkpoint_id} node={node} chosen={node === opened} onChoose={choose} />
        ))}
      </ol>
      {history.hasNextPage && <Button onClick={() => void history.fetchNextPage()}>Earlier steps</Button>}
      {opened && <CheckpointPanel key={at} thread={thread} step={opened.step} onClose={() => choose(undefined)} />}
    </div>
  );
}

interface RowProps {
  node: Node;
  chosen: boolean;
  onChoose: (id: string | undefined) => void;
}

function Row({ node, chosen, onChoose }: RowProps) {
  const { step } = node;
  const { metadata } = step;
  const id = step.checkpoint.checkpoint_id;
  const failed = step.tasks.some((task) => task.error !== null);
  const asks = step.tasks.some((task) => task.interrupts.length > 0);
  return (
    <li>
      <Drawing node={node} />
      <button type="button" aria-expanded={chosen} onClick={() => onChoose(chosen ? undefined : id)}>
        <span className="tree-name">
          {metadata.source === "update" ? "Edited" : metadata.source === "input" ? "Input" : `Step ${metadata.step ?? "?"}`}
        </span>
        <span>
          {nextOf(step)}
          {failed && " · failed"}
          {asks && " · asks"}
        </span>
        <small>
          <Time at={step.created_at} />
        </small>
      </button>
    </li>
  );
}

function Drawing({ node: { lane, above, below, joining } }: { node: Node }) {
  const x = (of: number) => LANE_PX / 2 + of * LANE_PX;
  const width = LANE_PX * (Math.max(lane, ...above, ...below) + 1);
  const middle = ROW_PX / 2;
  return (
    <svg width={width} height={ROW_PX} aria-hidden="true">
      {above.map((other) =>
        joining.includes(other) ? (
          <path key={`a${other}`} d={`M${x(other)} 0 V${middle / 2} L${x(lane)} ${middle}`} />
        ) : (
          <path key={`a${other}`} d={`M${x(other)} 0 V${middle}`} />
        ),
      )}
      {below.map((other) => (
        <path key={`b${other}`} d={`M${x(other)} ${middle} V${ROW_PX}`} />
      ))}
      <circle cx={x(lane)} cy={middle} r={5} />
    </svg>
  );
}

/** What comes behind a step, in words. */
function nextOf({ next }: Step): string {
  if (next.length === 0) return "the end";
  // LangGraph's own, which takes in the input.
  const nodes = [...new Set(next)].filter((node) => node !== "__start__");
  return nodes.length > 0 ? `then ${nodes.join(", ")}` : "";
}

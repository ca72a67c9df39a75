import "./inbox.css";

import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { Button } from "../../ui/Button";
import { Choice } from "../../ui/fields";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { useKeys } from "../../ui/useKeys";
import { KeyHelp } from "./KeyHelp";
import { QuestionCard } from "./QuestionCard";
import { QuestionList } from "./QuestionList";
import { type Question, useInbox } from "./useInbox";

const route = getRouteApi("/inbox");
const STEP = 100;

/** What waits for a person, in all threads, oldest first. */
export function InboxPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [limit, setLimit] = useState(STEP);
  const [helps, setHelps] = useState(false);
  const { questions, error, isPending, refetch, hasMore, isFetching } = useInbox(limit);
  const [opened, setOpened] = useState<Question | null>(null);
  const [answered, setAnswered] = useState<ReadonlySet<string>>(new Set());

  const there = questions?.filter((question) => !answered.has(question.key)) ?? [];
  const shown = there.filter(({ graph, owner }) => (!search.graph || graph === search.graph) && (!search.owner || owner === search.owner));
  const isNamed = ({ threadId, id }: Question) => threadId === search.thread && (!search.question || id === search.question);
  const named = shown.find(isNamed);
  // One that is open stays so when somebody else answers it: its reader is told.
  const isGone = opened !== null && isNamed(opened) && !shown.some(({ key }) => key === opened.key);
  const current = isGone ? opened : named;
  if (current && current.key !== opened?.key) setOpened(current);

  const open = (question: Question | undefined) => {
    setOpened(question ?? null);
    const { thread: _, question: __, ...filters } = search;
    const next = question && { thread: question.threadId, ...(question.id && { question: question.id }) };
    void navigate({ search: { ...filters, ...next }, replace: true });
  };
  const step = (by: number) => {
    const index = shown.findIndex((question) => question.key === current?.key);
    open(shown[Math.max(0, Math.min(shown.length - 1, index + by))]);
  };
  const finish = (question: Question) => {
    const index = shown.indexOf(question);
    setAnswered(new Set([...answered, question.key]));
    open(shown[index + 1] ?? shown[index - 1]);
    void refetch();
  };
  useKeys({ j: () => step(1), k: () => step(-1), "?": () => setHelps(true) });

  return (
    <Page
      title="Inbox"
      beside={
        <Button kind="quiet" onClick={() => setHelps(true)}>
          Keys
        </Button>
      }
    >
      <KeyHelp open={helps} onClose={() => setHelps(false)} />
      <Reconnecting shown={error !== null && questions !== undefined} />
      {isPending && !error && <Loading what="questions" />}
      {error && !questions && <Failed error={error} retry={() => void refetch()} />}
      {questions && there.length === 0 && !current && !hasMore && (
        <Empty title="Nothing waits for you.">
          <p>When an agent asks something, its question appears here.</p>
        </Empty>
      )}
      {(there.length > 0 || current) && (
        <div className="inbox" data-open={current ? true : undefined}>
          <div className="inbox-side">
            <div className="filters">
              <Filter
                label="Graph"
                value={search.graph}
                values={there.map(({ graph }) => graph)}
                onChange={(graph) => void navigate({ search: ({ graph: _, ...rest }) => ({ ...rest, ...(graph && { graph }) }) })}
              />
              <Filter
                label="Owner"
                value={search.owner}
                values={there.flatMap(({ owner }) => owner ?? [])}
                onChange={(owner) => void navigate({ search: ({ owner: _, ...rest }) => ({ ...rest, ...(owner && { owner }) }) })}
              />
            </div>
            <QuestionList questions={shown} current={current?.key} onOpen={open} />
            {hasMore && (
              <Button disabled={isFetching} onClick={() => setLimit(limit + STEP)}>
                Look at more threads
              </Button>
            )}
          </div>
          {current ? (
            <QuestionCard
              key={current.key}
              question={current}
              gone={isGone}
              onBack={() => open(undefined)}
              onAnswered={() => finish(current)}
            />
          ) : (
            <Empty title="Choose a question." />
          )}
        </div>
      )}
    </Page>
  );
}

interface FilterProps {
  label: string;
  value: string | undefined;
  values: string[];
  onChange: (value: string) => void;
}

/** Shown where there is something to choose from. */
function Filter({ label, value = "", values, onChange }: FilterProps) {
  const known = [...new Set(value ? [value, ...values] : values)].sort();
  if (known.length < 2 && !value) return null;
  const options = [{ value: "", name: "All" }, ...known.map((one) => ({ value: one, name: one }))];
  return <Choice label={label} value={value} options={options} onChange={onChange} />;
}

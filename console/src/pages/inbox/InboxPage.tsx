import "./inbox.css";

import { getRouteApi } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { Button } from "../../ui/Button";
import { Choice } from "../../ui/fields";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { useKeys } from "../../ui/useKeys";
import { KeyHelp } from "./KeyHelp";
import { QuestionCard } from "./QuestionCard";
import { QuestionList } from "./QuestionList";
import { MOST_THREADS, type Question, useInbox } from "./useInbox";

const route = getRouteApi("/inbox");
const FIRST = 100;
const FILTERS = [
  ["Agent", "agent"],
  ["Graph", "graph"],
  ["Owner", "owner"],
] as const;

/** What waits for a person, in all threads, oldest first. */
export function InboxPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [limit, setLimit] = useState(FIRST);
  const [helps, setHelps] = useState(false);
  const { questions, error, isPending, refetch, hasMore, isFetching, isPlaceholderData } = useInbox(limit);
  const [opened, setOpened] = useState<Question | null>(null);
  const hasOpened = useRef(false);
  const [answered, setAnswered] = useState<ReadonlySet<string>>(new Set());

  const there = questions?.filter((question) => !answered.has(pauseOf(question))) ?? [];
  const shown = there.filter((question) => FILTERS.every(([, name]) => !search[name] || question[name] === search[name]));
  const isNamed = ({ threadId, id }: Question) => threadId === search.thread && (!search.question || id === search.question);
  const named = shown.find(isNamed);
  // One that is open stays so when it does not wait any more: its reader is told.
  const isGone = opened !== null && isNamed(opened) && !shown.some(({ key }) => key === opened.key);
  const current = isGone ? opened : named;
  if (current && current.key !== opened?.key) setOpened(current);

  const open = (question: Question | undefined) => {
    setOpened(question ?? null);
    const { thread: _, question: __, ...filters } = search;
    const next = question && { thread: question.threadId, ...(question.id && { question: question.id }) };
    void navigate({ search: { ...filters, ...next }, replace: true, resetScroll: false });
  };
  const step = (by: number) => {
    const index = shown.findIndex((question) => question.key === current?.key);
    open(shown[Math.max(0, Math.min(shown.length - 1, index + by))]);
  };
  const finish = (question: Question) => {
    const index = shown.indexOf(question);
    setAnswered(new Set([...answered, pauseOf(question)]));
    open(shown[index + 1] ?? shown[index - 1]);
    void refetch();
  };
  // The only one need not be chosen; once it was closed it stays so.
  const only = shown.length === 1 && !hasMore && !search.thread ? shown[0] : undefined;
  useEffect(() => {
    if (!only || hasOpened.current || current) return;
    hasOpened.current = true;
    open(only);
  });
  const more = () => setLimit(Math.min(2 * limit, MOST_THREADS));
  // Threads of runs that were cancelled are looked at and not shown.
  useEffect(() => {
    if (hasMore && !isPlaceholderData && there.length === 0) more();
  });
  useKeys({ j: () => step(1), k: () => step(-1), "?": () => setHelps(true) });

  return (
    <Page
      title="Inbox"
      beside={
        <Button kind="quiet" onClick={() => setHelps(true)}>
          Keyboard
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
              {FILTERS.map(([label, name]) => (
                <Filter
                  key={name}
                  label={label}
                  value={search[name]}
                  values={there.flatMap((question) => question[name] ?? [])}
                  onChange={(value) =>
                    void navigate({ search: ({ [name]: _, ...rest }) => ({ ...rest, ...(value && { [name]: value }) }) })
                  }
                />
              ))}
            </div>
            <QuestionList questions={shown} current={current?.key} onOpen={open} />
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
      {hasMore && (
        <div className="actions">
          <Button disabled={isFetching} onClick={more}>
            Look at more threads
          </Button>
        </div>
      )}
    </Page>
  );
}

/** The same question may wait again later, for another answer. */
function pauseOf({ key, askedAt }: Question): string {
  return `${key} ${askedAt}`;
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

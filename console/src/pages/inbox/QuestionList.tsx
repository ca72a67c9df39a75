import { useEffect, useRef } from "react";

import { aboutOf, titleOf } from "../../questions/shapes";
import { Time } from "../../ui/Time";
import type { Question } from "./useInbox";

interface Props {
  questions: Question[];
  current: string | undefined;
  onOpen: (question: Question) => void;
}

export function QuestionList({ questions, current, onOpen }: Props) {
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    list.current?.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
  }, [current]);
  if (questions.length === 0) return <p className="hint">No question fits these filters.</p>;
  return (
    <ol className="question-list" aria-label="Questions, oldest first" ref={list}>
      {questions.map((question) => (
        <li key={question.key}>
          <button type="button" aria-current={question.key === current} onClick={() => onOpen(question)}>
            <strong>{question.id === null ? "A pause" : titleOf(question.value)}</strong>
            {question.id !== null && <About text={aboutOf(question.value)} />}
            <span>
              {question.graph} · {question.threadName ?? question.threadId.slice(0, 8)}
              {question.owner && ` · ${question.owner}`} · <Time at={question.askedAt} />
            </span>
          </button>
        </li>
      ))}
    </ol>
  );
}

function About({ text }: { text: string }) {
  return text && <span className="about">{text.slice(0, MOST)}</span>;
}

/** More than a line holds, in characters. */
const MOST = 200;

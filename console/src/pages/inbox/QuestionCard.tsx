import "../thread/thread.css";

import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { ApiError, sentenceOf } from "../../api/errors";
import { startRun } from "../../api/runs";
import type { Json } from "../../api/types";
import { AnswerForm } from "../../questions/AnswerForm";
import { titleOf } from "../../questions/shapes";
import type { JsonSchema } from "../../schema/schema";
import { Button } from "../../ui/Button";
import { Details } from "../../ui/Details";
import { JsonView } from "../../ui/JsonView";
import { useNotices } from "../../ui/Notices";
import { Alert, Failed, Loading } from "../../ui/states";
import { Time } from "../../ui/Time";
import { Conversation } from "../thread/Conversation";
import { messagesOf } from "../thread/messages";
import { type Question, waitingStateQuery } from "./useInbox";

interface Props {
  question: Question;
  /** Whether it does not wait any more. */
  gone: boolean;
  onBack: () => void;
  onAnswered: () => void;
}

/** One question, what led to it, and the form for its answer. */
export function QuestionCard({ question, gone, onBack, onAnswered }: Props) {
  const { done } = useNotices();
  const { threadId, runId } = question;
  const state = useQuery({ ...waitingStateQuery(question), enabled: !gone });
  const send = useMutation({
    mutationFn: (answer: Json) => startRun(threadId, requestFor(question, answer)),
    onSuccess: () => {
      done(question.id === null ? "The run goes on." : "Answered. The run goes on.");
      onAnswered();
    },
  });
  const wasLate = send.error instanceof ApiError && send.error.status === 409;
  const messages = messagesOf(state.data?.values);

  return (
    <section className="card question" aria-labelledby="question-title">
      <Button kind="quiet" className="question-back" onClick={onBack}>
        All questions
      </Button>
      <h2 id="question-title">{question.id === null ? "A pause" : titleOf(question.value)}</h2>
      <p className="hint">
        {question.graph} asked <Time at={question.askedAt} /> ·{" "}
        <Link to="/threads/$threadId" params={{ threadId }}>
          Open the thread
        </Link>
        {runId && (
          <>
            {" · "}
            <Link to="/runs/$threadId/$runId" params={{ threadId, runId }}>
              Open the run
            </Link>
          </>
        )}
      </p>
      {wasLate && <Alert>Somebody else answered this question first. Your answer was not used.</Alert>}
      {gone && !wasLate && (
        <Alert>This question does not wait now: somebody else has answered it, or its thread is at work.</Alert>
      )}
      {send.error && !wasLate && <Alert>{sentenceOf(send.error)}</Alert>}
      {state.isPending && !gone && !state.error && <Loading what="the question" />}
      {state.error && <Failed error={state.error} retry={() => void state.refetch()} />}
      {state.data && (
        <>
          <Form
            question={question}
            schema={state.data.interrupts.find(({ id }) => id === question.id)?.response_schema ?? null}
            next={state.data.next}
            busy={send.isPending || gone || wasLate}
            onSend={send.mutate}
          />
          {messages && (
            <Details summary="Conversation">
              <Conversation messages={messages} events={[]} />
            </Details>
          )}
          <Details summary="State of the thread">
            <JsonView label="State of the thread" value={state.data.values} />
          </Details>
        </>
      )}
    </section>
  );
}

interface FormProps {
  question: Question;
  schema: JsonSchema | null;
  next: string[];
  busy: boolean;
  onSend: (answer: Json) => void;
}

function Form({ question, schema, next, busy, onSend }: FormProps) {
  if (question.id === null) {
    return (
      <>
        <p>The run paused before {next.join(", ") || "its end"}, as it was told to.</p>
        <Button kind="primary" disabled={busy} onClick={() => onSend(null)}>
          Go on
        </Button>
      </>
    );
  }
  return <AnswerForm question={question.value} schema={schema} busy={busy} onSend={onSend} />;
}

function requestFor({ assistant, id }: Question, answer: Json): Record<string, unknown> {
  if (id === null) return { assistant_id: assistant, input: null, multitask_strategy: "reject" };
  return { assistant_id: assistant, command: { resume: { [id]: answer } } };
}

import "./questions.css";

import type { Json } from "../api/types";
import type { JsonSchema } from "../schema/schema";
import { ActionsForm } from "./ActionsForm";
import { OtherForm } from "./OtherForm";
import { shapeOf } from "./shapes";

interface Props {
  question: Json;
  /** Of the answer, where the question says it. */
  schema: JsonSchema | null;
  busy: boolean;
  onSend: (answer: Json) => void;
}

/** The form that fits a question. */
export function AnswerForm({ question, schema, busy, onSend }: Props) {
  const shape = shapeOf(question, schema);
  if (shape.kind === "actions") return <ActionsForm shape={shape} busy={busy} onSend={onSend} />;
  return <OtherForm question={question} schema={schema} busy={busy} onSend={onSend} />;
}

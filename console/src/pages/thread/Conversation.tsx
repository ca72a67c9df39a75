import { useMemo } from "react";

import type { RunEvent } from "../../api/events";
import { Block } from "./Block";
import { Details } from "../../ui/Details";
import { JsonView } from "../../ui/JsonView";
import { blocks, liveMessages, type Message, type ToolCall } from "./messages";

interface Props {
  messages: Message[];
  /** Of the run that is under way. */
  events: RunEvent[];
}

/** A thread's messages as a conversation, with what is being written now. */
export function Conversation({ messages, events }: Props) {
  const live = useMemo(() => liveMessages(events, messages), [events, messages]);
  const all = [...messages, ...live];
  const results = new Map(all.flatMap((message) => (message.tool_call_id ? [[message.tool_call_id, message]] : [])));
  const called = new Set(all.flatMap((message) => message.tool_calls.map((call) => call.id)));
  // The result of a call stands with its call.
  const shown = all.filter((message) => !(message.tool_call_id && called.has(message.tool_call_id)));
  return (
    <ol className="conversation" aria-label="Conversation">
      {shown.map((message, index) => (
        <li key={message.id ?? index} className={`message message-${message.type}`}>
          <Said message={message} results={results} />
        </li>
      ))}
    </ol>
  );
}

const NAMES: Record<string, string> = { human: "User", ai: "Assistant", tool: "Tool", system: "System" };

function Said({ message, results }: { message: Message; results: Map<string, Message> }) {
  const { type, name, reasoning, tool_calls } = message;
  return (
    <>
      <p className="message-who">
        {NAMES[type] ?? type}
        {name && ` · ${name}`}
      </p>
      {reasoning && (
        <Details summary="Reasoning">
          <p className="plain">{reasoning}</p>
        </Details>
      )}
      <Blocks message={message} />
      {tool_calls.map((call, index) => (
        <Call key={call.id ?? index} call={call} result={call.id === null ? undefined : results.get(call.id)} />
      ))}
    </>
  );
}

function Blocks({ message }: { message: Message }) {
  return blocks(message.content).map((block, index) => <Block key={index} block={block} />);
}

function Call({ call, result }: { call: ToolCall; result: Message | undefined }) {
  return (
    <section className="tool-call" aria-label={`Tool ${call.name}`}>
      <Details summary={`${call.name}${result ? (result.status === "error" ? " · failed" : "") : " · no result yet"}`}>
        <JsonView label={`Arguments of ${call.name}`} value={call.args} />
      </Details>
      {result && (
        <div className="tool-result">
          <Blocks message={result} />
        </div>
      )}
    </section>
  );
}

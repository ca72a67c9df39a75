import "../thread/thread.css";

import type { RunEvent } from "../../api/events";
import type { Json } from "../../api/types";
import { JsonView } from "../../ui/JsonView";
import { Tabs } from "../../ui/Tabs";
import { Conversation } from "../thread/Conversation";
import { messagesOf } from "../thread/messages";

interface Props {
  values: Json | undefined;
  /** Of the run that is under way. */
  events: RunEvent[];
}

/** What the run came to so far: its conversation, if it has one, and its state. */
export function Output({ values, events }: Props) {
  if (values === undefined) return null;
  const messages = messagesOf(values);
  const state = { name: "State", content: <JsonView label="State" value={values} /> };
  if (!messages) return <Tabs label="Output" tabs={[state]} />;
  const conversation = { name: "Conversation", content: <Conversation messages={messages} events={events} /> };
  return <Tabs key="conversation" label="Output" tabs={[conversation, state]} />;
}

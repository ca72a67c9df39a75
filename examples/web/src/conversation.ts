/** The conversation on the screen: what each event makes of it. Pure. */

import type { ChatEvent, Interrupt, ToolCall } from "./api/events";
import type { Loaded } from "./api/load";

export type Item =
  | { kind: "user"; id: string; text: string }
  | { kind: "assistant"; id: string; text: string; done: boolean }
  | { kind: "tool"; id: string; call: ToolCall; result: Result | null }
  | { kind: "failure"; id: string; text: string };

/** How it went is not in the history. */
export interface Result {
  status: "success" | "error" | null;
  content: string;
}

export interface Conversation {
  items: Item[];
  interrupts: Interrupt[];
}

export const EMPTY: Conversation = { items: [], interrupts: [] };

export type Change =
  | { type: "loaded"; loaded: Loaded }
  | { type: "said"; id: string; text: string }
  | { type: "unsaid"; id: string }
  | { type: "answered"; id: string }
  | { type: "failed"; text: string }
  | { type: "waits"; interrupts: Interrupt[] }
  | { type: "told"; event: ChatEvent };

export function change(now: Conversation, what: Change): Conversation {
  switch (what.type) {
    case "loaded":
      return fromHistory(what.loaded);
    case "said":
      return { ...now, items: [...now.items, { kind: "user", id: what.id, text: what.text }] };
    case "unsaid":
      return { ...now, items: now.items.filter((item) => item.id !== what.id) };
    case "answered":
      return { ...now, interrupts: now.interrupts.filter((interrupt) => interrupt.id !== what.id) };
    case "failed":
      return { ...now, items: [...now.items, failure(now, what.text)] };
    case "waits":
      return { ...now, interrupts: what.interrupts };
    case "told":
      return told(now, what.event);
  }
}

function told(now: Conversation, event: ChatEvent): Conversation {
  const items = now.items;
  switch (event.type) {
    case "token": {
      const begun = find(items, "assistant", event.message_id);
      // A replay tells the tokens of a message that the history has whole.
      if (begun?.done) return now;
      const text = (begun?.text ?? "") + event.text;
      return { ...now, items: put(items, { kind: "assistant", id: event.message_id, text, done: false }) };
    }
    case "message": {
      const { id, content } = event.message;
      return { ...now, items: put(items, { kind: "assistant", id, text: content, done: true }) };
    }
    case "tool_call": {
      const call = { id: event.id, name: event.name, args: event.args };
      const result = find(items, "tool", event.id)?.result ?? null;
      return { ...now, items: put(items, { kind: "tool", id: event.id, call, result }) };
    }
    case "tool_result": {
      const call = find(items, "tool", event.id)?.call ?? { id: event.id, name: event.name, args: {} };
      const result = { status: event.status, content: event.content };
      return { ...now, items: put(items, { kind: "tool", id: event.id, call, result }) };
    }
    case "attempt":
      return { ...now, items: items.filter((item) => !event.discard.includes(item.id)) };
    case "interrupt":
      return { ...now, interrupts: event.interrupts };
    case "error":
      return { ...now, items: [...items, failure(now, event.detail)] };
    default:
      return now;
  }
}

function fromHistory({ messages, interrupts, error }: Loaded): Conversation {
  let items: Item[] = [];
  for (const { id, role, content, tool_calls, tool_call_id } of messages) {
    if (role === "user") items = put(items, { kind: "user", id, text: content });
    if (role === "assistant") items = put(items, { kind: "assistant", id, text: content, done: true });
    for (const call of tool_calls) items = put(items, { kind: "tool", id: call.id, call, result: null });
    const asked = find(items, "tool", tool_call_id ?? "");
    if (role === "tool" && asked) items = put(items, { ...asked, result: { status: null, content } });
  }
  const now = { items, interrupts };
  return error ? change(now, { type: "failed", text: error }) : now;
}

/** Replaces the item with the same identity, or adds one. */
function put(items: Item[], item: Item): Item[] {
  const at = items.findIndex((other) => other.kind === item.kind && other.id === item.id);
  return at < 0 ? [...items, item] : items.with(at, item);
}

function find<K extends Item["kind"]>(items: Item[], kind: K, id: string): Extract<Item, { kind: K }> | undefined {
  return items.find((item): item is Extract<Item, { kind: K }> => item.kind === kind && item.id === id);
}

function failure(now: Conversation, text: string): Item {
  return { kind: "failure", id: `failure-${now.items.length}`, text };
}

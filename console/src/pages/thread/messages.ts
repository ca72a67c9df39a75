import type { RunEvent } from "../../api/events";
import type { Json, JsonObject } from "../../api/types";

export interface ToolCall {
  id: string | null;
  name: string;
  args: Json;
}

/** One message of a conversation, whatever its model's format. */
export interface Message {
  id: string | null;
  type: string;
  name: string | null;
  content: Json;
  tool_calls: ToolCall[];
  tool_call_id: string | null;
  status: string | null;
  reasoning: string | null;
}

/** The messages of a state; null where it is no conversation. */
export function messagesOf(values: unknown): Message[] | null {
  const list = isObject(values) ? values.messages : undefined;
  if (!Array.isArray(list) || list.length === 0 || !list.every(isMessage)) return null;
  return list.map(messageOf);
}

function isMessage(value: unknown): value is JsonObject {
  return isObject(value) && "content" in value && (typeof value.type === "string" || typeof value.role === "string");
}

const TYPES: Record<string, string> = { user: "human", assistant: "ai", AIMessageChunk: "ai", HumanMessageChunk: "human" };

function messageOf(raw: JsonObject): Message {
  const type = text(raw.type) ?? text(raw.role) ?? "";
  const more = isObject(raw.additional_kwargs) ? raw.additional_kwargs : {};
  const calls = Array.isArray(raw.tool_calls) ? raw.tool_calls.filter(isObject) : [];
  return {
    id: text(raw.id),
    type: TYPES[type] ?? type,
    name: text(raw.name),
    content: raw.content ?? "",
    tool_calls: calls.map((call) => ({ id: text(call.id), name: text(call.name) ?? "?", args: call.args ?? {} })),
    tool_call_id: text(raw.tool_call_id),
    status: text(raw.status),
    reasoning: text(more.reasoning_content),
  };
}

/** Messages that a run streams now and that its state has not yet. */
export function liveMessages(events: RunEvent[], known: Message[]): Message[] {
  const ids = new Set(known.map((message) => message.id));
  const live = new Map<string, Message>();
  let attempt = "";
  for (const { id: eventId, event, data } of events) {
    const mode = event.split("|", 1)[0]!;
    if (mode !== "messages" && mode !== "messages/partial") continue;
    const of = eventId.split("-", 1)[0]!;
    // What an attempt had told when it was lost is told again by the next one.
    if (of !== attempt) live.clear();
    attempt = of;
    const told: unknown = JSON.parse(data);
    const raw = Array.isArray(told) ? told[0] : null;
    if (!isMessage(raw) || typeof raw.id !== "string" || ids.has(raw.id)) continue;
    const message = messageOf(raw);
    const before = mode === "messages" && raw.type === "AIMessageChunk" ? live.get(raw.id) : undefined;
    live.set(raw.id, before ? { ...message, content: joined(before.content, message.content) } : message);
  }
  return [...live.values()];
}

function joined(before: Json, more: Json): Json {
  if (typeof before === "string" && typeof more === "string") return before + more;
  return [...blocks(before), ...blocks(more)];
}

/** A message's content as blocks. */
export function blocks(content: Json): Json[] {
  if (Array.isArray(content)) return content;
  return content === "" || content === null ? [] : [{ type: "text", text: content }];
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: Json | undefined): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

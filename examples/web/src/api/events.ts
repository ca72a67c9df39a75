/** What `/chat` tells, and what `/history` and `/threads` answer. */

export interface ToolCall {
  id: string;
  name: string;
  args: Record<string, unknown>;
}

export interface Interrupt {
  id: string;
  value: unknown;
}

export type ChatEvent =
  | { type: "start"; run_id: string }
  | { type: "token"; message_id: string; text: string }
  | ({ type: "tool_call" } & ToolCall)
  | { type: "tool_result"; id: string; name: string; status: "success" | "error"; content: string }
  | { type: "message"; message: { id: string; content: string } }
  | { type: "attempt"; attempt: number; reason: string; discard: string[] }
  | { type: "interrupt"; interrupts: Interrupt[] }
  | { type: "error"; detail: string }
  | { type: "end"; status: "success" | "interrupted" | "error" | "timeout" | "cancelled" }
  | { type: "update" }
  | { type: "custom" };

export interface HistoryMessage {
  id: string;
  role: "user" | "assistant" | "tool" | "system";
  content: string;
  tool_calls: ToolCall[];
  tool_call_id: string | null;
}

export interface Thread {
  status: "idle" | "busy" | "interrupted" | "error";
  interrupts: Record<string, Interrupt[]>;
  error: { error: string; message: string } | null;
}

export interface Run {
  run_id: string;
  status: string;
}

/** In place of the thread's next message, an answer to what it waits for. */
export type Say = { message: string } | { resume: Record<string, unknown> };

/** The shapes of questions in use, and the answers that they ask for. */
import type { Json, JsonObject } from "../api/types";
import { isObject, type JsonSchema, resolve } from "../schema/schema";

export type Decision = "approve" | "edit" | "reject" | "respond" | "ignore";

/** Something an agent wants to do, and what a person may say to it. */
export interface Action {
  name: string;
  args: Json;
  description: string | null;
  /** Whether the description is markdown. */
  markdown?: boolean;
  allowed: Decision[];
  /** Of the arguments, where the question says it. */
  schema?: JsonSchema;
}

export interface Decided {
  decision: Decision;
  args: Json;
  message: string;
}

/** What is asked: to decide on actions, or anything else. */
export type Shape =
  | { kind: "actions"; actions: Action[]; words: Record<Decision, string>; answer: (decided: Decided[]) => Json }
  | { kind: "other" };

const WORDS: Record<Decision, string> = {
  approve: "Approve",
  edit: "Edit",
  reject: "Reject",
  respond: "Respond",
  ignore: "Ignore",
};

export function shapeOf(value: Json, schema: JsonSchema | null): Shape {
  return batch(value) ?? toolApproval(value, schema) ?? humanInterrupts(value) ?? { kind: "other" };
}

/** A short name of a question, for lists. */
export function titleOf(value: Json): string {
  const shape = shapeOf(value, null);
  if (shape.kind === "actions") return shape.actions.map((action) => action.name).join(", ");
  if (typeof value === "string") return value;
  if (isObject(value)) {
    const said = ["question", "message", "prompt", "title", "description"].map((name) => value[name]);
    const text = said.find((member) => typeof member === "string");
    if (typeof text === "string") return text;
  }
  return JSON.stringify(value);
}

/** What tells a question from others with the same title: the arguments of what is to be done. */
export function aboutOf(value: Json): string {
  const shape = shapeOf(value, null);
  if (shape.kind !== "actions") return "";
  return shape.actions.map(({ args }) => argumentsOf(args)).join("; ");
}

function argumentsOf(args: Json): string {
  if (!isObject(args)) return textOf(args) ?? JSON.stringify(args);
  return Object.entries(args)
    .map(([name, value]) => `${name}: ${textOf(value) ?? JSON.stringify(value)}`)
    .join(", ");
}

/** LangChain's human-in-the-loop middleware: one question for all tool calls of a turn. */
function batch(value: Json): Shape | null {
  if (!isObject(value) || !Array.isArray(value.action_requests)) return null;
  const configs = Array.isArray(value.review_configs) ? value.review_configs.filter(isObject) : [];
  const requests = value.action_requests.filter(isObject);
  if (requests.length === 0 || requests.length < value.action_requests.length) return null;
  const actions = requests.map((request, index) => {
    const config = configs.find(({ action_name }) => action_name === request.name) ?? configs[index];
    return actionOf(request, decisionsOf(config?.allowed_decisions));
  });
  const answer = (decided: Decided[]) => ({ decisions: decided.map((one, index) => decisionOf(actions[index]!, one)) });
  return { kind: "actions", actions, words: WORDS, answer };
}

/** The same middleware with a question for each tool call: its schema says what may be decided. */
function toolApproval(value: Json, schema: JsonSchema | null): Shape | null {
  if (!isObject(value) || value.type !== "tool_approval") return null;
  const root = schema ?? {};
  const branches = (root.oneOf ?? root.anyOf ?? [root]).map((branch) => resolve(branch, root));
  const types = branches.map((branch) => branch.properties?.type?.const ?? null);
  const action = actionOf(value, decisionsOf(schema && types));
  const edited = branches[types.indexOf("edit")]?.properties?.edited_action;
  const args = edited && resolve(edited, root).properties?.args;
  if (args) action.schema = { ...resolve(args, root), ...(root.$defs && { $defs: root.$defs }) };
  return { kind: "actions", actions: [action], words: WORDS, answer: ([decided]) => decisionOf(action, decided!) };
}

/** With which the middleware ends a description of its own: name and arguments, which stand there anyway. */
const REPEATED = /\n\nTool: [^\n]*\nArgs: [^]*$/;

function actionOf(request: JsonObject, allowed: Decision[]): Action {
  const description = textOf(request.description)?.replace(REPEATED, "") ?? null;
  return { name: String(request.name), args: request.args ?? {}, description, allowed };
}

function decisionsOf(raw: Json | undefined): Decision[] {
  const known: Decision[] = ["approve", "edit", "reject", "respond"];
  const named = Array.isArray(raw) ? known.filter((decision) => raw.includes(decision)) : [];
  return named.length > 0 ? named : ["approve", "edit", "reject"];
}

function decisionOf(action: Action, { decision, args, message }: Decided): JsonObject {
  if (decision === "edit") return { type: "edit", edited_action: { name: action.name, args } };
  if (decision === "respond") return { type: "respond", message };
  if (decision === "reject" && message) return { type: "reject", message };
  return { type: decision };
}

/** agent-inbox: a list of requests, whose answer is a list too. */
function humanInterrupts(value: Json): Shape | null {
  const requests = Array.isArray(value) ? value : [value];
  if (requests.length === 0 || !requests.every(isHumanInterrupt)) return null;
  const actions = requests.map(({ action_request, config, description }): Action => {
    const allowed: Decision[] = [];
    if (config.allow_accept) allowed.push("approve");
    if (config.allow_edit) allowed.push("edit");
    if (config.allow_respond) allowed.push("respond");
    if (config.allow_ignore) allowed.push("ignore");
    const name = String(action_request.action);
    return { name, args: action_request.args ?? {}, description: textOf(description), markdown: true, allowed };
  });
  const answer = (decided: Decided[]) =>
    decided.map(({ decision, args, message }, index): Json => {
      const action = actions[index]!.name;
      if (decision === "approve") return { type: "accept", args: requests[index]!.action_request };
      if (decision === "edit") return { type: "edit", args: { action, args } };
      return decision === "respond" ? { type: "response", args: message } : { type: "ignore", args: null };
    });
  return { kind: "actions", actions, words: { ...WORDS, approve: "Accept" }, answer };
}

interface HumanInterrupt extends JsonObject {
  action_request: JsonObject;
  config: JsonObject;
}

function isHumanInterrupt(value: Json): value is HumanInterrupt {
  return isObject(value) && isObject(value.action_request) && isObject(value.config);
}

function textOf(value: Json | undefined): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

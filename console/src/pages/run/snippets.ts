import type { Run } from "../../api/runs";
import type { Json } from "../../api/types";

/** What a run was asked with, without what the API fills in by itself. */
function bodyOf(run: Run): Record<string, Json> {
  const { input, command, config, context, stream_mode, subgraphs, interrupt_before, interrupt_after } = run.kwargs;
  const all: Record<string, Json> = { assistant_id: run.assistant_id ?? run.graph, input, command };
  if (Object.keys(config).length > 0) all.config = config;
  else if (Object.keys(context).length > 0) all.context = context;
  if (stream_mode.join() !== "values") all.stream_mode = stream_mode;
  if (subgraphs) all.stream_subgraphs = true;
  all.interrupt_before = interrupt_before;
  all.interrupt_after = interrupt_after;
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

export function curl(run: Run, origin: string): string {
  const body = JSON.stringify(bodyOf(run), null, 2).replaceAll("'", "'\\''");
  return [
    `curl -N ${quoted(`${origin}/threads/${encodeURIComponent(run.thread_id)}/runs/stream`)} \\`,
    `  -H 'Authorization: Bearer '"$TOKEN" -H 'Content-Type: application/json' \\`,
    `  -d '${body}'`,
  ].join("\n");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function python(run: Run, origin: string): string {
  const { assistant_id, ...rest } = bodyOf(run);
  const more = Object.entries(rest).map(([name, value]) => `        ${name}=${literal(value)},`);
  return [
    "import asyncio, os",
    "",
    "from langgraph_sdk import get_client",
    "",
    `client = get_client(url=${literal(origin)}, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"})`,
    "",
    "",
    "async def main() -> None:",
    "    async for part in client.runs.stream(",
    `        ${literal(run.thread_id)},`,
    `        ${literal(assistant_id!)},`,
    ...more,
    "    ):",
    "        print(part.event, part.data)",
    "",
    "",
    "asyncio.run(main())",
  ].join("\n");
}

/** A value as Python writes it. */
function literal(value: Json): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value)
      .map(([key, item]) => `${literal(key)}: ${literal(item)}`)
      .join(", ")}}`;
  // Strings and numbers of JSON are Python's too.
  return JSON.stringify(value);
}

const CAMEL: Record<string, string> = {
  stream_mode: "streamMode",
  stream_subgraphs: "streamSubgraphs",
  interrupt_before: "interruptBefore",
  interrupt_after: "interruptAfter",
};

export function javascript(run: Run, origin: string): string {
  const { assistant_id, ...rest } = bodyOf(run);
  const payload = Object.fromEntries(Object.entries(rest).map(([name, value]) => [CAMEL[name] ?? name, value]));
  return [
    'import { Client } from "@langchain/langgraph-sdk";',
    "",
    `const client = new Client({ apiUrl: ${JSON.stringify(origin)}, defaultHeaders: { Authorization: \`Bearer \${process.env.TOKEN}\` } });`,
    `const stream = client.runs.stream(${JSON.stringify(run.thread_id)}, ${JSON.stringify(assistant_id)}, ${JSON.stringify(payload, null, 2)});`,
    "for await (const { event, data } of stream) console.log(event, data);",
  ].join("\n");
}

/** An AgentRun for kubectl. JSON is YAML, so values need no writer of their own. */
export function agentRun(run: Run): string {
  const { assistant_id: _, ...rest } = bodyOf(run);
  const names: Record<string, string> = { ...CAMEL, stream_mode: "streamModes" };
  const lines = Object.entries(rest).map(([name, value]) => `  ${names[name] ?? name}: ${JSON.stringify(value)}`);
  return [
    "apiVersion: relayrun.dev/v1alpha1",
    "kind: AgentRun",
    `metadata: {generateName: ${JSON.stringify(`${dns(run.graph)}-`)}}`,
    "spec:",
    `  agentRef: {name: ${JSON.stringify(run.agent)}}`,
    `  graph: ${JSON.stringify(run.graph)}`,
    `  thread: ${JSON.stringify(run.thread_id)}`,
    ...lines,
  ].join("\n");
}

function dns(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "") || "run";
}

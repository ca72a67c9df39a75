// The official TypeScript client of the Model Context Protocol.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

import { apiUrl as url } from "./server.js";

async function connected(capabilities = {}) {
  const client = new Client({ name: "test", version: "1" }, { capabilities });
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", url)));
  return client;
}

test("assistants are tools, whose calls tell their progress", async () => {
  const client = await connected();
  const { tools } = await client.listTools();
  assert.ok(tools.some((tool) => tool.name === "plain" && tool.inputSchema.properties.topic));
  const told = [];
  const result = await client.callTool({ name: "plain", arguments: { topic: "x" } }, undefined, {
    onprogress: ({ progress, message }) => told.push([progress, message]),
  });
  assert.deepEqual(result.structuredContent, { topic: "x", done: ["first", "second plain"] });
  assert.deepEqual(told, [[1, '{"at":"first"}'], [2, "first"], [3, "second"]]);
  await client.close();
});

test("a call that is cancelled cancels its run", async () => {
  const client = await connected();
  const leave = new AbortController();
  const call = client.callTool({ name: "lingers", arguments: { topic: "long" } }, undefined, {
    signal: leave.signal,
    onprogress: () => {},
  });
  await until(async () => (await mine("running")).length > 0);
  leave.abort();
  await assert.rejects(call);
  await until(async () => (await mine("running")).length === 0);
  await client.close();
});

test("the client's user is asked", async () => {
  const client = await connected({ elicitation: {} });
  const asked = [];
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    asked.push(params.message);
    return { action: "accept", content: { answer: "yes" } };
  });
  const result = await client.callTool({ name: "ask", arguments: { topic: "x" } });
  assert.deepEqual(result.structuredContent, { topic: "x", done: ["first", "approved yes", "second plain"] });
  assert.deepEqual(asked, ["ok?"]);
  await client.close();
});

/** The runs of calls with this status. */
async function mine(status) {
  const response = await fetch(new URL("/runs/search", url), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ status: [status], graph: "lingers", text: "mcp" }),
  });
  const found = await response.json();
  assert.ok(response.ok, JSON.stringify(found));
  return Array.isArray(found) ? found : found.runs;
}

async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { client, partsOf, uncalled } from "./server.js";

const { assistants, runs } = client();

test("the graphs' own assistants are found, drawn and described", async () => {
  const [plain] = await assistants.search({ graphId: "plain" });
  assert.equal((await assistants.get(plain.assistant_id)).graph_id, "plain");
  const drawn = await assistants.getGraph(plain.assistant_id);
  assert.ok(drawn.nodes.some((node) => node.id === "second"));
  assert.ok((await assistants.getSchemas(plain.assistant_id)).input_schema);
  const [nested] = await assistants.search({ graphId: "nested" });
  const xray = await assistants.getGraph(nested.assistant_id, { xray: true });
  assert.ok(xray.nodes.length > (await assistants.getGraph(nested.assistant_id)).nodes.length);
  assert.deepEqual(Object.keys(await assistants.getSubgraphs(nested.assistant_id)), ["inner"]);
});

test("an assistant of one's own has versions, runs with its configuration, and goes", async () => {
  const made = await assistants.create({
    graphId: "plain",
    name: "warm",
    metadata: { of: "javascript" },
    config: { configurable: { tone: "warm" } },
  });
  await assistants.update(made.assistant_id, { config: { configurable: { tone: "cold" } } });
  const versions = await assistants.getVersions(made.assistant_id);
  assert.deepEqual(versions.map((each) => each.version), [2, 1]);
  await assistants.setLatest(made.assistant_id, 1);
  const values = await runs.wait(null, made.assistant_id, { input: {} });
  assert.deepEqual(values.done, ["first", "second warm"]);
  assert.equal(await assistants.count({ metadata: { of: "javascript" } }), 1);
  await assistants.delete(made.assistant_id);
  await assert.rejects(assistants.get(made.assistant_id), /404/);
});

test("the client has no other parts", () => {
  // The last loads the components of generative interfaces, which nothing serves here.
  assert.deepEqual(partsOf(client()), ["assistants", "threads", "runs", "crons", "store", "~ui"]);
});

test("no method is left out", () => {
  assert.deepEqual(uncalled("assistants"), []);
});

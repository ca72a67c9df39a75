import assert from "node:assert/strict";
import { test } from "node:test";
import { all, client, uncalled } from "./server.js";

const { threads, runs } = client();

test("a run is streamed in several modes, with its subgraphs", async () => {
  const { thread_id } = await threads.create();
  let created;
  const events = await all(
    runs.stream(thread_id, "nested", {
      input: { topic: "x" },
      streamMode: ["values", "updates", "custom"],
      streamSubgraphs: true,
      onRunCreated: (run) => (created = run),
    }),
  );
  const names = events.map((each) => each.event.split("|")[0]);
  assert.equal(names[0], "metadata");
  assert.equal(names.at(-1), "values");
  assert.ok(events.some((each) => each.event.startsWith("updates|inner:")));
  assert.equal(created.thread_id, thread_id);
  assert.equal(events[0].data.run_id, created.run_id);
});

test("tokens come one by one", async () => {
  const { thread_id } = await threads.create();
  const input = { messages: [{ role: "user", content: "count" }] };
  const events = await all(runs.stream(thread_id, "talk", { input, streamMode: "messages-tuple" }));
  const said = events.filter((each) => each.event === "messages").map((each) => each.data[0].content);
  assert.deepEqual(said.filter(Boolean), ["one ", "two ", "three"]);
});

test("a run in the background is listed, joined, streamed again and deleted", async () => {
  const { thread_id } = await threads.create();
  const run = await runs.create(thread_id, "plain", { input: {}, streamMode: ["updates"], metadata: { of: "js" } });
  const values = await runs.join(thread_id, run.run_id);
  assert.deepEqual(values.done, ["first", "second plain"]);
  assert.equal((await runs.get(thread_id, run.run_id)).status, "success");
  assert.deepEqual((await runs.list(thread_id)).map((each) => each.run_id), [run.run_id]);
  const again = await all(runs.joinStream(thread_id, run.run_id, { lastEventId: "-1" }));
  assert.deepEqual(again.map((each) => each.event), ["metadata", "updates", "updates"]);
  await runs.delete(thread_id, run.run_id);
  await assert.rejects(runs.get(thread_id, run.run_id), /404/);
});

test("a question is asked, and answered with a command", async () => {
  const { thread_id } = await threads.create();
  const asked = await runs.wait(thread_id, "ask", { input: {} });
  assert.deepEqual(asked.__interrupt__[0].value, { question: "ok?" });
  assert.equal((await threads.get(thread_id)).status, "interrupted");
  const values = await runs.wait(thread_id, "ask", { command: { resume: "yes" } });
  assert.deepEqual(values.done, ["first", "approved yes", "second plain"]);
});

test("an error is an event, and an exception of wait", async () => {
  const { thread_id } = await threads.create();
  const events = await all(runs.stream(thread_id, "fails", { input: {}, streamMode: "updates" }));
  const error = events.find((each) => each.event === "error");
  assert.deepEqual([error.data.error, error.data.message], ["ValueError", "this node is broken"]);
  await assert.rejects(runs.wait(thread_id, "fails", { input: {} }), /this node is broken/);
});

test("runs are cancelled, one and many", async () => {
  const { thread_id } = await threads.create();
  const one = await runs.create(thread_id, "slow", { input: {} });
  await runs.cancel(thread_id, one.run_id, true);
  assert.equal((await runs.get(thread_id, one.run_id)).status, "interrupted");
  const two = await runs.create(thread_id, "slow", { input: {} });
  await runs.cancelMany({ threadId: thread_id, runIds: [two.run_id] });
  await runs.join(thread_id, two.run_id);
  assert.equal((await runs.get(thread_id, two.run_id)).status, "interrupted");
});

test("a batch of runs is started at once", async () => {
  const payloads = ["x", "y"].map((topic) => ({ assistantId: "plain", input: { topic } }));
  const made = await runs.createBatch(payloads);
  assert.equal(made.length, 2);
  const [values] = await Promise.all(made.map((run) => runs.join(run.thread_id, run.run_id)));
  assert.equal(values.topic, "x");
});

test("no method is left out", () => {
  assert.deepEqual(uncalled("runs"), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { client } from "./server.js";

const { threads, runs } = client();

test("a thread is made, changed, found, counted, copied and deleted", async () => {
  const mark = crypto.randomUUID();
  const made = await threads.create({ metadata: { mark } });
  assert.equal((await threads.get(made.thread_id)).status, "idle");
  await threads.update(made.thread_id, { metadata: { size: 2 } });
  const [found] = await threads.search({ metadata: { mark } });
  assert.deepEqual(found.metadata, { mark, size: 2 });
  assert.equal(await threads.count({ metadata: { mark } }), 1);
  const copied = await threads.copy(made.thread_id);
  assert.notEqual(copied.thread_id, made.thread_id);
  await threads.delete(made.thread_id);
  await assert.rejects(threads.get(made.thread_id), /404/);
  await threads.prune([copied.thread_id]);
});

test("its state is read, edited and gone back to", async () => {
  const { thread_id } = await threads.create();
  await runs.wait(thread_id, "plain", { input: { topic: "x" } });
  const state = await threads.getState(thread_id);
  assert.deepEqual(state.values.done, ["first", "second plain"]);
  await threads.updateState(thread_id, { values: { topic: "y" } });
  assert.equal((await threads.getState(thread_id)).values.topic, "y");
  await threads.patchState(thread_id, { seen: true });
  assert.equal((await threads.get(thread_id)).metadata.seen, true);
  const history = await threads.getHistory(thread_id, { limit: 10 });
  const before = history.find((each) => each.next[0] === "second");
  const forked = await runs.wait(thread_id, "plain", { input: null, checkpoint: before.checkpoint });
  assert.deepEqual(forked.done, ["first", "second plain"]);
});

test("all its runs are followed through one stream", async () => {
  const { thread_id } = await threads.create();
  const events = [];
  const leaving = new AbortController();
  const stream = threads.joinStream(thread_id, { lastEventId: "-", signal: leaving.signal });
  const reading = (async () => {
    for await (const event of stream) {
      events.push(event);
      if (events.filter((each) => each.event === "values").length >= 6) break;
    }
  })();
  for (const topic of ["one", "two"]) await runs.wait(thread_id, "plain", { input: { topic }, streamMode: "values" });
  await reading;
  leaving.abort();
  const topics = events.filter((each) => each.event === "values").map((each) => each.data.topic);
  assert.deepEqual(topics, ["one", "one", "one", "two", "two", "two"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { all, client, uncalled } from "./server.js";

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
  // The client has a method for it, and no server: the LangGraph Agent Server refuses it with the same status.
  await assert.rejects(threads.patchState(thread_id, { seen: true }), /405/);
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

test("a thread's stream has its projections", async () => {
  const [talk, nested, ask] = ["talk", "nested", "ask"].map((assistantId) => threads.stream({ assistantId }));
  const said = (async () => {
    for await (const message of talk.messages) return await message.text;
  })();
  await talk.run.start({ input: { messages: [{ role: "user", content: "count" }] } });
  assert.equal(await said, "one two three");
  assert.equal((await talk.output).messages.length, 2);
  const found = (async () => {
    for await (const graph of nested.subgraphs) return graph.namespace.at(-1).split(":")[0];
  })();
  const values = all(nested.values);
  await nested.run.start({ input: {} });
  assert.equal(await found, "inner");
  assert.equal((await values).at(-1).done.length, 4);
  await ask.run.start({ input: {} });
  for await (const event of await ask.subscribe({ channels: ["lifecycle"] })) {
    if (event.params.data.event === "interrupted") break;
  }
  assert.deepEqual(ask.interrupts[0].payload, { question: "ok?" });
  await ask.respondInput({ interrupt_id: ask.interrupts[0].interruptId, namespace: [], response: "yes" });
  assert.deepEqual((await ask.output).done, ["first", "approved yes", "second plain"]);
  for (const each of [talk, nested, ask]) await each.close();
});

test("no method is left out", () => {
  assert.deepEqual(uncalled("threads"), []);
});

// The hook of @langchain/langgraph-sdk, as chat UIs have used it until now.
import assert from "node:assert/strict";
import { test } from "node:test";
import { useStream } from "@langchain/langgraph-sdk/react";
import { rendered, until } from "./page.js";
import { apiUrl, client } from "./server.js";

test("a conversation: tokens, the whole answer, and the thread again after a reload", async () => {
  let thread;
  const page = rendered(() => useStream({ apiUrl, apiKey: null, assistantId: "talk", onThreadId: (id) => (thread = id) }));
  await until(() => page.current(), "rendering");
  page.current().submit({ messages: [{ type: "human", content: "count" }] }, { streamMode: ["messages-tuple", "values"] });
  const seen = new Set();
  await until(() => {
    const last = page.current().messages.at(-1);
    if (last?.type === "ai") seen.add(last.content);
    return last?.content === "one two three" && !page.current().isLoading;
  }, "the answer");
  page.leave();
  const again = rendered(() => useStream({ apiUrl, apiKey: null, assistantId: "talk", threadId: thread }));
  await until(() => again.current()?.messages.length === 2, "the history");
  again.leave();
});

test("a question is shown, and answered", async () => {
  const page = rendered(() => useStream({ apiUrl, apiKey: null, assistantId: "ask" }));
  await until(() => page.current(), "rendering");
  page.current().submit({ topic: "x" });
  await until(() => page.current().interrupt && !page.current().isLoading, "the question");
  assert.deepEqual(page.current().interrupt.value, { question: "ok?" });
  page.current().submit(undefined, { command: { resume: "yes" } });
  await until(() => page.current().values.done?.includes("approved yes") && !page.current().isLoading, "the end");
  await until(() => page.current().interrupt === undefined, "the question's end");
  page.leave();
});

test("an error is shown", async () => {
  const page = rendered(() => useStream({ apiUrl, apiKey: null, assistantId: "fails" }));
  await until(() => page.current(), "rendering");
  page.current().submit({});
  const error = await until(() => page.current().error, "the error");
  assert.match(String(error.message ?? error), /this node is broken/);
  page.leave();
});

test("stop cancels the run", async () => {
  let thread;
  const page = rendered(() => useStream({ apiUrl, apiKey: null, assistantId: "slow", onThreadId: (id) => (thread = id) }));
  await until(() => page.current(), "rendering");
  page.current().submit({}, { streamMode: ["updates", "values"] });
  await until(() => page.current().values.done?.includes("first"), "the first step");
  page.current().stop();
  await until(() => !page.current().isLoading, "the stop");
  page.leave();
  const { threads, runs } = client();
  const [run] = await runs.list(thread);
  await runs.join(thread, run.run_id);
  assert.equal((await threads.get(thread)).status, "interrupted");
});

test("what agent-chat-ui asks for: its list of threads, another answer in place of one, a question's answer", async () => {
  const { threads } = client();
  const streaming = { streamMode: ["values"], streamSubgraphs: true, streamResumable: true, onDisconnect: "continue" };
  assert.ok((await fetch(`${apiUrl}/info`)).ok);

  let thread;
  const options = { apiUrl, apiKey: null, fetchStateHistory: true, onThreadId: (id) => (thread = id) };
  const page = rendered(() => useStream({ ...options, assistantId: "talk" }));
  const { current } = page;
  await until(current, "rendering");
  const asked = { id: crypto.randomUUID(), type: "human", content: "count" };
  current().submit(
    { messages: [asked] },
    { ...streaming, optimisticValues: (before) => ({ ...before, messages: [...(before?.messages ?? []), asked] }) },
  );
  await until(() => current().messages[0]?.id === asked.id, "the question, before its run");
  const answer = await until(() => !current().isLoading && current().history.length && current().messages[1], "the answer");

  const { metadata } = await threads.get(thread);
  for (const wanted of [{ graph_id: "talk" }, { assistant_id: metadata.assistant_id }]) {
    const found = await threads.search({ metadata: wanted, limit: 100 });
    assert.ok(found.some((each) => each.thread_id === thread && each.values.messages.length === 2));
  }

  const { parent_checkpoint: checkpoint } = current().getMessagesMetadata(answer).firstSeenState;
  current().submit(undefined, { ...streaming, checkpoint });
  const other = await until(() => {
    const last = current().messages[1];
    return !current().isLoading && last && last.id !== answer.id && current().getMessagesMetadata(last).branch && last;
  }, "another answer");
  const { branch, branchOptions } = current().getMessagesMetadata(other);
  assert.equal(branchOptions.length, 2);
  current().setBranch(branchOptions.find((each) => each !== branch));
  await until(() => current().messages[1]?.id === answer.id, "the first answer again");
  page.leave();

  const asking = rendered(() => useStream({ ...options, assistantId: "ask" }));
  await until(asking.current, "rendering");
  asking.current().submit({ topic: "x" }, streaming);
  await until(() => asking.current().interrupt && !asking.current().isLoading, "the question");
  asking.current().submit({}, { ...streaming, command: { resume: "yes" } });
  await until(() => asking.current().values.done?.includes("approved yes") && !asking.current().isLoading, "the end");
  assert.equal((await threads.get(thread)).status, "idle");
  asking.leave();
});

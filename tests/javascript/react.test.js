// The hook of @langchain/react, which speaks the event protocol.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rendered, until } from "./page.js";
import { apiUrl } from "./server.js";

const { useStream } = await import("@langchain/react");

async function page(options) {
  const rendering = rendered(() => useStream({ apiUrl, apiKey: null, ...options }));
  await until(() => rendering.current(), "rendering");
  return rendering;
}

test("a conversation: tokens, the whole answer, and the thread again after a reload", async () => {
  let thread;
  const first = await page({ assistantId: "talk", onThreadId: (id) => (thread = id) });
  first.current().submit({ messages: [{ type: "human", content: "count" }] });
  const seen = new Set();
  await until(() => {
    const last = first.current().messages.at(-1);
    if (last?.type === "ai") seen.add(last.text);
    return last?.text === "one two three" && !first.current().isLoading;
  }, "the answer");
  assert.equal(first.current().messages.length, 2);
  first.leave();
  const again = await page({ assistantId: "talk", threadId: thread ?? first.current().threadId });
  await until(() => again.current().messages.length === 2, "the history");
  again.leave();
});

test("a question is shown, and answered", async () => {
  const asking = await page({ assistantId: "ask" });
  asking.current().submit({ topic: "x" });
  await until(() => asking.current().interrupt && !asking.current().isLoading, "the question");
  assert.deepEqual(asking.current().interrupt.value, { question: "ok?" });
  asking.current().respond("yes");
  await until(() => asking.current().values.done?.includes("approved yes") && !asking.current().isLoading, "the end");
  await until(() => asking.current().interrupt === undefined, "the question's end");
  asking.leave();
});

test("subgraphs are found", async () => {
  const outer = await page({ assistantId: "nested" });
  outer.current().submit({ topic: "x" });
  await until(() => outer.current().values.done?.length >= 3 && !outer.current().isLoading, "the end");
  const found = () => [...outer.current().subgraphs.values()].map((each) => each.namespace?.at(-1)?.split(":")[0]);
  await until(() => found().length, "a subgraph");
  assert.deepEqual(found(), ["inner"]);
  outer.leave();
});

test("an error is shown", async () => {
  const failing = await page({ assistantId: "fails" });
  failing.current().submit({ topic: "x" });
  const error = await until(() => failing.current().error, "the error");
  assert.match(String(error.message ?? error), /this node is broken/);
  failing.leave();
});

test("stop cancels the run", async () => {
  const slow = await page({ assistantId: "slow" });
  slow.current().submit({ topic: "x" });
  await until(() => slow.current().values.done?.includes("first"), "the first step");
  slow.current().stop({ cancel: true });
  await until(() => !slow.current().isLoading, "the stop");
  slow.leave();
});

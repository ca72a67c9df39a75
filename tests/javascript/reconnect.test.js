// Streams that are cut off again and again, by a proxy for each reader: the client comes back by itself, and what it has
// read in the end is the run's journal, event for event.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { useStream } from "@langchain/langgraph-sdk/react";
import { rendered, until } from "./page.js";
import { all, apiUrl, client } from "./server.js";

const proxies = process.env.RELAYRUN_PROXIES.split(",");
const socketProxies = process.env.RELAYRUN_SOCKET_PROXIES.split(",");
const speech = { input: {}, streamMode: ["custom", "updates"] };
const channels = ["custom", "updates", "lifecycle"];
const numbers = Array.from({ length: 120 }, (_, number) => number);

const through = (proxy) => new Client({ apiUrl: proxy, apiKey: null });

async function streams(proxy) {
  const { threads, runs } = through(proxy);
  const { thread_id } = await threads.create();
  let run;
  const told = await all(runs.stream(thread_id, "speech", { ...speech, onRunCreated: (created) => (run = created) }));
  assert.deepEqual(told, await journal(run));
}

const joins = (run) => async (proxy) => {
  const told = await all(through(proxy).runs.joinStream(run.thread_id, run.run_id, { lastEventId: "-" }));
  assert.deepEqual(told, await journal(run));
};

const joinsThread = (run) => async (proxy) => {
  const told = [];
  const leaving = new AbortController();
  const options = { lastEventId: "-", signal: leaving.signal };
  for await (const event of through(proxy).threads.joinStream(run.thread_id, options)) {
    told.push(event);
    if (event.data?.status === "run_done") break;
  }
  leaving.abort();
  assert.deepEqual(told.slice(0, -1), await journal(run));
};

// A page's: Node 20 has no WebSocket of its own.
const socket = { transport: "websocket", webSocketFactory: (url) => new window.WebSocket(url), reconnectDelayMs: () => 50 };

async function events(proxy, transport = {}) {
  const thread = through(proxy).threads.stream({ assistantId: "speech", ...transport });
  await thread.run.start({ input: {} });
  const told = [];
  for await (const event of await thread.subscribe({ channels })) {
    told.push(event);
    if (isEnd(event)) break;
  }
  await thread.close();
  assert.deepEqual(told, await uncutEvents(thread.threadId));
}

async function hook(proxy) {
  const told = [];
  const options = { apiUrl: proxy, apiKey: null, assistantId: "speech", onCustomEvent: (data) => told.push(data.number) };
  const page = rendered(() => useStream(options));
  await until(() => page.current(), "rendering");
  page.current().submit({}, { streamMode: ["custom", "values"], streamResumable: true });
  await until(() => page.current().values.done?.length, "the end", 50);
  page.leave();
  assert.deepEqual(told, numbers);
}

async function reloadedPage(proxy) {
  let thread;
  const told = [];
  const options = { apiUrl: proxy, apiKey: null, assistantId: "speech", reconnectOnMount: () => window.sessionStorage };
  const page = rendered(() => useStream({ ...options, onThreadId: (id) => (thread = id) }));
  await until(() => page.current(), "rendering");
  page.current().submit({}, { streamMode: ["custom", "values"], streamResumable: true, onDisconnect: "continue" });
  await until(() => thread && window.sessionStorage.getItem(`lg:stream:${thread}`), "the run");
  page.leave();
  const again = rendered(() =>
    useStream({ ...options, threadId: thread, onCustomEvent: (data) => told.push(data.number) }),
  );
  await until(() => again.current()?.values.done?.length, "the end", 50);
  again.leave();
  assert.deepEqual(told, numbers);
}

test("cuts lose and repeat nothing", async () => {
  const { threads, runs } = client();
  const { thread_id } = await threads.create();
  const run = await runs.create(thread_id, "speech", speech);
  const readers = [
    ...Array(5).fill(streams),
    ...Array(5).fill(joins(run)),
    ...Array(4).fill(joinsThread(run)),
    ...Array(3).fill(events),
    ...Array(2).fill(hook),
    reloadedPage,
  ];
  assert.equal(readers.length, proxies.length);
  const sockets = socketProxies.map((proxy) => events(proxy, socket));
  await Promise.all([...readers.map((read, nth) => read(proxies[nth])), ...sockets]);
});

/** A run's journal, read once by plain HTTP. */
async function journal({ thread_id, run_id }) {
  const response = await fetch(`${apiUrl}/threads/${thread_id}/runs/${run_id}/stream?last_event_id=-`);
  return framesOf(await response.text());
}

/** A thread's events up to the end of its newest run, read once by plain HTTP. */
async function uncutEvents(thread) {
  const leaving = new AbortController();
  const response = await fetch(`${apiUrl}/threads/${thread}/stream/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ channels }),
    signal: leaving.signal,
  });
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const told = framesOf(text.slice(0, text.lastIndexOf("\r\n\r\n") + 4)).map((each) => each.data);
    const end = told.findIndex(isEnd);
    if (end < 0) continue;
    leaving.abort();
    return told.slice(0, end + 1);
  }
}

function isEnd({ method, params }) {
  return method === "lifecycle" && params.data.event === "completed" && params.namespace.length === 0;
}

function framesOf(text) {
  const frames = text.split("\r\n\r\n").filter((each) => each.includes("data: "));
  return frames.map((each) => {
    const fields = Object.fromEntries(each.split("\r\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
    return { id: fields.id, event: fields.event, data: JSON.parse(fields.data) };
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { client, uncalled } from "./server.js";

const { store, crons, threads } = client();

test("items are put, got, searched, listed and deleted", async () => {
  const namespace = ["javascript", crypto.randomUUID()];
  await store.putItem(namespace, "k", { likes: "tea" });
  assert.deepEqual((await store.getItem(namespace, "k")).value, { likes: "tea" });
  const { items } = await store.searchItems(namespace, { filter: { likes: "tea" } });
  assert.deepEqual(items.map((each) => each.key), ["k"]);
  const { namespaces } = await store.listNamespaces({ prefix: namespace });
  assert.deepEqual(namespaces, [namespace]);
  await store.deleteItem(namespace, "k");
  assert.equal(await store.getItem(namespace, "k"), null);
});

test("crons are made, changed, found, counted and deleted", async () => {
  const { thread_id } = await threads.create();
  const mark = crypto.randomUUID();
  const payload = { schedule: "0 3 * * *", input: {}, metadata: { mark } };
  const ofThread = await crons.createForThread(thread_id, "plain", payload);
  const own = await crons.create("plain", payload);
  await crons.update(own.cron_id, { enabled: false });
  const found = await crons.search({ threadId: thread_id });
  assert.deepEqual(found.map((each) => each.cron_id), [ofThread.cron_id]);
  assert.ok((await crons.count({ assistantId: found[0].assistant_id })) >= 2);
  for (const each of [own, ofThread]) await crons.delete(each.cron_id);
  assert.deepEqual(await crons.search({ threadId: thread_id }), []);
});

test("no method is left out", () => {
  assert.deepEqual(uncalled("store"), []);
  assert.deepEqual(uncalled("crons"), []);
});

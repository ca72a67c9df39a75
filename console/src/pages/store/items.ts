import type { SearchItem } from "@langchain/langgraph-sdk";

import { langgraph } from "../../api/langgraph";
import type { JsonObject } from "../../api/types";

export type Item = SearchItem;

/** Labels have no dots, so that dots can join them. */
export const joined = (namespace: string[]) => namespace.join(".");
export const labels = (namespace: string) => (namespace === "" ? [] : namespace.split("."));

export async function searchItems(namespace: string, query: string, limit: number, signal: AbortSignal): Promise<Item[]> {
  const found = await langgraph.store.searchItems(labels(namespace), { limit, signal, ...(query && { query }) });
  return found.items;
}

export async function listNamespaces(signal: AbortSignal): Promise<string[][]> {
  return (await langgraph.store.listNamespaces({ limit: 1000, signal })).namespaces;
}

/** `ttl` is in minutes; without it the settings of the store hold. */
export function putItem({ namespace, key }: Pick<Item, "namespace" | "key">, value: JsonObject, ttl?: number): Promise<void> {
  return langgraph.store.putItem(namespace, key, value, ttl === undefined ? {} : { ttl });
}

export function deleteItem({ namespace, key }: Item): Promise<void> {
  return langgraph.store.deleteItem(namespace, key);
}

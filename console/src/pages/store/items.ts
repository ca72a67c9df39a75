import { call } from "../../api/client";
import type { Json } from "../../api/types";

export interface Item {
  namespace: string[];
  key: string;
  value: Json;
  created_at: string;
  updated_at: string;
  /** How near it is to what was looked for. */
  score?: number | null;
}

export interface Items {
  items: Item[];
}

/** Labels have no dots, so that dots can join them. */
export const joined = (namespace: string[]) => namespace.join(".");
export const labels = (namespace: string) => (namespace === "" ? [] : namespace.split("."));

export function searchItems(namespace: string, query: string, limit: number, signal: AbortSignal): Promise<Items> {
  const body = { namespace_prefix: labels(namespace), limit, ...(query && { query }) };
  return call("POST", "/store/items/search", body, signal);
}

export function listNamespaces(signal: AbortSignal): Promise<{ namespaces: string[][] }> {
  return call("POST", "/store/namespaces", { limit: 1000 }, signal);
}

export function putItem({ namespace, key }: Pick<Item, "namespace" | "key">, value: Json, ttl?: number): Promise<void> {
  return call("PUT", "/store/items", { namespace, key, value, ...(ttl !== undefined && { ttl }) });
}

export function deleteItem({ namespace, key }: Item): Promise<void> {
  return call("DELETE", "/store/items", { namespace, key });
}

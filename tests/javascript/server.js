// The server under test, and what a Client needs to reach it.
import { Client } from "@langchain/langgraph-sdk";

export const apiUrl = process.env.RELAYRUN_URL;

export function client() {
  return new Client({ apiUrl, apiKey: null });
}

/** All values of an asynchronous iterable. */
export async function all(iterable) {
  const found = [];
  for await (const value of iterable) found.push(value);
  return found;
}

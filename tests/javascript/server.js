// The server under test, and what a Client needs to reach it.
import { Client } from "@langchain/langgraph-sdk";

export const apiUrl = process.env.RELAYRUN_URL;

const called = new Set();

/** A client of the server; `uncalled` knows what of it was called. */
export function client() {
  const made = new Client({ apiUrl, apiKey: null });
  for (const part of partsOf(made)) made[part] = watched(part, made[part]);
  return made;
}

/** The names of a client's parts. */
export function partsOf(made) {
  return Object.keys(made).filter((name) => typeof made[name] === "object");
}

/** The methods of a part of the client that nobody has called in this process. */
export function uncalled(part) {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(new Client({ apiUrl, apiKey: null })[part]));
  return methods.filter((name) => name !== "constructor" && !called.has(`${part}.${name}`));
}

function watched(part, methods) {
  return new Proxy(methods, {
    get(target, name) {
      called.add(`${part}.${name}`);
      return typeof target[name] === "function" ? target[name].bind(target) : target[name];
    },
  });
}

/** All values of an asynchronous iterable. */
export async function all(iterable) {
  const found = [];
  for await (const value of iterable) found.push(value);
  return found;
}

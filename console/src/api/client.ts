import { authorization, refuse } from "../auth/session";
import { refusal, Silent, Unreachable } from "./errors";
import { prefix } from "./prefix";

/** Where the API is: where the console is served. */
export const origin = window.location.origin + prefix;

/** `fetch` with the user's token, whose refusals are `ApiError`s. */
export async function ask(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  for (const [name, value] of Object.entries(await authorization())) headers.set(name, value);
  const response = await fetch(input, { ...init, headers }).catch((error: unknown) => {
    throw error instanceof DOMException && error.name === "AbortError" ? error : new Unreachable();
  });
  if (response.ok) return response;
  const error = await refusal(response);
  if (error.status === 401) refuse(error.message);
  throw error;
}

/** An API that has not begun to answer a question after this long is away, in milliseconds. */
const ANSWER_MS = 15_000;

/** What is asked again and again has a signal, and an end; who changes something waits for the answer. */
async function inTime<Answer>(
  signal: AbortSignal | undefined,
  ask: (signal?: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  if (signal === undefined) return ask();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_MS);
  try {
    return await ask(AbortSignal.any([signal, late.signal]));
  } catch (error) {
    throw late.signal.aborted && !signal.aborted ? new Silent() : error;
  } finally {
    clearTimeout(timer);
  }
}

/** One call with a JSON body and a JSON answer. */
export async function call<Answer>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Answer> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const response = await inTime(signal, (signal) => ask(`${origin}${path}`, { ...init, ...(signal && { signal }) }));
  return response.status === 204 ? (undefined as Answer) : response.json();
}

import { authorization, refuse } from "../auth/session";
import { refusal, Unreachable } from "./errors";
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

/** One call with a JSON body and a JSON answer. */
export async function call<Answer>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Answer> {
  const init: RequestInit = { method, ...(signal && { signal }) };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const response = await ask(`${origin}${path}`, init);
  return response.status === 204 ? (undefined as Answer) : response.json();
}

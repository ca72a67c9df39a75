/** Calls of the API: where it is, who calls, and its errors as exceptions. */

export interface Server {
  url: string;
  /** Sent as `Authorization: Bearer`; empty where the API asks nobody. */
  token: string;
}

/** The API's own word (RFC 9457) on why it refused. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly body: Record<string, unknown>,
  ) {
    super(detail);
  }

  /** Whether the same request may succeed in a moment: a replica that goes, a proxy without one. */
  get passes(): boolean {
    return [502, 503, 504].includes(this.status);
  }
}

export async function call(server: Server, path: string, request: RequestInit = {}): Promise<Response> {
  const headers = new Headers(request.headers);
  if (server.token) headers.set("Authorization", `Bearer ${server.token}`);
  const response = await fetch(new URL(path, server.url), { ...request, headers });
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const detail = String(body.detail ?? `The API answered ${response.status}.`);
  throw new Problem(response.status, String(body.code ?? ""), detail, body);
}

export async function read<T>(server: Server, path: string, signal: AbortSignal): Promise<T> {
  return (await (await call(server, path, { signal })).json()) as T;
}

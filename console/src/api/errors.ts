/** A refusal of the API: application/problem+json (RFC 9457). */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly status: number,
    /** A sentence that says what to do. */
    message: string,
    /** For programs; empty where the answer is no problem document. */
    readonly code: string,
    /** The request's id, which the log has too. */
    readonly instance: string | undefined,
    readonly retryAfterSeconds: number | undefined,
  ) {
    super(message);
  }
}

/** The API was not reached at all. */
export class Unreachable extends Error {
  override name = "Unreachable";

  constructor() {
    super("The API does not answer.");
  }
}

/** The API was reached, or its host was, and said nothing. */
export class Silent extends Unreachable {}

export async function refusal(response: Response): Promise<ApiError> {
  const problem = await response.json().catch(() => ({}));
  const detail = typeof problem.detail === "string" ? problem.detail : (problem.title ?? response.statusText);
  const code = typeof problem.code === "string" ? problem.code : "";
  const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  return new ApiError(response.status, detail || `HTTP ${response.status}`, code, problem.instance, retryAfter);
}

/** Whether the same request may succeed a little later. */
export function passes(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof ApiError && [429, 502, 503, 504].includes(error.status));
}

export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import { page } from "../api/prefix";
import type { ConsoleConfig } from "../api/types";

/** What an OpenID provider gave. `expires_at` is in milliseconds since 1970. */
export interface Tokens {
  token: string;
  refresh_token: string | null;
  expires_at: number | null;
  token_endpoint: string;
  client_id: string;
}

type Oidc = NonNullable<ConsoleConfig["oidc"]>;

interface Attempt {
  state: string;
  verifier: string;
  token_endpoint: string;
  client_id: string;
  back_to: string;
}

const KEY = "relayrun.oidc";
const REDIRECT_PATH = `${page}/signed-in`;
/** A token is renewed this long before it expires, in milliseconds. */
const EARLY_MS = 30_000;

/** Go to the provider's page: authorization code flow with PKCE (RFC 7636). */
export async function leaveForProvider(oidc: Oidc): Promise<void> {
  const response = await fetch(`${oidc.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  if (!response.ok) throw new Error(`The issuer ${oidc.issuer} does not describe itself: HTTP ${response.status}.`);
  const { authorization_endpoint, token_endpoint } = await response.json();
  const verifier = random();
  const attempt: Attempt = {
    state: random(),
    verifier,
    token_endpoint,
    client_id: oidc.client_id,
    back_to: window.location.pathname + window.location.search,
  };
  sessionStorage.setItem(KEY, JSON.stringify(attempt));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const url = new URL(authorization_endpoint);
  const parameters = {
    response_type: "code",
    client_id: oidc.client_id,
    redirect_uri: redirectUri(),
    scope: Array.isArray(oidc.scopes) ? oidc.scopes.join(" ") : oidc.scopes,
    state: attempt.state,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  window.location.assign(url);
}

/** Whether the provider has just sent the user back. */
export function isReturning(): boolean {
  return window.location.pathname === REDIRECT_PATH;
}

/** Exchange the code for tokens, and say where the user was. */
export async function finishSignIn(): Promise<{ tokens: Tokens; backTo: string }> {
  const answer = new URLSearchParams(window.location.search);
  const text = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  const attempt: Attempt | null = text === null ? null : JSON.parse(text);
  const error = answer.get("error_description") ?? answer.get("error");
  if (error !== null) throw new Error(`The provider refused: ${error}`);
  const code = answer.get("code");
  if (attempt === null || code === null || answer.get("state") !== attempt.state)
    throw new Error("This sign-in was not begun in this tab. Begin again.");
  const tokens = await exchange(attempt, {
    grant_type: "authorization_code",
    code,
    redirect_uri: redirectUri(),
    code_verifier: attempt.verifier,
  });
  return { tokens, backTo: attempt.back_to };
}

let refreshing: Promise<Tokens> | null = null;

/** The tokens, renewed where they are about to expire. */
export async function refreshed(tokens: Tokens): Promise<Tokens> {
  const { expires_at, refresh_token } = tokens;
  if (expires_at === null || refresh_token === null || Date.now() < expires_at - EARLY_MS) return tokens;
  // What cannot be renewed is sent as it is: the API's refusal leads to the sign-in.
  refreshing ??= exchange(tokens, { grant_type: "refresh_token", refresh_token })
    .then((renewed) => ({ ...renewed, refresh_token: renewed.refresh_token ?? refresh_token }))
    .catch(() => tokens)
    .finally(() => (refreshing = null));
  return refreshing;
}

async function exchange(
  { token_endpoint, client_id }: Pick<Tokens, "token_endpoint" | "client_id">,
  grant: Record<string, string>,
): Promise<Tokens> {
  const body = new URLSearchParams({ client_id, ...grant });
  const response = await fetch(token_endpoint, { method: "POST", body });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error_description ?? answer.error ?? `HTTP ${response.status}`);
  const { access_token, id_token, refresh_token, expires_in } = answer;
  // Access tokens of some providers are opaque; the API verifies signatures, so it needs a JWT.
  const token = isJwt(access_token) || !isJwt(id_token) ? access_token : id_token;
  const expires_at = typeof expires_in === "number" ? Date.now() + expires_in * 1000 : null;
  return { token, refresh_token: refresh_token ?? null, expires_at, token_endpoint, client_id };
}

function isJwt(token: unknown): boolean {
  return typeof token === "string" && token.split(".").length === 3;
}

function redirectUri(): string {
  return window.location.origin + REDIRECT_PATH;
}

function random(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

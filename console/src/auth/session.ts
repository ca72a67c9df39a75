import { useSyncExternalStore } from "react";

import { refreshed, type Tokens } from "./oidc";

/** What a user gave to come in. It stays in this tab: sessionStorage, never a URL. */
export type Credentials = { kind: "api-key" | "token"; secret: string } | ({ kind: "oidc" } & Tokens);

interface Session {
  credentials: Credentials | null;
  /** Why the API asks for other ones; null while it does not. */
  refused: string | null;
}

const KEY = "relayrun.session";
const listeners = new Set<() => void>();
let session: Session = { credentials: stored(), refused: null };

function stored(): Credentials | null {
  const text = sessionStorage.getItem(KEY);
  return text === null ? null : JSON.parse(text);
}

function change(next: Session): void {
  session = next;
  for (const listener of listeners) listener();
}

export function signIn(credentials: Credentials): void {
  sessionStorage.setItem(KEY, JSON.stringify(credentials));
  change({ credentials, refused: null });
}

export function signOut(): void {
  sessionStorage.removeItem(KEY);
  change({ credentials: null, refused: null });
}

/** The API did not take the credentials, or asks for some. */
export function refuse(why: string): void {
  sessionStorage.removeItem(KEY);
  change({ credentials: null, refused: why });
}

/** The headers of a request. */
export async function authorization(): Promise<Record<string, string>> {
  let { credentials } = session;
  if (credentials === null) return {};
  if (credentials.kind === "oidc") {
    const fresh = await refreshed(credentials);
    if (fresh !== credentials) {
      credentials = { kind: "oidc", ...fresh };
      sessionStorage.setItem(KEY, JSON.stringify(credentials));
      session = { ...session, credentials };
    }
    return { Authorization: `Bearer ${credentials.token}` };
  }
  const { kind, secret } = credentials;
  return kind === "api-key" ? { "X-Api-Key": secret } : { Authorization: `Bearer ${secret}` };
}

export function useSession(): Session {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => session,
  );
}

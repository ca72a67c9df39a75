import { queryOptions } from "@tanstack/react-query";

import { call } from "../../api/client";
import { OWN } from "../../api/prefix";

export interface ApiKey {
  key_id: string;
  owner: string;
  admin: boolean;
  name: string | null;
  created_at: string;
  last_used_at: string | null;
  expires_at: string | null;
  revoked_at: string | null;
}

export interface NewApiKey extends ApiKey {
  /** Its text, which the API tells this once. */
  key: string;
}

export interface KeyRequest {
  owner: string;
  admin: boolean;
  name?: string;
  expires_in_days?: number;
}

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: ({ signal }) => call<ApiKey[]>("GET", `${OWN}/keys`, undefined, signal),
});

export const createKey = (wanted: KeyRequest) => call<NewApiKey>("POST", `${OWN}/keys`, wanted);

export const revokeKey = (id: string) => call<ApiKey>("DELETE", `${OWN}/keys/${encodeURIComponent(id)}`);

export type KeyState = "valid" | "expired" | "revoked";

export function stateOf(key: ApiKey, now: number): KeyState {
  if (key.revoked_at !== null) return "revoked";
  return key.expires_at !== null && new Date(key.expires_at).getTime() <= now ? "expired" : "valid";
}

import type { RunState } from "./states";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** A run as lists show it. Times are ISO 8601. */
export interface RunSummary {
  run_id: string;
  thread_id: string;
  thread_name: string | null;
  owner: string | null;
  assistant_id: string | null;
  agent: string;
  graph: string;
  number: number;
  state: RunState;
  /** Whether its questions are open still. */
  waiting: boolean;
  reason: string | null;
  message: string | null;
  attempt: number;
  runner: string | null;
  metadata: JsonObject;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface RunPage {
  runs: RunSummary[];
  next: string | null;
}

export interface RunFilter {
  status?: RunState[];
  agent?: string;
  graph?: string;
  assistant_id?: string;
  thread_id?: string;
  owner?: string;
  created_after?: string;
  created_before?: string;
  text?: string;
}

export interface RunStats {
  since: string;
  bucket_seconds: number;
  buckets: RunBucket[];
  start_ms: Percentiles | null;
  duration_ms: Percentiles | null;
  pending: number;
  running: number;
  delayed: number;
}

export interface RunBucket {
  at: string;
  success: number;
  error: number;
  timeout: number;
  cancelled: number;
  interrupted: number;
}

export interface Percentiles {
  p50: number;
  p95: number;
}

export interface Attempt {
  attempt: number;
  runner: string;
  claimed_at: string;
  ended_at: string | null;
  ending: "Finished" | "Drained" | "Lost" | null;
}

export interface AgentSummary {
  agent: string;
  build: string | null;
  registered_at: string | null;
  graphs: { graph: string; description: string | null; own_name: string | null }[];
  indexed: boolean;
  pending: number;
  running: number;
  ready: number | null;
  desired: number | null;
  generation: string | null;
  conditions: AgentCondition[];
  /** Both are for admins; null for others. */
  runners: AgentRunner[] | null;
  recent_deaths: { runner: string; at: string; reason: string }[] | null;
}

export interface AgentCondition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string | null;
  since: string | null;
}

export interface AgentRunner {
  name: string;
  state: string;
  running: number;
  slots: number | null;
  generation: string | null;
  restarts: number;
}

export interface ConsoleConfig {
  auth: ("none" | "jwt" | "api-key" | "custom")[];
  oidc: { issuer: string; client_id: string; scopes: string | string[] } | null;
  version: string;
}

export interface Status {
  status: CheckStatus;
  version?: string;
  time?: string;
  checks?: Record<string, Check>;
  active_threads?: number;
  active_threads_by_agent?: Record<string, number>;
  queue?: { length: number; oldest_seconds: number | null; blocked?: Json };
}

export type CheckStatus = "ok" | "degraded" | "down" | "disabled";

export interface Check {
  status: CheckStatus;
  reason?: string;
  latency_ms?: number;
  checked_seconds_ago?: number;
  ready?: number;
  desired?: number;
}

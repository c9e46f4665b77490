/** What the pages read of the API's answers. */
import type { Schema } from "./schema";

export interface Account {
  id: string;
  label: string;
  details?: Record<string, unknown>;
}
export interface Failure {
  code: string;
  message: string;
  at?: string;
  providerCode?: string | null;
  status?: number | null;
  step?: string | null;
}
export interface Webhook {
  id: string;
  url: string;
  verification?: { type?: string } | null;
  rejected?: number | null;
  received?: number | null;
  lastReceived?: string | null;
  lastRejection?: { at: string; reason: string } | null;
  lastFailure?: { at: string; reason: string } | null;
}
export interface Connection {
  provider: string;
  connection: string;
  status: string;
  account: Account | null;
  connectedAt: string;
  updatedAt: string;
  expiresAt?: string | null;
  lastTested?: string | null;
  lastError?: Failure | null;
  webhook?: Webhook | null;
}
export interface ProviderStatus {
  status: string;
  account?: Account | null;
  expiresAt?: string | null;
  lastTested?: string | null;
  lastError?: Failure | null;
  connections?: Connection[];
  nextToken?: string | null;
}
export interface ActionForm {
  name: string;
  title: string;
  idempotent: boolean;
  params: Schema;
  example: Record<string, unknown>;
}
export interface TriggerForm {
  type: string;
  title: string;
  filters: Schema;
  example: unknown;
}
export interface Provider {
  id: string;
  title: string;
  docsUrl: string;
  oauth: boolean;
  credentials: Schema;
  actions: ActionForm[];
  triggers: TriggerForm[];
}
export interface Page<T> {
  items: T[];
  nextToken?: string | null;
}
export interface ExecutionSummary {
  executionId: string;
  workflowId: string;
  workflowName: string;
  status: string;
  triggerType: string;
  createdAt: string;
  finishedAt?: string | null;
  error?: Failure | null;
}
export interface Step {
  id: string;
  action: string;
  status: string;
  attempts: number;
  startedAt?: string | null;
  finishedAt?: string | null;
  durationMs?: number | null;
  retryAt?: string | null;
  input?: unknown;
  output?: unknown;
  /** Where the whole output is, when `output` is its beginning. */
  outputUrl?: string | null;
  error?: Failure | null;
  rounds?: Record<string, unknown> | null;
}
export interface StepOutput {
  output?: unknown;
  /** Of a step with rounds. */
  items?: { index: number; output?: unknown; text?: string | null }[] | null;
  /** Of an output too large for one answer: a part of its JSON text. */
  text?: string | null;
  nextToken?: string | null;
}
export interface Execution extends ExecutionSummary {
  workflowVersion: number;
  trigger: { type: string; eventId: string; data?: unknown };
  steps: Step[];
  startedAt?: string | null;
  retryAt?: string | null;
  retryCount?: number;
  rerunOf?: string | null;
}
export interface Definition {
  name: string;
  enabled?: boolean;
  trigger: Record<string, unknown> & { type: string };
  steps: Record<string, unknown>[];
}
export interface Workflow extends Definition {
  workflowId: string;
  enabled: boolean;
  version: number;
  createdAt: string;
  updatedAt: string;
  webhookUrl?: string | null;
  /** What was saved, but is not yet as it should be at the provider. */
  warning?: string | null;
}
export interface Mistake {
  field: string;
  message: string;
  code?: string;
  suggestions?: string[];
}
export interface Preview {
  matches: boolean;
  filterResult?: unknown;
  reason?: string | null;
  steps: {
    id: string;
    action: string;
    connection?: string;
    runs?: boolean | null;
    reason?: string | null;
    params?: unknown;
    rounds?: { index: number; item: unknown; params: unknown }[] | null;
    /** Of all rounds; `rounds` may be the first of them. */
    roundCount?: number | null;
    errors?: Mistake[] | null;
  }[];
}
export interface EventSummary {
  eventId: string;
  webhookId?: string | null;
  provider: string;
  receivedAt: string;
  outcome: string;
  reason?: string | null;
  types?: string[];
  size?: number;
  executions?: number;
  replayOf?: string | null;
}
export interface EventDetails extends EventSummary {
  verification?: { type?: string; verified?: boolean; reason?: string | null } | null;
  method?: string;
  /** What followed the webhook's URL. */
  path?: string;
  headers?: Record<string, string> | null;
  query?: Record<string, string | string[]> | null;
  body?: unknown;
  bodyTruncated?: boolean;
  events?: { type: string; target?: string | null; data: unknown; dataTruncated?: boolean }[];
  workflows?: {
    workflowId: string;
    workflowName?: string | null;
    outcome: string;
    reason?: string | null;
    executionId?: string | null;
  }[];
}
export interface Job {
  jobId: string;
  kind: string;
  status: string;
  total?: number | null;
  done?: number | null;
  failed?: number | null;
  /** Why it failed; or, where it went on, what was the last that it could not do. */
  error?: string | null;
  createdAt: string;
  finishedAt?: string | null;
}
export interface Token {
  tokenId: string;
  name: string;
  tenant?: string;
  scopes: string[];
  createdAt: string;
  expiresAt?: string | null;
  lastUsedAt?: string | null;
  token?: string;
}
export interface AuditEntry {
  at: string;
  actor: { kind: string; id?: string | null; name?: string | null };
  sourceIp?: string | null;
  action: string;
  target?: string | null;
  outcome: string;
  requestId?: string | null;
}
export interface ConnectSession {
  application?: string | null;
  providers: string[];
  connection: string;
  redirectUri?: string | null;
  expiresAt: string;
}

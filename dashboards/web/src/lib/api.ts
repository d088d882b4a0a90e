/** Requests to the server. Commands carry the token, which lives in this tab's session only. */
import { t } from '../i18n';
import type { AuditEntry, Hint, HistorySeries, SiteInfo } from './records';
import type { BudgetShown, Lender, OutcomeTotals, SchedulerState, ShedProcess } from './records-placement';

/** The server (or the way to it) said no; the message is for people. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError(t('control.unreachable'), 0);
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(words(response.status, body), response.status);
  return body as T;
}

function words(status: number, body: unknown): string {
  if (status === 401) return t('control.bad_token');
  const { error, remedy } = (body ?? {}) as { error?: string; remedy?: string };
  return [error ?? `HTTP ${status}`, remedy].filter(Boolean).join('; ');
}

function send<T>(method: 'POST' | 'PUT', path: string, body: unknown, token: string): Promise<T> {
  const headers = { 'Content-Type': 'application/json', ...bearer(token) };
  return ask<T>(path, { method, headers, body: JSON.stringify(body) });
}

const bearer = (token: string): Record<string, string> => (token === '' ? {} : { Authorization: `Bearer ${token}` });
const post = <T>(path: string, body: unknown, token = ''): Promise<T> => send('POST', path, body, token);

export interface IntentBody {
  kind: 'set_mode' | 'hold' | 'confirm' | 'acknowledge';
  loop: string;
  reason: string;
  actor: string;
  mode?: string;
  values?: Record<string, number>;
  expires_in_s?: number;
  plan?: string;
}

export interface BudgetBody {
  scope: string;
  kw: number;
  reason: string;
  until: number;
  source: 'operator' | 'grid';
  actor: string;
}

export interface Answer {
  accepted: boolean;
  text: string;
}

export const fetchSite = (): Promise<SiteInfo> => ask('/v1/site');
export const fetchAudit = (limit: number): Promise<{ entries: AuditEntry[] }> => ask(`/v1/audit?limit=${limit}`);
export const askHint = (power_w: number): Promise<Hint> => post('/v1/placement/hints', { power_w });
export const sendIntent = (intent: IntentBody, token: string): Promise<Answer> => post('/v1/intents', intent, token);
export const allToDefault = (reason: string, actor: string, token: string): Promise<Answer> =>
  post('/v1/all-to-default', { ...(reason && { reason }), ...(actor && { actor }) }, token);

export const fetchBudgets = (): Promise<{ budgets: BudgetShown[] }> => ask('/v1/budget');
export const fetchSchedulers = (): Promise<{ schedulers: SchedulerState[] }> => ask('/v1/schedulers');
export const fetchLoans = (): Promise<{ lenders: Lender[] }> => ask('/v1/loans');
export const fetchSheds = (): Promise<{ processes: ShedProcess[] }> => ask('/v1/shed');
export const fetchOutcomes = (): Promise<{ totals: OutcomeTotals; late: number }> => ask('/v1/hints');
export const setBudget = (body: BudgetBody, token: string): Promise<Answer> => send('PUT', '/v1/budget', body, token);
export const endBudget = (which: Omit<BudgetBody, 'kw' | 'until'>, token: string): Promise<Answer> =>
  ask(`/v1/budget?${new URLSearchParams({ ...which })}`, { method: 'DELETE', headers: bearer(token) });

/** Every node's score with the list's ETag; null while it is the list whose `etag` is known. */
export async function fetchNodeScores(etag: string): Promise<{ nodes: { rack: string; score: number }[]; etag: string } | null> {
  const response = await fetch('/v1/hints/nodes', { headers: { 'If-None-Match': etag } });
  if (!response.ok) return null;
  const { nodes } = (await response.json()) as { nodes: { rack: string; score: number }[] };
  return { nodes, etag: response.headers.get('etag') ?? '' };
}

/** Means of some points' history, one series a point. */
export function fetchHistory(points: string[], start_s: number, end_s: number): Promise<{ series: HistorySeries[] }> {
  const query = new URLSearchParams({ start_s: String(start_s), end_s: String(end_s), step_s: '20' });
  for (const point of points) query.append('point', point);
  return ask(`/v1/history?${query}`);
}

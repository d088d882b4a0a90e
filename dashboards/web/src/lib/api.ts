/** Requests to the server. Commands carry the token, which lives in this tab's session only. */
import { t } from '../i18n';
import type { AuditEntry, Hint, HistorySeries, SiteInfo } from './records';

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

function post<T>(path: string, body: unknown, token = ''): Promise<T> {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' };
  if (token !== '') headers['Authorization'] = `Bearer ${token}`;
  return ask<T>(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

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

/** Means of some points' history, one series a point. */
export function fetchHistory(points: string[], start_s: number, end_s: number): Promise<{ series: HistorySeries[] }> {
  const query = new URLSearchParams({ start_s: String(start_s), end_s: String(end_s), step_s: '20' });
  for (const point of points) query.append('point', point);
  return ask(`/v1/history?${query}`);
}

/** What an entry of the audit says, in the chosen language and in the units that people read. */
import { named, say, sayable, sentence, t } from '../i18n';
import { clockTime, count, digits, span } from './format';
import type { AuditEntry, Message } from './records';
import { shownSetpoint } from './setpoints';

type Value = AuditEntry['detail'][string];
const SETPOINTS = new Set(['value', 'asked', 'actual', 'read_back']);
const SPANS = new Set(['ttl_s', 'driven_s']);
const TIMES = new Set(['until_s', 'first_s']);
const CODES = new Set(['code', 'verdict']);
/** A part of `reason`, which they put into the reader's language. A refusal's `text` is left out where only `code` can be said in it. */
const UNSAID = new Set(['reason_code', 'reason_params']);

/** Who did it: a room of coldplate by its name, a person as they called themselves. */
export const actorName = (entry: AuditEntry): string => named('actor', entry.actor);

/** All details of an entry, one after the other. */
export function details(entry: AuditEntry, timezone: string): string {
  const said = Object.entries(entry.detail).filter(([name, value]) => !UNSAID.has(name) && !(name === 'text' && !sayable(own(entry, value))));
  return said.map(([name, value]) => t('detail.is', { name: named('detail', name), value: shownDetail(entry, name, value, timezone) })).join(t('detail.between'));
}

/** A text without the subject before it, which stands beside it already. */
const own = (entry: AuditEntry, text: Value): string => String(text).replace(`${entry.subject}: `, '');

function shownDetail(entry: AuditEntry, name: string, value: Value, timezone: string): string {
  if (typeof value === 'boolean') return t(value ? 'detail.yes' : 'detail.no');
  if (typeof value === 'number') return shownNumber(entry.subject, name, value, timezone);
  if (name === 'reason') return whole(entry) ?? sentence(value ?? '');
  if (name === 'unconfirmed' && value === '') return t('detail.nobody');
  if (CODES.has(name)) return named('code', value ?? '');
  if (name === 'cause') return named('let_go', value ?? '');
  return value === null ? '—' : sentence(own(entry, value));
}

function shownNumber(subject: string, name: string, value: number, timezone: string): string {
  if (SETPOINTS.has(name)) return shownSetpoint(subject, value);
  if (SPANS.has(name)) return span(value);
  if (TIMES.has(name)) return clockTime(value, timezone);
  if (name === 'power_kw') return `${digits(value, 1)} kW`;
  return Number.isInteger(value) ? count(value) : String(Math.round(value * 1000) / 1000);
}

/** The reason by its code and numbers, where the entry has them. */
function whole(entry: AuditEntry): string | null {
  const { reason, reason_code: code, reason_params: params } = entry.detail;
  if (typeof reason !== 'string' || typeof code !== 'string' || typeof params !== 'string') return null;
  return say({ code, text: reason, params: JSON.parse(params) as Message['params'] });
}

/** State points in words: the site's own names for the codes, translated where the catalogue knows them. */
import { named } from '../i18n';
import type { PointInfo } from './records';

const KNOWN: Record<string, string> = {
  'local default': 'local',
  'returning to default': 'returning',
  'follows the group master': 'follows',
};

/** The word for a state code; the bare number when the profile does not name it. */
export function stateWord(info: PointInfo | undefined, value: number): string {
  const name = info?.states[String(Math.round(value))];
  if (name === undefined) return String(value);
  const word = named('state', KNOWN[name] ?? name);
  return word in KNOWN ? name : word;
}

/** Whether a state asks for a person. */
export function isAbnormal(info: PointInfo | undefined, value: number): boolean {
  const name = info?.states[String(Math.round(value))];
  return name === 'fault' || name === 'leak';
}

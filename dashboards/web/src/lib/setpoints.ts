/** Names and figures of commanded points, from the groups of the site. */
import { named } from '../i18n';
import { withUnit } from './format';
import { live } from './live.svelte';
import type { GroupInfo, SiteInfo } from './records';
import { stateWord } from './states';

/** What the commanded point does, in words. */
export function commandName(point: string, site: SiteInfo): string {
  for (const group of site.groups)
    for (const [role, commanded] of Object.entries(group.commands)) if (commanded === point) return roleName(role);
  return point;
}

/** A role in words; `enable:tower-1` is the switch of one unit. */
export function roleName(role: string): string {
  const [kind, unit] = role.split(':');
  return unit === undefined ? named('role', role) : `${named('role', kind ?? role)} ${unit}`;
}

export const quantityOf = (point: string): string => live.info.get(point)?.quantity ?? '';

/** A setpoint's value [SI] with its unit; a switch by the word of its state. */
export function shownSetpoint(point: string, value: number | null): string {
  const info = live.info.get(point);
  return info?.quantity === 'state' && value !== null ? stateWord(info, value) : withUnit(value, info?.quantity ?? '');
}

export interface Command {
  role: string;
  point: string;
  design: number | null;
  minimum: number | null;
  maximum: number | null;
}

/** The commands of a loop with their limits [SI]. */
export function commandsOf(group: GroupInfo): Command[] {
  return Object.entries(group.commands).map(([role, point]) => {
    const envelope = group.envelopes[role];
    return { role, point, design: group.design[role] ?? null, minimum: envelope?.minimum ?? null, maximum: envelope?.maximum ?? null };
  });
}

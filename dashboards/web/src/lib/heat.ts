/** Heat that a CDU or sidecar carries, from flow and temperatures, and its history for the chart. */
import { fetchHistory } from './api';
import { live } from './live.svelte';
import { reading } from './readings';
import type { HistorySeries, SiteInfo } from './records';

/**
 * Volumetric heat capacity [J/(m³ K)] of the coolant near 35 °C, linear in the percentage of glycol.
 * Slopes fitted to CoolProp (water; MPG and MEG mixtures up to 40 %), within 0.2 % at 25 %, 2 % elsewhere.
 */
export function volumetricHeat(coolant: SiteInfo['coolant']): number {
  const slope = coolant.fluid.includes('ethylene') ? SLOPE_EG : coolant.fluid.includes('propylene') ? SLOPE_PG : 0;
  return 4.153e6 + slope * coolant.glycol_percent;
}
const SLOPE_PG = -5.9e3;
const SLOPE_EG = -8.5e3;

const NAMES = ['tcs_flow', 'tcs_supply_temperature', 'tcs_return_temperature'] as const;

/** The devices whose heat makes up a forecast's subject: the subject itself, the members of a group, or all of them. */
export function devicesOf(subject: string, site: SiteInfo): string[] {
  if (subject === site.id) return site.groups.flatMap((g) => g.members);
  return site.groups.find((g) => g.id === subject)?.members ?? [subject];
}

/** Heat now [W], null while any part of it is unknown. */
export function heatNow(subject: string, site: SiteInfo): number | null {
  let sum = 0;
  for (const device of devicesOf(subject, site)) {
    const [flow, supply, back] = NAMES.map((name) => reading(`${device}/${name}`));
    if (flow?.look !== 'good' || supply?.look !== 'good' || back?.look !== 'good') return null;
    sum += volumetricHeat(site.coolant) * flow.value! * (back.value! - supply.value!);
  }
  return sum;
}

export interface Track {
  times_s: number[];
  heat_w: (number | null)[];
}

function combine(series: HistorySeries[], devices: string[], site: SiteInfo): Track {
  const byTime = new Map<number, number[]>();
  series.forEach((one, column) =>
    one.times_s.forEach((time, i) => {
      const value = one.values[i];
      if (value !== null && value !== undefined) (byTime.get(time) ?? byTime.set(time, []).get(time)!)[column] = value;
    }),
  );
  const times_s = [...byTime.keys()].sort((a, b) => a - b);
  const heat_w = times_s.map((time) => {
    const row = byTime.get(time)!;
    const parts = devices.map((_, d) => volumetricHeat(site.coolant) * row[3 * d]! * (row[3 * d + 2]! - row[3 * d + 1]!));
    const sum = parts.reduce((a, b) => a + b, 0);
    return Number.isFinite(sum) ? sum : null;
  });
  return { times_s, heat_w };
}

/** The last hour's heat from the store. */
export async function heatHistory(subject: string, site: SiteInfo): Promise<Track> {
  const devices = devicesOf(subject, site);
  const points = devices.flatMap((device) => NAMES.map((name) => `${device}/${name}`));
  const { series } = await fetchHistory(points, live.now_s - 3600, live.now_s);
  return combine(series, devices, site);
}

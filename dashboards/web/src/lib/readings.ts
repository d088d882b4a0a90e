/** What one point shows: its value, or why not. A stale value never looks live. */
import { live } from './live.svelte';
import type { PointValue } from './records';

export type Look = 'good' | 'uncertain' | 'stale' | 'bad' | 'none';

export interface Reading {
  look: Look;
  value: number | null;
  quantity: string;
  age_s: number;
  reasons: string[];
}

const TRANSPORT_S = 5; // real seconds that a value may be under way to this page

function lookOf(point: PointValue, age_s: number, maxAge_s: number): Look {
  if (point.value === null) return 'bad';
  const old = age_s > maxAge_s + TRANSPORT_S * live.speed;
  if (live.blind || old || point.reasons.includes('stale')) return 'stale';
  return point.quality === 'good' ? 'good' : point.quality;
}

/** The reading of a point as it stands now. */
export function reading(id: string): Reading {
  const point = live.points.get(id);
  const info = live.info.get(id);
  const quantity = info?.quantity ?? '';
  if (point === undefined || point.time_s === null) return { look: 'none', value: null, quantity, age_s: 0, reasons: [] };
  const age_s = Math.max(0, live.now_s - point.time_s);
  const look = lookOf(point, age_s, info?.max_age_s ?? Infinity);
  return { look, value: point.value, quantity, age_s, reasons: point.reasons };
}

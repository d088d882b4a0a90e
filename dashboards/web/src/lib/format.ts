/** Numbers and times for people: separators by language, units fixed (°C, kW, kPa, l/min). */
import { t } from '../i18n';
import { preferences } from './preferences.svelte';

interface Shown {
  unit: string;
  factor: number;
  decimals: number;
}

const SHOWN: Record<string, Shown> = {
  temperature: { unit: '°C', factor: 1, decimals: 1 },
  temperature_difference: { unit: 'K', factor: 1, decimals: 1 },
  volume_flow: { unit: 'l/min', factor: 60000, decimals: 0 },
  pressure: { unit: 'kPa', factor: 1e-3, decimals: 1 },
  differential_pressure: { unit: 'kPa', factor: 1e-3, decimals: 1 },
  power: { unit: 'kW', factor: 1e-3, decimals: 1 },
  apparent_power: { unit: 'kVA', factor: 1e-3, decimals: 1 },
  energy: { unit: 'kWh', factor: 1 / 3.6e6, decimals: 1 },
  fraction: { unit: '%', factor: 100, decimals: 0 },
  humidity: { unit: '%RH', factor: 100, decimals: 0 },
  frequency: { unit: 'Hz', factor: 1, decimals: 2 },
  voltage: { unit: 'V', factor: 1, decimals: 0 },
  current: { unit: 'A', factor: 1, decimals: 0 },
  duration: { unit: 's', factor: 1, decimals: 0 },
};
const PLAIN: Shown = { unit: '', factor: 1, decimals: 0 };

const locale = (): string => (preferences.language === 'zh' ? 'zh-CN' : 'en-GB');
const formats = new Map<string, Intl.NumberFormat>();

/** A bare number with a fixed count of decimals. */
export function digits(value: number, decimals: number): string {
  const key = `${locale()}:${decimals}`;
  let format = formats.get(key);
  if (format === undefined) {
    const places = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    format = new Intl.NumberFormat(locale(), { ...places, signDisplay: 'negative' }); // what rounds to nothing has no sign
    formats.set(key, format);
  }
  return format.format(value);
}

/** How a quantity is shown: its unit and what turns SI into it. */
export function shown(quantity: string): Shown {
  return SHOWN[quantity] ?? PLAIN;
}

/** An SI value in the unit people read, without the unit. */
export function figure(value: number | null | undefined, quantity: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '—';
  const { factor, decimals } = shown(quantity);
  const scaled = value * factor;
  return digits(Math.abs(scaled) < 0.5 * 10 ** -decimals ? 0 : scaled, decimals); // no "-0.0"
}

/** An SI value with its unit, e.g. `32.0 °C`. */
export function withUnit(value: number | null | undefined, quantity: string): string {
  const text = figure(value, quantity);
  return text === '—' ? text : `${text} ${shown(quantity).unit}`.trimEnd();
}

/** A count with separators. */
export const count = (value: number): string => digits(value, 0);

/** A length of time in the largest unit that fits, e.g. `42 s`, `3 min`. */
export function span(seconds: number): string {
  const value = Math.max(0, seconds);
  if (value < 120) return `${digits(value, 0)} s`;
  if (value < 7200) return `${digits(value / 60, 0)} min`;
  if (value < 172800) return `${digits(value / 3600, 0)} h`;
  return `${digits(value / 86400, 0)} d`;
}

/** Time of day at the site. */
export function clockTime(time_s: number | null, timezone: string, withDate = false): string {
  if (time_s === null) return '—';
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', timeZone: timezone };
  if (withDate) Object.assign(options, { year: 'numeric', month: 'short', day: 'numeric' });
  return new Intl.DateTimeFormat(locale(), options).format(time_s * 1000);
}

/** Saving or extra cost of a against b, in words. */
export function saving(value: number | null, design: number | null): string {
  if (value === null || design === null) return '—';
  const difference = design - value;
  return t(difference >= 0 ? 'plan.saves' : 'plan.costs', { value: withUnit(Math.abs(difference), 'power') });
}

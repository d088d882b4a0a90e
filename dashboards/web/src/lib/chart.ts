/** The heat chart's data and look: measured, median, and the 5–95 % band, on one time axis. */
import uPlot from 'uplot';
import { t } from '../i18n';
import { clockTime, digits } from './format';
import type { Track } from './heat';
import type { HeatForecast } from './records';

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const kilo = (value: number | null | undefined): number | null => (value === null || value === undefined ? null : value / 1000);

/** The trajectory of the quantile nearest to `wanted`. */
export function quantile(heat: HeatForecast, wanted: number): (number | null)[] {
  let best = 0;
  heat.quantiles.forEach((q, i) => {
    if (Math.abs(q - wanted) < Math.abs((heat.quantiles[best] ?? 0) - wanted)) best = i;
  });
  return heat.heat_w[best] ?? [];
}

/** Columns for uPlot: time, measured, low, high, median [kW]. */
export function chartData(track: Track, heat: HeatForecast | null): uPlot.AlignedData {
  const past = track.times_s.map((time, i) => [time, kilo(track.heat_w[i]), null, null, null] as const);
  const low = heat ? quantile(heat, 0.05) : [];
  const high = heat ? quantile(heat, 0.95) : [];
  const middle = heat ? quantile(heat, 0.5) : [];
  const ahead = (heat?.times_s ?? []).map((time, i) => [time, null, kilo(low[i]), kilo(high[i]), kilo(middle[i])] as const);
  const rows = [...past, ...ahead].sort((a, b) => a[0] - b[0]);
  return [0, 1, 2, 3, 4].map((column) => rows.map((row) => row[column] ?? null)) as unknown as uPlot.AlignedData;
}

function axes(timezone: string): uPlot.Axis[] {
  const look = { stroke: css('--ink'), grid: { stroke: css('--line'), width: 0.5 }, ticks: { stroke: css('--line'), width: 1 } };
  return [
    { ...look, values: (_, ticks) => ticks.map((tick) => clockTime(tick, timezone).slice(0, 5)) },
    { ...look, size: 58, label: t('forecast.axis'), labelSize: 22, values: (_, ticks) => ticks.map((tick) => digits(tick, 0)) },
  ];
}

/** uPlot's options in the page's colours. */
export function chartOptions(width: number, height: number, timezone: string): uPlot.Options {
  const spanGaps = true;
  return {
    width,
    height,
    legend: { show: false },
    cursor: { show: true, y: false, points: { show: false } },
    scales: { x: { time: true }, y: { range: (_, low, high) => uPlot.rangeNum(low, high, 0.15, true) } },
    series: [
      {},
      { stroke: css('--ink'), width: 2, spanGaps, points: { show: false } },
      { stroke: css('--edge'), width: 1, spanGaps, points: { show: false } },
      { stroke: css('--edge'), width: 1, spanGaps, points: { show: false } },
      { stroke: css('--ink'), width: 2, dash: [7, 4], spanGaps, points: { show: false } },
    ],
    bands: [{ series: [3, 2], fill: css('--band') }],
    axes: axes(timezone),
  };
}

"""What findings of a trend audit are worth: ranges with the assumption that each rests on.

What a kelvin of supply is worth is seen in the trends themselves where they have outdoor air and cooling power: heat is
rejected over the difference of the two, so a warmer supply saves what cooler air of as many kelvins does. Elsewhere
the range spans what the simulated pod of this project shows (12 h at fixed setpoints, supply 24 to 32 °C) between a
January day without a chiller (0.4 to 0.8 % a kelvin) and a July day with one (11 to 12 %); its pumps draw 33 to 93 % of
cooling energy, with power over flow^2.9 where their pressure follows, while at fixed pressure power only follows flow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.trend_table import Floats, TrendTable

PUMP_SHARE = (0.25, 0.9)
PUMP_EXPONENT = (1.0, 2.9)
PER_K = (0.003, 0.12)
"""Share of cooling energy that a kelvin of supply is worth where the trends can't tell."""
MOST_K = 10.0
HUNTING_LOSS = (0.0, 0.02)
LEAST_SPREAD_K = 4.0
LEAST_DAYS = 7
HOUR_S, DAY_S = 3600.0, 86400.0
RESAMPLES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """A share of cooling energy, low to high, and what it assumes."""

    finding: str
    low: float
    high: float
    assumption: str


def of_hunting() -> Saving:
    """Oscillation of pumps and valves."""
    text = "oscillation costs pumps and valves 0 to 2 % of cooling energy; their wear is not counted"
    return Saving(finding="hunting", low=HUNTING_LOSS[0], high=HUNTING_LOSS[1], assumption=text)


def of_low_delta_t(rises_k: Sequence[float], good_k: float) -> Saving:
    """Flow that could be less; rises_k: mean ΔT of each CDU [K]."""
    low, high = np.mean([_pumps(rise_k, good_k) for rise_k in rises_k], axis=0)
    text = (
        f"pumps are {PUMP_SHARE[0]:.0%} to {PUMP_SHARE[1]:.0%} of cooling energy, flow can fall until ΔT is "
        f"{good_k:g} K or by half, power falls with flow^{PUMP_EXPONENT[0]:g} to flow^{PUMP_EXPONENT[1]:g}"
    )
    return Saving(finding="low ΔT", low=float(low), high=float(high), assumption=text)


def _pumps(rise_k: float, good_k: float) -> tuple[float, float]:
    ratio = min(1.0, max(0.5, rise_k / good_k))
    low, high = (share * (1 - ratio**power) for share, power in zip(PUMP_SHARE, PUMP_EXPONENT, strict=True))
    return low, high


def of_cold_supply(table: TrendTable, colder_k: float, needed_c: float) -> Saving:
    """Supply that could be warmer by colder_k [K]."""
    counted_k, seen = min(MOST_K, colder_k), worth_of_a_kelvin(table)
    low, high = seen or PER_K
    source = "95 % interval of what a kelvin of outdoor air costs in these trends" if seen else "from winter to summer"
    text = (
        f"supply may be {needed_c:g} °C, and a kelvin is worth {low:.1%} to {high:.1%} of cooling energy ({source}), "
        f"counted to {MOST_K:g} K; what GPUs and flow take more is not counted"
    )
    return Saving(
        finding="cold supply", low=1 - (1 - low) ** counted_k, high=1 - (1 - high) ** counted_k, assumption=text
    )


def worth_of_a_kelvin(table: TrendTable) -> tuple[float, float] | None:
    """95 % interval of the share of cooling power that a kelvin of outdoor air costs [1/K], from days drawn anew.

    Hourly means of log power over outdoor air and log heat. None where the trends lack one of them, a week, or spread.
    """
    hours = _hours(table)
    if hours is None:
        return None
    day, outdoor_c, columns, power = hours
    days, place = np.unique(day, return_inverse=True)
    if len(days) < LEAST_DAYS or float(np.ptp(outdoor_c)) < LEAST_SPREAD_K:
        return None
    chance = np.random.default_rng(1)
    slopes = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(chance.integers(0, len(days), len(days)), minlength=len(days))
        weight = np.sqrt(drawn[place])
        slopes.append(np.linalg.lstsq(columns * weight[:, np.newaxis], power * weight, rcond=None)[0][1])
    low, high = (-math.expm1(-max(0.0, float(s))) for s in np.quantile(slopes, (0.025, 0.975)))
    return low, high


def _hours(table: TrendTable) -> tuple[Floats, Floats, Floats, Floats] | None:
    """Day numbers, outdoor air [°C], regression columns and log power of each whole hour; None where one is missing."""
    outdoor = table.of("wet_bulb") or table.of("dry_bulb")
    power, heat = table.summed("cooling_power"), table.summed("heat") or table.summed("it_power")
    if not outdoor or not power:
        return None
    hour = (table.time_s // HOUR_S).astype(np.int64)
    numbers, place = np.unique(hour, return_inverse=True)
    outdoor_c, power_w, *heat_w = (
        np.sum([_hourly(c.value, place) for c in columns], axis=0) for columns in (outdoor[:1], power, heat) if columns
    )
    good = np.isfinite(outdoor_c) & (power_w > 0)
    for row in heat_w:
        good &= row > 0
    columns = [np.ones(int(good.sum())), outdoor_c[good], *(np.log(row[good]) for row in heat_w)]
    design: Floats = np.asarray(np.stack(columns, axis=1), dtype=np.float64)
    day: Floats = np.asarray(numbers[good] * HOUR_S // DAY_S, dtype=np.float64)
    log_power: Floats = np.asarray(np.log(power_w[good]), dtype=np.float64)
    return day, np.asarray(outdoor_c[good], dtype=np.float64), design, log_power


def _hourly(value: Floats, place: npt.NDArray[np.intp]) -> Floats:
    """Mean of each hour over the rows that have a value (one each quarter of an hour, say); NaN where none has."""
    known = np.isfinite(value)
    most = int(place.max()) + 1
    count = np.bincount(place[known], minlength=most)
    total = np.bincount(place[known], weights=value[known], minlength=most)
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), math.nan)
    return mean


def energy_kwh(table: TrendTable) -> float | None:
    """Cooling energy over the trends where they have it; each value holds till the next, an hour at most."""
    columns = table.summed("cooling_power")
    return sum(_held_j(table, c.value) for c in columns) / 3.6e6 if columns else None


def _held_j(table: TrendTable, value: Floats) -> float:
    known = np.isfinite(value)
    time_s = table.time_s[known]
    if not len(time_s):
        return 0.0
    held_s = np.minimum(np.diff(time_s, append=table.time_s[-1] + table.step_s), HOUR_S)
    return float((value[known] * held_s).sum())


def together(shares: Sequence[float]) -> float:
    """Savings of savings: what one took, the next can't take again."""
    return 1 - math.prod(1 - s for s in shares)

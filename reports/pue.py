"""Energy from cumulative registers and the PUE of one interval. Pure.

Energy is the sum of a register's increments. A hole in the readings loses nothing, the register went on counting;
a register that went back is counted on only where its roll-over or its replacement is declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.errors import PermanentError
from plant.ports import Series

Floats = npt.NDArray[np.float64]


class ReportError(PermanentError):
    """The data can't support a figure; the message says which, why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time [s since 1970] without good readings.

    how: `register_difference` (the register counted on: its energy_j is exact, only its course is interpolated),
    `interpolated` (the same gap goes on outside of the interval: how much of its energy fell inside is an estimate) or
    `unfilled` (the energy of this time is not known).
    """

    start_s: float
    end_s: float
    how: str
    energy_j: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEnergy:
    """What one register says about an interval.

    start_s, end_s: the part of the interval that its readings span [s since 1970]; energy_j: in that part;
    first_j, last_j: the register at both ends [J]; good_fraction: share of the asked interval with good readings [1];
    curve_time_s, curve_j: the energy counted since the first reading [J], for splitting by hour.
    """

    point: str
    start_s: float
    end_s: float
    energy_j: float
    first_j: float
    last_j: float
    good_fraction: float
    gaps: tuple[Gap, ...]
    rollovers: int
    replacements: int
    curve_time_s: Floats
    curve_j: Floats

    def between(self, start_s: float, end_s: float) -> float:
        """Energy [J] from start_s to end_s [s since 1970], interpolated at both ends."""
        ends = np.interp([start_s, end_s], self.curve_time_s, self.curve_j)
        return float(ends[1] - ends[0])

    def unfilled(self, start_s: float, end_s: float) -> list[Gap]:
        """Times inside [start_s, end_s) whose energy is not known."""
        return [g for g in self.gaps if g.how == "unfilled" and g.start_s < end_s and g.end_s > start_s]


def register_energy(
    series: Series,
    start_s: float,
    end_s: float,
    *,
    max_gap_s: float,
    coarse: tuple[float, float] = (-np.inf, 0.0),
    rollover_j: float | None = None,
    replaced_s: Sequence[float] = (),
) -> MeterEnergy:
    """Energy of a cumulative register [J] in [start_s, end_s), boundary values by linear interpolation.

    max_gap_s: longest time between two good readings [s] that is no gap; coarse: until when readings lie further apart
    [s since 1970], and what is no gap there [s]; rollover_j: the value [J] at which the register starts again, if
    declared; replaced_s: when the meter was replaced by one that counts from zero, to a day.

    Raises:
        ReportError: fewer than two good readings touch the interval.
    """
    time_s, value_j = _good(series)
    if end_s <= start_s or len(time_s) < 2 or time_s[0] >= end_s or time_s[-1] <= start_s:
        remedy = "choose an interval in which the meter was read"
        raise ReportError(f"{series.point}: fewer than two good readings of the register in the interval; {remedy}")
    steps, kinds = _increments(time_s, value_j, rollover_j, replaced_s)
    curve_j = np.concatenate(([0.0], np.cumsum(steps)))
    first_s, last_s = max(start_s, float(time_s[0])), min(end_s, float(time_s[-1]))
    ends = np.interp([first_s, last_s], time_s, curve_j)
    inside = (time_s[1:] > start_s) & (time_s[:-1] < end_s)
    gaps = _gaps(time_s, curve_j, kinds, (start_s, end_s), np.where(time_s[:-1] < coarse[0], coarse[1], max_gap_s))
    missing_s = sum(g.end_s - g.start_s for g in gaps)
    return MeterEnergy(
        point=series.point,
        start_s=first_s,
        end_s=last_s,
        energy_j=float(ends[1] - ends[0]),
        first_j=_register_at(first_s, time_s, value_j, steps),
        last_j=_register_at(last_s, time_s, value_j, steps),
        good_fraction=max(0.0, 1.0 - missing_s / (end_s - start_s)),
        gaps=gaps,
        rollovers=int(np.sum(inside & (kinds == ROLLED))),
        replacements=int(np.sum(inside & (kinds == REPLACED))),
        curve_time_s=time_s,
        curve_j=curve_j,
    )


ROLLED, REPLACED, WENT_BACK = 1, 2, 3
NEAR_END = 0.1
"""A fall from this near a register's declared end to this near its start is a roll-over (share of it)."""
FASTEST = 3.0
"""So is one that counts no faster than so many times the fastest of the other readings; else the meter began anew."""
REPLACED_WITHIN_S = 86_400.0
"""How far a declared replacement may lie from the fall of the register that it explains [s]: people note the day."""


def _good(series: Series) -> tuple[Floats, Floats]:
    """GOOD readings only, in time order, one a time stamp."""
    good = ((series.code & 3) == 0) & np.isfinite(series.value)
    time_s, first = np.unique(series.time_s[good], return_index=True)
    return time_s, series.value[good][first]


def _increments(
    time_s: Floats, value_j: Floats, rollover_j: float | None, replaced_s: Sequence[float]
) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Energy between readings [J] and what happened there; a step whose energy is not known counts nothing."""
    steps = np.diff(value_j)
    kinds = np.zeros(len(steps), dtype=np.int8)
    most_j = FASTEST * float((steps / np.diff(time_s)).max(initial=0.0)) * np.diff(time_s)
    for at_s in replaced_s:
        i = _replacement(time_s, value_j, at_s, most_j)
        if i is not None:  # a new meter that shows more than can have been counted did not begin at zero
            steps[i], kinds[i] = value_j[i + 1] if value_j[i + 1] <= most_j[i] else 0.0, REPLACED
    fell = steps < 0
    rolls = fell & _rolls_over(value_j, steps, rollover_j or np.nan, most_j)
    back = fell & ~rolls
    steps[rolls], kinds[rolls] = steps[rolls] + (rollover_j or 0.0), ROLLED
    steps[back], kinds[back] = 0.0, WENT_BACK
    return steps, kinds


def _replacement(time_s: Floats, value_j: Floats, at_s: float, most_j: Floats) -> int | None:
    """The step in which a meter was replaced: the fall next to the declared time, or else the step over that time."""
    falls = np.flatnonzero(np.diff(value_j) < 0)
    away_s = np.maximum(np.maximum(time_s[falls] - at_s, at_s - time_s[falls + 1]), 0.0)
    if len(falls) and away_s.min() <= REPLACED_WITHIN_S:
        return int(falls[np.argmin(away_s)])
    i = int(np.searchsorted(time_s, at_s, side="left")) - 1
    return i if 0 <= i < len(most_j) and value_j[i + 1] <= most_j[i] else None


def _rolls_over(value_j: Floats, steps: Floats, end_j: float, most_j: Floats) -> npt.NDArray[np.bool_]:
    """Which of the falls can be a roll-over at end_j [J]; none where that is NaN. most_j: can have been counted."""
    counted_j = steps + end_j
    near = (value_j[:-1] >= (1.0 - NEAR_END) * end_j) & (value_j[1:] <= NEAR_END * end_j)
    found: npt.NDArray[np.bool_] = (counted_j >= 0) & (counted_j < end_j / 2) & (near | (counted_j <= most_j))
    return found


def _register_at(at_s: float, time_s: Floats, value_j: Floats, steps: Floats) -> float:
    """What the register showed [J]; between two readings from the one before plus its share of the step."""
    i = int(np.clip(np.searchsorted(time_s, at_s, side="right") - 1, 0, len(steps) - 1))
    share = (at_s - time_s[i]) / (time_s[i + 1] - time_s[i])
    return float(value_j[i + 1]) if share >= 1 else float(value_j[i] + share * steps[i])


def _gaps(
    time_s: Floats, curve_j: Floats, kinds: npt.NDArray[np.int8], span_s: tuple[float, float], max_gap_s: Floats
) -> tuple[Gap, ...]:
    """max_gap_s: of each step between readings."""
    start_s, end_s = span_s
    gaps = [Gap(start_s=start_s, end_s=float(time_s[0]), how="unfilled")] if time_s[0] > start_s else []
    odd = (np.diff(time_s) > max_gap_s) | (kinds == WENT_BACK)
    for i in np.flatnonzero(odd & (time_s[1:] > start_s) & (time_s[:-1] < end_s)):
        first_s, last_s = max(start_s, float(time_s[i])), min(end_s, float(time_s[i + 1]))
        ends = np.interp([first_s, last_s], time_s, curve_j)
        whole = time_s[i] >= start_s and time_s[i + 1] <= end_s
        how = "unfilled" if kinds[i] == WENT_BACK else "register_difference" if whole else "interpolated"
        gaps.append(Gap(start_s=first_s, end_s=last_s, how=how, energy_j=float(ends[1] - ends[0])))
    if time_s[-1] < end_s:
        gaps.append(Gap(start_s=float(time_s[-1]), end_s=end_s, how="unfilled"))
    return tuple(gaps)


def common_interval(energies: Sequence[MeterEnergy]) -> tuple[float, float]:
    """The one interval [s since 1970] that all of them span: numerator and denominator need the same.

    Raises:
        ReportError: there is none.
    """
    start_s, end_s = max(e.start_s for e in energies), min(e.end_s for e in energies)
    if end_s <= start_s:
        names = ", ".join(e.point for e in energies)
        raise ReportError(f"{names}: their readings have no time in common; choose an interval that all of them cover")
    return start_s, end_s


def pue(total_j: Sequence[float], it_j: Sequence[float]) -> float:
    """Sum of the site's energy over sum of the IT energy [J], one interval [1]; ISO/IEC 30134-2, no mean of ratios.

    Raises:
        ReportError: no IT energy, or more IT energy than the site used.
    """
    total, it = sum(total_j), sum(it_j)
    if not it > 0:
        raise ReportError(
            "the IT meter counted no energy in the interval, so there is no PUE; check meter and interval"
        )
    if total < it:
        text = f"the site's {total / 3.6e6:.3f} kWh are less than its IT energy of {it / 3.6e6:.3f} kWh"
        raise ReportError(f"{text}; check scale and place of both meters")
    return total / it

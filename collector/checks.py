"""Quality checks: pure functions on columns of samples, worst verdict wins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from plant.points import PointId
from plant.samples import Quality, Reason, SampleBatch, quality_code

FUTURE_S = 300.0
"""A source time further ahead than this [s] is taken for a wrong clock."""
PAST_S = 86_400.0
"""A source time further back than this [s] is marked."""

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is plausible for one point [SI]; max_jump within period_s [s]. NaN: no such bound."""

    minimum: float = math.nan
    maximum: float = math.nan
    max_jump: float = math.nan
    period_s: float = 1.0


NO_RULE = Rule()
Newest = Mapping[PointId, tuple[float, float]]
"""point -> (source time [s], value [SI]) of the last sample that was not BAD."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A judged batch, with what was found: `raw` holds the values as they came, `bad` and `skewed` mark rows."""

    batch: SampleBatch
    raw: Floats
    bad: Mask
    skewed: Mask
    skew_s: Floats


def check(batch: SampleBatch, rules: Mapping[PointId, Rule], newest: Newest) -> Checked:
    """Judge a batch: not a number, range, jump, clock. BAD values become NaN; codes already there stay."""
    bounds = _bounds(batch.points, rules)
    skew_s = batch.time_s - batch.received_s
    ahead, behind = skew_s > FUTURE_S, skew_s < -PAST_S
    time_s = np.where(ahead, batch.received_s, batch.time_s)
    missing = np.isnan(batch.value)
    outside = ~missing & out_of_range(batch.value, bounds[:, 0], bounds[:, 1])
    jumped = ~missing & ~outside & jumps(batch.value, time_s, bounds, _previous(batch.points, newest))
    code = batch.code.copy()
    unexplained = missing & ((code & 3) != Quality.BAD)  # a sample that came as BAD has its reason already
    code = _mark(code, unexplained, Quality.BAD, Reason.NOT_A_NUMBER)
    code = _mark(code, outside, Quality.BAD, Reason.RANGE)
    code = _mark(code, jumped, Quality.UNCERTAIN, Reason.JUMP)
    code = _mark(code, ahead | behind, Quality.UNCERTAIN, Reason.CLOCK)
    bad = (code & 3) == Quality.BAD
    judged = replace(batch, time_s=time_s, value=np.where(bad, np.nan, batch.value), code=code)
    return Checked(judged, batch.value, bad, ahead | behind, skew_s)


def out_of_range(value: Floats, minimum: Floats, maximum: Floats) -> Mask:
    """Rows outside their bounds; infinities are outside of any, NaN bounds bound nothing."""
    with np.errstate(invalid="ignore"):
        mask: Mask = (value < minimum) | (value > maximum) | np.isinf(value)
    return mask


def jumps(value: Floats, time_s: Floats, bounds: Floats, previous: Floats) -> Mask:
    """Rows that moved more than max_jump per period since the previous sample; longer gaps allow more."""
    with np.errstate(invalid="ignore"):
        periods = np.maximum((time_s - previous[:, 0]) / bounds[:, 3], 1.0)
        mask: Mask = np.abs(value - previous[:, 1]) > bounds[:, 2] * periods
    return mask


def newest_good(checked: Checked) -> dict[PointId, tuple[float, float]]:
    """What the next check compares with."""
    batch = checked.batch
    rows = zip(batch.points, batch.time_s.tolist(), batch.value.tolist(), checked.bad.tolist(), strict=True)
    return {point: (time_s, value) for point, time_s, value, bad in rows if not bad}


def _bounds(points: Iterable[PointId], rules: Mapping[PointId, Rule]) -> Floats:
    found = (rules.get(point, NO_RULE) for point in points)
    rows = [(rule.minimum, rule.maximum, rule.max_jump, rule.period_s) for rule in found]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _previous(points: Iterable[PointId], newest: Newest) -> Floats:
    nothing = (math.nan, math.nan)
    return np.array([newest.get(point, nothing) for point in points], dtype=np.float64).reshape(-1, 2)


def _mark(code: npt.NDArray[np.int32], mask: Mask, quality: Quality, reason: Reason) -> npt.NDArray[np.int32]:
    """Worst quality wins, reasons add up."""
    worst = np.maximum(code & 3, int(quality))
    marked: npt.NDArray[np.int32] = np.where(mask, (code & ~3) | worst | quality_code(Quality.GOOD, reason), code)
    return marked.astype(np.int32)

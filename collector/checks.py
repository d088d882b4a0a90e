"""Checks of single rows: pure functions on columns, worst verdict wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.rules import Floats
from plant.samples import FUTURE_S, Quality, Reason, SampleBatch, quality_code

PAST_S = 86_400.0
"""A source time further back than this [s] is marked."""

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Checked:
    """A judged batch, with what was found: `raw` holds the values as they came, `bad` and `skewed` mark rows."""

    batch: SampleBatch
    raw: Floats
    bad: Mask
    skewed: Mask
    skew_s: Floats


def out_of_range(value: Floats, minimum: Floats, maximum: Floats) -> Mask:
    """Rows outside their bounds; infinities are outside of any, NaN bounds bound nothing."""
    with np.errstate(invalid="ignore"):
        mask: Mask = (value < minimum) | (value > maximum) | np.isinf(value)
    return mask


def jumps(step: Floats, gap_s: Floats, max_jump: Floats, period_s: Floats) -> Mask:
    """Rows that moved more than max_jump per period since the previous sample; longer gaps allow more."""
    with np.errstate(invalid="ignore"):
        mask: Mask = np.abs(step) > max_jump * np.maximum(gap_s / period_s, 1.0)
    return mask


def clamped(time_s: Floats, received_s: Floats) -> tuple[Floats, Mask, Floats]:
    """Source times with future ones set to their arrival, which rows have a wrong clock, and by how much [s].

    Asymmetric: publishers send late values after an outage, but none from the future.
    """
    skew_s = time_s - received_s
    ahead = skew_s > FUTURE_S
    return np.where(ahead, received_s, time_s), ahead | (skew_s < -PAST_S), skew_s


def came_bad(code: Codes) -> Mask:
    """Rows that were BAD when they came, and so have their reason already."""
    mask: Mask = (code & 3) == Quality.BAD
    return mask


def has_reason(code: Codes, reason: Reason) -> Mask:
    """Rows that carry any of these reasons."""
    mask: Mask = (code & quality_code(Quality.GOOD, reason)) != 0
    return mask


def mark(code: Codes, rows: Mask, quality: Quality, reason: Reason) -> Codes:
    """Worst quality wins, reasons add up."""
    if not rows.any():
        return code
    worst = np.maximum(code & 3, int(quality))
    marked: Codes = np.where(rows, (code & ~3) | worst | quality_code(Quality.GOOD, reason), code).astype(np.int32)
    return marked

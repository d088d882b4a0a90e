"""Counters that only rise, such as energy registers, except where they roll over or are set back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROLL_OVER_NEAR = 0.1
"""A fall is a roll-over if the counter was this close to its end and is this close to its start (share)."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a counter counted over a span [its unit], and how often it rolled over or was set back within."""

    amount: float
    roll_overs: int
    resets: int


def rolled_over(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], end: npt.NDArray[np.float64] | float
) -> npt.NDArray[np.bool_]:
    """Whether a fall from `before` to `after` is a roll-over at `end`; never where that is NaN."""
    with np.errstate(invalid="ignore"):
        mask: npt.NDArray[np.bool_] = (before >= (1.0 - ROLL_OVER_NEAR) * end) & (after <= ROLL_OVER_NEAR * end)
    return mask


def energy_between(values: npt.NDArray[np.float64], rolls_over_at: float = float("nan")) -> Counted:
    """What a register counted from the first to the last of `values`, shape (n,), in order of time; NaN are left out.

    A fall near the end is a roll-over. Any other is a meter that was set back or replaced: what it counts from there on
    is counted, what it counted unseen before is not known and left out.
    """
    seen = values[np.isfinite(values)]
    if len(seen) < 2:
        return Counted(0.0, 0, 0)
    steps = np.diff(seen)
    fell = steps < 0
    over = fell & rolled_over(seen[:-1], seen[1:], rolls_over_at)
    reset = fell & ~over
    if over.any():
        steps = np.where(over, steps + rolls_over_at, steps)
    return Counted(float(np.where(reset, 0.0, steps).sum()), int(over.sum()), int(reset.sum()))

"""Heat history of one subject: a ring of one-minute means, gaps as NaN."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

STEP_S = 60.0
LENGTH = 1440
"""One day of minutes is remembered."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class History:
    """Means of whole minutes up to and including minute `last` (of the epoch); `count` samples made the newest one.

    params, fitted_s: the forecast model's parameters and when they were fitted [s since 1970].
    """

    last: int = -1
    heat_w: Array
    count: int = 0
    params: tuple[float, ...] = ()
    fitted_s: float = -1e18

    @property
    def minutes(self) -> int:
        """How many minutes hold a value."""
        return int(np.isfinite(self.heat_w).sum())


def empty() -> History:
    """Nothing known yet."""
    return History(heat_w=np.empty(0))


def add(history: History, at_s: float, heat_w: float) -> History:
    """Take one measurement: into the mean of its minute, or as a new minute; older minutes are left alone."""
    minute = int(at_s // STEP_S)
    missed = minute - history.last
    if missed < 0 or not np.isfinite(heat_w):
        return history
    if missed == 0:
        values, count = history.heat_w.copy(), history.count + 1
        values[-1] += (heat_w - values[-1]) / count
        return replace(history, heat_w=values, count=count)
    gap = np.full(0 if len(history.heat_w) == 0 else min(missed - 1, LENGTH), np.nan)
    values = np.concatenate([history.heat_w, gap, [heat_w]])[-LENGTH:]
    return replace(history, last=minute, heat_w=values, count=1)


def seeded(time_s: Array, heat_w: Array) -> History:
    """A history from stored samples, time_s [s since 1970] ascending, heat_w [W], shape (n,)."""
    history = empty()
    for at_s, value in zip(time_s.tolist(), heat_w.tolist(), strict=True):
        history = add(history, at_s, value)
    return history

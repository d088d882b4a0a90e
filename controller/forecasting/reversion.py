"""The expert that says: what lies off its mean comes back. Persistence where nothing has ever come back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MEAN_MINUTES = 1440.0
_FORGET = 1.0 - 1.0 / 720.0
_PRIOR_MINUTES = 120.0
"""So many minutes of the ramp band, with no way back, are believed in before any data."""


@dataclass(frozen=True, slots=True, eq=False)
class Reversion:
    """How n series lie to their means.

    mean (n,): of the last day; leans (minutes, n): distance to it, minute by minute; pull (2, n, horizons): the sums of
    lean x change and of lean², whose ratio is the share of a distance that is gone after each horizon.
    """

    mean: Array
    leans: Array
    pull: Array


def new_reversion(series: int, horizons: tuple[int, ...]) -> Reversion:
    """Nothing known yet."""
    return Reversion(
        np.full(series, np.nan), np.zeros((1 + max(horizons), series)), np.zeros((2, series, len(horizons)))
    )


def followed(known: Reversion, base: Array, change: Array, usable: Array, minutes: Array, horizons: Array) -> Reversion:
    """One more minute: base (n,); change (horizons, n) since each horizon ago, usable (1 or 0) likewise.

    minutes (n,): how many are known so far.
    """
    start = np.where(np.isfinite(known.mean), known.mean, base)
    mean = start + (base - start) / np.clip(minutes, 1.0, MEAN_MINUTES)
    then = known.leans[-horizons]
    grown = np.stack([then * change * usable, then * then * usable]).transpose(0, 2, 1)
    return Reversion(mean, np.concatenate([known.leans[1:], (mean - base)[None]]), _FORGET * known.pull + grown)


def shifted(known: Reversion, by: Array) -> Reversion:
    """With a base that was told otherwise by so much, (n,): distances stay."""
    return replace(known, mean=known.mean + by)


def reversion_change(known: Reversion, unit: Array, horizons: Array) -> Array:
    """Change towards the mean, (n, horizons); unit (n,) is the ramp of a minute."""
    prior = _PRIOR_MINUTES * np.square(unit)[:, None] * (1.0 + horizons)
    share = np.clip(known.pull[0] / (known.pull[1] + prior), 0.0, 1.0)
    return np.asarray(share * known.leans[-1][:, None])

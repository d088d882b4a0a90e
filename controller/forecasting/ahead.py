"""A bank's forecast from what is known now: every expert's guess, mixed by rolling skill, and kept to be judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from controller.forecasting import calibration, experts, reversion
from controller.forecasting.bank import COLD_MINUTES, Bank, base_heat, gain, highest
from controller.forecasting.jobs import JobHeat

Array = npt.NDArray[np.float64]

_KINDS = len(experts.NAMES)
_SHARPNESS = 4.0
"""A mean square error a fifth larger than another's halves the weight."""
_DOUBT = 0.5
"""Persistence is believed until another has been better: at first the others' errors count for this much more."""
_DEAF = 0.1
"""Share of trust in plain persistence where another expert is it too, and hears the scheduler or the mean besides."""
_DAYS_OF_SHAPE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """A forecast at the bank's horizons: guesses (experts, n, k), weights likewise, and the band's making."""

    guesses: Array
    weights: Array
    middle: Array
    base: Array
    job_share: Array
    scale2: Array
    jobs2: Array


def look(bank: Bank, jobs: JobHeat) -> Ahead:
    """Forecast at every horizon from what is known now."""
    horizons = np.asarray(bank.horizons)
    base = np.nan_to_num(base_heat(bank, experts.REACH + 1))
    announced = gain(bank)[:, None] * jobs.change_w[:, horizons - 1]
    near = experts.features(base, (0,), bank.unit)[0]
    change = np.zeros((_KINDS, len(bank.names), len(horizons)))
    change[experts.REVERSION] = reversion.reversion_change(bank.reversion, bank.unit, horizons)
    change[experts.RIDGE] = experts.ridge_change(bank.gram, bank.cross, near, bank.unit)
    change[experts.DAILY] = experts.daily_change(bank.shape, bank.minute, horizons)
    if np.isfinite(bank.arma).any():
        found = experts.arma_change(bank.arma, base[-1], base[-2], bank.innovation, bank.horizons)
        change[experts.STATE_SPACE] = np.nan_to_num(found)
    change = experts.believed(change, bank.mse[experts.PERSISTENCE], horizons)
    weights = _weights(bank, jobs)
    whole = change + announced
    whole[experts.PERSISTENCE] = 0.0
    guesses = np.clip(bank.level[:, None] + whole, bank.low[:, None], highest(bank)[:, None])
    return Ahead(
        guesses=guesses,
        weights=weights,
        middle=np.asarray((weights * guesses).sum(axis=0)),
        base=np.asarray((weights * change).sum(axis=0)),
        job_share=1.0 - weights[experts.PERSISTENCE],
        scale2=bank.scale2,
        jobs2=np.square(gain(bank))[:, None] * jobs.variance_w2[:, horizons - 1],
    )


def _weights(bank: Bank, jobs: JobHeat) -> Array:
    """Share of each expert by its rolling skill, (experts, n, k); those without data have none."""
    open_ = np.ones((_KINDS, len(bank.names), 1))
    told = (bank.ring_j != 0).any(axis=0) | (jobs.ahead_w != 0).any(axis=1)
    open_[experts.JOBS, :, 0] = told
    open_[experts.REVERSION, :, 0] = bank.known >= COLD_MINUTES
    open_[experts.PERSISTENCE, told | (bank.known >= COLD_MINUTES)] = _DEAF
    open_[experts.RIDGE, :, 0] = bank.known >= COLD_MINUTES
    open_[experts.DAILY, :, 0] = bank.known >= 1440 * _DAYS_OF_SHAPE
    open_[experts.STATE_SPACE, :, 0] = np.isfinite(bank.arma[:, 0])
    mse = np.maximum(bank.mse, 1e-12)
    mse[experts.RIDGE :] *= 1.0 + _DOUBT * calibration.PRIOR_MINUTES / (calibration.PRIOR_MINUTES + bank.judged)
    skill = open_ * (mse.min(axis=0) / mse) ** _SHARPNESS
    return np.asarray(skill / skill.sum(axis=0))


def promise(bank: Bank, ahead: Ahead) -> Bank:
    """Keep a forecast until its minutes have come."""
    tails = calibration.nested(bank.scores)
    rows = np.concatenate([ahead.guesses, ahead.middle[None], ahead.scale2[None], ahead.jobs2[None], tails])
    kept = []
    for index, (horizon, old) in enumerate(zip(bank.horizons, bank.kept, strict=True)):
        fresh = old.copy()
        fresh[bank.minute % horizon] = rows[:, :, index]
        kept.append(fresh)
    return replace(bank, kept=tuple(kept))

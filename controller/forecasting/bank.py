"""Thousands of series learnt at once: a frozen set of arrays, one more minute at a time.

`learn` takes what was measured (and settles the forecasts made for that minute), `look` forecasts, `promise` remembers
what was forecast until it can be judged. All three are pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from controller.forecasting import calibration, experts, reversion
from controller.forecasting.fit import fit_arma
from controller.forecasting.jobs import JobHeat
from controller.forecasting.reversion import Reversion

Array = npt.NDArray[np.float64]
Kept = tuple[npt.NDArray[np.float32], ...]

FINE = (1, 2, 3, 5, 8, 10, 15, 20, 30, 45, 60, 90, 120)
COARSE = (1, 5, 15, 60, 120)
"""Racks are many: five horizons are enough for them."""
COLD_MINUTES = 60
REFIT_MINUTES = 120
_KINDS = len(experts.NAMES)
_MIX, _SCALE2, _JOBS2 = _KINDS, _KINDS + 1, _KINDS + 2
_TAILS = slice(_KINDS + 3, _KINDS + 3 + len(calibration.LEVELS))
_ROWS = _TAILS.stop
_SHARPNESS = 4.0
"""A mean square error a fifth larger than another's halves the weight."""
_DOUBT = 0.5
"""Persistence is believed until another has been better: at first the others' errors count for this much more."""
_DEAF = 0.1
"""Share of trust in plain persistence where another expert is it too, and hears the scheduler or the mean besides."""
_FITS, _FIT_MINUTES = 8, 720
_JOB_LAG = 5
"""Heat follows a job's start within this many minutes; the gain is learnt over it."""
_DAYS_OF_SHAPE = 2
_SKILL_MINUTES = 720.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bank:
    """n series up to `minute` (of the epoch). unit: one-minute ramp of each, its prior scale.

    ring_y, ring_j (minutes, n): what came and what jobs were expected to give then, gaps filled with the value before;
    gram, cross: the ridge; shape: the day; arma, innovation, fitted: the statsmodels model; gain: heat per announced
    watt, numerator and denominator; kept: forecasts that wait for their minute, per horizon (h, rows, n); mse, scale2,
    scores, judged: how good they were.
    """

    names: tuple[str, ...]
    horizons: tuple[int, ...]
    unit: Array
    low: Array
    high: Array
    minute: int
    level: Array
    known: Array
    ring_y: Array
    ring_j: Array
    gram: Array
    cross: Array
    shape: Array
    arma: Array
    innovation: Array
    reversion: Reversion
    fitted: Array
    gain: Array
    kept: Kept
    mse: Array
    scale2: Array
    scores: Array
    judged: Array


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


def new_bank(names: tuple[str, ...], unit: Array, low: Array, high: Array, horizons: tuple[int, ...] = FINE) -> Bank:
    """Nothing known yet: persistence with a band of `unit` x sqrt(1 + minutes), within low and high."""
    n, k = len(names), len(horizons)
    prior = np.square(unit)[:, None] * (1.0 + np.asarray(horizons, dtype=float))
    minutes = max(experts.REACH + max(horizons), _FIT_MINUTES if horizons == FINE else 0)
    return Bank(
        names=names,
        horizons=horizons,
        unit=unit,
        low=low,
        high=high,
        minute=-1,
        level=np.full(n, np.nan),
        known=np.zeros(n),
        ring_y=np.full((minutes, n), np.nan),
        ring_j=np.zeros((minutes, n)),
        gram=np.zeros((n, experts.FEATURES, experts.FEATURES)),
        cross=np.zeros((n, experts.FEATURES, k)),
        shape=np.zeros((n, experts.BINS)),
        arma=np.full((n, 4), np.nan),
        innovation=np.zeros(n),
        reversion=reversion.new_reversion(n, horizons),
        fitted=np.full(n, -REFIT_MINUTES),
        gain=np.ones((2, n)),
        kept=tuple(np.full((h, _ROWS, n), np.nan, dtype=np.float32) for h in horizons),
        mse=np.broadcast_to(prior, (_KINDS, n, k)).copy(),
        scale2=prior,
        scores=calibration.first_scores(n, k),
        judged=np.zeros((n, k)),
    )


def learn(bank: Bank, minute: int, values: Array, jobs_w: Array) -> Bank:
    """Take the values of one minute (NaN where none came) and what jobs were expected to give then [both (n,)].

    Minutes that were missed count as gaps; a minute that is not newer changes nothing.
    """
    if minute <= bank.minute:
        return bank
    if bank.minute < 0 or minute - bank.minute > len(bank.ring_y):
        bank = _restarted(bank, minute - 1)
    for gap in range(bank.minute + 1, minute):
        bank = _minute(bank, gap, np.full(len(bank.names), np.nan), bank.ring_j[-1])
    return _minute(bank, minute, values, jobs_w)


def _restarted(bank: Bank, minute: int) -> Bank:
    """After a long gap what was promised is void; what was learnt stays."""
    kept = tuple(np.full_like(k, np.nan) for k in bank.kept)
    flat = np.broadcast_to(bank.level, bank.ring_y.shape).copy()
    return replace(bank, minute=minute, kept=kept, ring_y=flat, ring_j=np.zeros_like(bank.ring_j))


def _minute(bank: Bank, minute: int, values: Array, jobs_w: Array) -> Bank:
    fresh = np.isfinite(values)
    level = np.where(fresh, values, bank.level)
    ring_y = np.concatenate([bank.ring_y[1:], level[None]])
    new = fresh & ~np.isfinite(bank.level)
    if new.any():
        ring_y[:, new] = level[new]  # before the first value there was the first value
    known = bank.known + fresh
    bank = _judged(bank, minute, values)
    bank = replace(bank, minute=minute, level=level, known=known, ring_y=ring_y)
    bank = replace(bank, ring_j=np.concatenate([bank.ring_j[1:], jobs_w[None]]))
    return _regressed(_gained(bank, fresh), fresh)


def _judged(bank: Bank, minute: int, values: Array) -> Bank:
    """Settle what was forecast for this minute, at every horizon."""
    due = np.stack([kept[minute % h] for h, kept in zip(bank.horizons, bank.kept, strict=True)], axis=-1)
    due = due.astype(np.float64)
    error = values[:, None] - due[_MIX]
    came = np.isfinite(error)
    if not came.any():
        return bank
    each = np.square(values[:, None] - due[:_KINDS])
    rate = np.maximum(1.0 / (calibration.PRIOR_MINUTES + bank.judged), 1.0 / _SKILL_MINUTES)
    scale2 = calibration.rescaled(bank.scale2, error, np.where(came, due[_JOBS2], 0.0), bank.judged)
    score = error / np.sqrt(calibration.measure(scale2, due[_SCALE2], bank.judged) + due[_JOBS2])
    return replace(
        bank,
        mse=np.where(np.isfinite(each), bank.mse + rate * (each - bank.mse), bank.mse),
        scale2=scale2,
        scores=calibration.followed(bank.scores, score, due[_TAILS], bank.judged, np.asarray(bank.horizons)),
        judged=bank.judged + came,
    )


def _gained(bank: Bank, fresh: npt.NDArray[np.bool_]) -> Bank:
    """Learn how much heat an announced watt brings: idle power, air and wishful outlooks are in it."""
    announced = bank.ring_j[-1] - bank.ring_j[-1 - _JOB_LAG]
    if not announced.any():
        return bank
    came = bank.ring_y[-1] - bank.ring_y[-1 - _JOB_LAG]
    size = np.maximum(np.abs(bank.ring_j[-1]), np.abs(bank.ring_j[-1 - _JOB_LAG])) + 1e-9
    part = np.where(fresh & np.isfinite(came), announced / size, 0.0)
    came = np.nan_to_num(came)  # before the first value nothing came, and nothing is learnt
    return replace(bank, gain=bank.gain * (1 - 0.01 * part**2) + 0.1 * np.stack([part * came / size, part**2]))


def retold(bank: Bank, shift_w: Array) -> Bank:
    """What jobs were expected to give was told otherwise by `shift_w` (n,): the past too, so that nothing steps."""
    if not shift_w.any():
        return bank
    less = gain(bank) * shift_w
    arma = bank.arma.copy()
    arma[:, 0] -= less * (1.0 - arma[:, 1] - arma[:, 2])
    back = reversion.shifted(bank.reversion, -less)
    return replace(bank, ring_j=bank.ring_j + shift_w, shape=bank.shape - less[:, None], arma=arma, reversion=back)


def gain(bank: Bank) -> Array:
    """Heat per announced watt of job power, (n,): 1 until events have taught otherwise."""
    return np.asarray(np.clip(bank.gain[0] / bank.gain[1], 0.0, 1.5))


def _base(bank: Bank, minutes: int) -> Array:
    """The heat that no announced job explains, over the last minutes, (minutes, n)."""
    return np.asarray(bank.ring_y[-minutes:] - gain(bank) * bank.ring_j[-minutes:])


def _regressed(bank: Bank, fresh: npt.NDArray[np.bool_]) -> Bank:
    """One more minute for ridge, daily shape and the ARMA model's innovation; a gap only lets them fade."""
    if not fresh.any():
        gram, cross = experts.FORGET * bank.gram, experts.FORGET * bank.cross
        return replace(bank, gram=gram, cross=cross, innovation=np.zeros_like(bank.innovation))
    base = np.nan_to_num(_base(bank, experts.REACH + max(bank.horizons)))
    then = experts.features(base, bank.horizons, bank.unit)
    change = (base[-1] - base[-1 - np.asarray(bank.horizons)]) / bank.unit
    usable = (fresh & (bank.known > np.asarray(bank.horizons)[:, None])).astype(float)
    near, weight = then[0], usable[0][:, None]
    gram = experts.FORGET * bank.gram + (near * weight)[:, :, None] * near[:, None, :]
    cross = experts.FORGET * bank.cross + np.einsum("knd,kn->ndk", then, change * usable)
    constant, phi1, phi2, theta = bank.arma.T
    expected = constant + phi1 * base[-2] + phi2 * base[-3] + theta * bank.innovation
    innovation = np.where(fresh & np.isfinite(expected), base[-1] - expected, 0.0)
    current = np.where(fresh, base[-1], np.nan)
    shape = experts.daily_learnt(bank.shape, bank.minute, current, bank.known // 1440)
    steps = np.asarray(bank.horizons)
    back = reversion.followed(bank.reversion, base[-1], change * bank.unit, usable, bank.known, steps)
    return replace(bank, gram=gram, cross=cross, innovation=innovation, shape=shape, reversion=back)


def refitted(bank: Bank) -> Bank:
    """Refit the ARMA models that waited longest, if any are due: a few a cycle, so that none is long."""
    due = (bank.known >= COLD_MINUTES) & (bank.minute - bank.fitted >= REFIT_MINUTES)
    waited = np.argsort(np.where(due, bank.fitted, np.inf), kind="stable")[: min(_FITS, int(due.sum()))]
    arma, fitted = bank.arma.copy(), bank.fitted.copy()
    for index in waited.tolist():
        minutes = int(min(bank.known[index], _FIT_MINUTES))
        arma[index], fitted[index] = fit_arma(_base(bank, minutes)[:, index]), bank.minute
    return replace(bank, arma=arma, fitted=fitted)


def look(bank: Bank, jobs: JobHeat) -> Ahead:
    """Forecast at every horizon from what is known now."""
    horizons = np.asarray(bank.horizons)
    base = np.nan_to_num(_base(bank, experts.REACH + 1))
    announced = gain(bank)[:, None] * jobs.change_w[:, horizons - 1]
    near = experts.features(base, (0,), bank.unit)[0]
    change = np.zeros((_KINDS, len(bank.names), len(horizons)))
    change[experts.REVERSION] = reversion.reversion_change(bank.reversion, bank.unit, horizons)
    change[experts.RIDGE] = experts.ridge_change(bank.gram, bank.cross, near, bank.unit)
    change[experts.DAILY] = experts.daily_change(bank.shape, bank.minute, horizons)
    if np.isfinite(bank.arma).any():
        found = experts.arma_change(bank.arma, base[-1], base[-2], bank.innovation, bank.horizons)
        change[experts.STATE_SPACE] = np.nan_to_num(found)
    weights = _weights(bank, jobs)
    whole = change + announced
    whole[experts.PERSISTENCE] = 0.0
    guesses = np.clip(bank.level[:, None] + whole, bank.low[:, None], bank.high[:, None])
    share = 1.0 - weights[experts.PERSISTENCE]
    return Ahead(
        guesses=guesses,
        weights=weights,
        middle=np.asarray((weights * guesses).sum(axis=0)),
        base=np.asarray((weights * change).sum(axis=0)),
        job_share=share,
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

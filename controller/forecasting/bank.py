"""Thousands of series learnt at once: a frozen set of arrays, one more minute at a time.

`learn` takes what was measured and settles the forecasts made for that minute. Pure, as `ahead` is, which forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from controller.forecasting import calibration, experts, reversion
from controller.forecasting.fit import fit_arma
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
"""What `ahead.promise` keeps of a forecast: experts' guesses, mix, squared scales, quantiles."""
HEADROOM = 1.05
"""Heat is never forecast above a rating, nor above what was drawn where that is more, by more than this."""
_BACK_MINUTES = 2
"""A clock set back further is believed: waiting for it to come again would freeze the forecast."""
_FITS, _FIT_MINUTES = 8, 720
_JOB_LAG = 5
"""Heat follows a job's start within this many minutes; the gain is learnt over it."""
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

    Minutes that were missed count as gaps; a minute that is not newer changes nothing, unless the clock was set back.
    """
    if bank.minute - _BACK_MINUTES <= minute <= bank.minute:
        return bank
    if bank.minute < 0 or not 0 < minute - bank.minute <= len(bank.ring_y):
        bank = _restarted(bank, minute - 1, jobs_w)
    if minute > bank.minute + 1:
        bank = _missed(bank, minute - 1 - bank.minute)
    return _minute(bank, minute, values, jobs_w)


def _missed(bank: Bank, count: int) -> Bank:
    """Minutes of which nothing came: what was last known stands, and what was learnt fades."""
    fade = experts.FORGET**count
    ring_y, ring_j = (
        np.concatenate([ring[count:], np.broadcast_to(last, (count, len(last)))])
        for ring, last in ((bank.ring_y, bank.level), (bank.ring_j, bank.ring_j[-1]))
    )
    still = np.zeros_like(bank.innovation)
    faded = replace(bank, gram=fade * bank.gram, cross=fade * bank.cross, innovation=still)
    return replace(faded, minute=bank.minute + count, ring_y=ring_y, ring_j=ring_j)


def _restarted(bank: Bank, minute: int, jobs_w: Array) -> Bank:
    """After a long gap, or by another clock, what was promised is void; what was learnt stays."""
    kept = tuple(np.full_like(k, np.nan) for k in bank.kept)
    flat = np.broadcast_to(bank.level, bank.ring_y.shape).copy()
    told, fitted = np.broadcast_to(jobs_w, bank.ring_j.shape).copy(), np.minimum(bank.fitted, minute)
    return replace(bank, minute=minute, kept=kept, ring_y=flat, ring_j=told, fitted=fitted)


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


def highest(bank: Bank) -> Array:
    """What each series may reach, (n,): its rating, or more than that where more was drawn in the last hours."""
    return np.asarray(np.fmax(bank.high, HEADROOM * np.fmax.reduce(bank.ring_y, axis=0)))


def base_heat(bank: Bank, minutes: int) -> Array:
    """The heat that no announced job explains, over the last minutes, (minutes, n)."""
    return np.asarray(bank.ring_y[-minutes:] - gain(bank) * bank.ring_j[-minutes:])


def _regressed(bank: Bank, fresh: npt.NDArray[np.bool_]) -> Bank:
    """One more minute for ridge, daily shape and the ARMA model's innovation; a gap only lets them fade."""
    if not fresh.any():
        gram, cross = experts.FORGET * bank.gram, experts.FORGET * bank.cross
        return replace(bank, gram=gram, cross=cross, innovation=np.zeros_like(bank.innovation))
    base = np.nan_to_num(base_heat(bank, experts.REACH + max(bank.horizons)))
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
        arma[index], fitted[index] = fit_arma(base_heat(bank, minutes)[:, index]), bank.minute
    return replace(bank, arma=arma, fitted=fitted)

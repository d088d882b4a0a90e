"""What a bank's forecast says: quantiles at its horizons, trajectories by the minute, and who guessed best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from controller.forecasting import calibration, experts
from controller.forecasting.ahead import Ahead
from controller.forecasting.bank import Bank, gain, highest
from controller.forecasting.jobs import MINUTES, JobHeat

Array = npt.NDArray[np.float64]


def quantiles(bank: Bank, ahead: Ahead) -> Array:
    """All quantiles at the bank's horizons, (7, n, k)."""
    offsets = calibration.band(bank.scores, np.sqrt(ahead.scale2 + ahead.jobs2))
    return np.asarray(np.clip(ahead.middle + offsets, bank.low[:, None], highest(bank)[:, None]))


def by_minute(bank: Bank, ahead: Ahead, jobs: JobHeat) -> tuple[Array, Array]:
    """Middle (n, MINUTES) and offsets (7, n, MINUTES) of every minute: steps of jobs stay sharp between horizons."""
    minutes = np.arange(1, MINUTES + 1, dtype=float)
    known = np.asarray(bank.horizons, dtype=float)

    def spread(values: Array) -> Array:
        rows = values.reshape(-1, len(known))
        return np.stack([np.interp(minutes, known, row) for row in rows]).reshape(*values.shape[:-1], MINUTES)

    factor = gain(bank)[:, None]
    middle = bank.level[:, None] + spread(ahead.base) + spread(ahead.job_share) * factor * jobs.change_w
    sigma = np.sqrt(np.square(spread(np.sqrt(ahead.scale2))) + np.square(factor) * jobs.variance_w2)
    return middle, calibration.band(spread(bank.scores), sigma)


def leading(bank: Bank, ahead: Ahead) -> tuple[str, ...]:
    """The expert that counts most a quarter of an hour ahead, per series."""
    column = bank.horizons.index(15)
    best = np.argmax(ahead.weights[:, :, column], axis=0)
    return tuple(experts.NAMES[i] for i in best.tolist())

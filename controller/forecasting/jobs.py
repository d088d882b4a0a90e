"""What the scheduler knows, as heat: the power of jobs now and ahead, with the chance that each runs by then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from plant.records import JobOutlook

Array = npt.NDArray[np.float64]

STEP_S = 60.0
MINUTES = 120
RECENT_S = 300.0
"""A start that was told so late is still an event."""
LEAST_SD_S = 30.0
"""No scheduler is more exact than this; it also gives an overdue job a chance to end."""


@dataclass(frozen=True, slots=True, eq=False)
class JobHeat:
    """Expected heat of jobs [W]: now_w (n,), ahead_w and variance_w2 (n, MINUTES) for minutes 1, 2, ..."""

    now_w: Array
    ahead_w: Array
    variance_w2: Array

    @property
    def change_w(self) -> Array:
        """What the jobs add to the heat of now [W], (n, MINUTES)."""
        return self.ahead_w - self.now_w[:, None]


def no_jobs(count: int) -> JobHeat:
    """Of `count` series that no scheduler speaks for."""
    return JobHeat(np.zeros(count), np.zeros((count, MINUTES)), np.zeros((count, MINUTES)))


def running_chance(jobs: Sequence[JobOutlook], now_s: float) -> Array:
    """P(job runs at minute 1, 2, ... from now), shape (jobs, MINUTES).

    An end is normal around `end_s`, given that it has not come yet; failures thin the rest out exponentially.
    """
    at_s = now_s + STEP_S * np.arange(1, MINUTES + 1)
    rows = np.array([(j.start_s, j.start_sd_s, j.end_s, j.end_sd_s, j.failures_per_s) for j in jobs]).reshape(-1, 5, 1)
    start_s, start_sd_s, end_s, end_sd_s, failures = (rows[:, i] for i in range(5))
    start_sd_s, end_sd_s = np.maximum(start_sd_s, LEAST_SD_S), np.maximum(end_sd_s, LEAST_SD_S)
    begun = start_s <= now_s
    not_yet = np.maximum(ndtr((start_s - now_s) / start_sd_s), 1e-9)
    started = np.where(begun, 1.0, 1.0 - ndtr((start_s - at_s) / start_sd_s) / not_yet)
    overdue_s = np.minimum(now_s - end_s, 4 * end_sd_s)  # beyond, the chance of any end would vanish in rounding
    left_s = np.where(now_s - end_s > overdue_s, at_s - now_s + overdue_s, at_s - end_s)
    goes_on = ndtr(-left_s / end_sd_s) / np.where(begun, ndtr(-overdue_s / end_sd_s), 1.0)
    survives = np.exp(-failures * np.where(begun, at_s - now_s, np.maximum(at_s - start_s, 0.0)))
    return np.asarray(np.clip(started, 0.0, 1.0) * np.clip(goes_on, 0.0, 1.0) * survives)


def job_heat(jobs: Sequence[JobOutlook], shares: Sequence[Mapping[str, float]], now_s: float) -> JobHeat:
    """Heat of jobs per series. shares[i]: rack -> fraction of its power that reaches series i; now_s [s since 1970].

    Variance of a job: p(1-p)P² for whether it runs, and its power's own where that power is not in the measured heat.
    """
    if not jobs:
        return no_jobs(len(shares))
    chance = running_chance(jobs, now_s)
    power_w = np.array([j.power_w for j in jobs])[:, None]
    sd_w = np.array([j.power_sd_w for j in jobs])[:, None]
    begun = np.array([j.start_s <= now_s for j in jobs])[:, None]
    reach = _reach(jobs, shares)
    unseen = np.where(begun, 1.0 - chance, chance)
    variance = chance * (1.0 - chance) * power_w**2 + unseen * sd_w**2
    return JobHeat((reach @ (power_w * begun))[:, 0], reach @ (power_w * chance), reach**2 @ variance)


def retold_w(
    before: Sequence[JobOutlook], jobs: Sequence[JobOutlook], shares: Sequence[Mapping[str, float]], now_s: float
) -> Array:
    """Heat [W] by which the present of the jobs was told otherwise while no job began or ended, (n,).

    A job that has run for a while and is told of only now, a corrected power, and a list that ran out: none of them
    is an event, and no heat comes or goes with it.
    """
    known, long_ago_s = {j.job: j for j in before}, now_s - RECENT_S
    old: list[JobOutlook] = []
    new: list[JobOutlook] = []
    for job in jobs:
        was = known.get(job.job)
        if job.start_s <= long_ago_s and (was is None or (was.racks, was.power_w) != (job.racks, job.power_w)):
            new.append(job)
            old += [was] if was is not None and was.start_s <= now_s else []
    if not jobs:
        old = [j for j in before if j.start_s <= now_s and j.end_s > now_s + 3.0 * max(j.end_sd_s, LEAST_SD_S)]
    return _present_w(new, shares) - _present_w(old, shares)


def _present_w(jobs: Sequence[JobOutlook], shares: Sequence[Mapping[str, float]]) -> Array:
    return np.asarray(_reach(jobs, shares) @ np.array([j.power_w for j in jobs], dtype=float))


def _reach(jobs: Sequence[JobOutlook], shares: Sequence[Mapping[str, float]]) -> Array:
    """Fraction of each job's power that reaches each series, (series, jobs)."""
    homes: dict[str, list[tuple[int, float]]] = {}
    for row, share in enumerate(shares):
        for rack, fraction in share.items():
            homes.setdefault(rack, []).append((row, fraction))
    reach = np.zeros((len(shares), len(jobs)))
    for column, job in enumerate(jobs):
        for rack in job.racks:
            for row, fraction in homes.get(rack, ()):
                reach[row, column] += fraction / len(job.racks)
    return reach

"""The simulated job mix: utilisation of each rack as a function of time and seed only."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from plant.records import JobOutlook
from plant.topology import Workload
from simulator.chance import seed_number, smooth_noise

WEEK_S = 7 * 86400.0
RACKS_PER_JOB = 2
IDLE = 0.15
LIST_LIFE_S = 900.0
CHECKPOINT = 0.45
RAMP_S = 20.0
POWER_ERROR, FAILING_JOBS, CLOCK_ERROR_S, MEAN_JOB_S = 0.15, 0.10, 60.0, 6.5 * 3600.0
"""What a scheduler does not know: power (public studies: 10-20 %), failures, and times to the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training job: power_w [W] is expected over all its racks; checkpoints every period_s for dip_s [s]."""

    id: str
    racks: tuple[str, ...]
    start_s: float
    end_s: float
    level: float
    power_w: float
    checkpoint_period_s: float
    checkpoint_s: float


class JobMix:
    """Training racks run jobs in pairs, inference racks follow the day, the others idle."""

    def __init__(self, workload: Workload, rack_power_w: Mapping[str, float], utc_offset_s: float = 0.0) -> None:
        self._workload = workload
        self._power_w = rack_power_w
        self._offset_s = utc_offset_s
        self._weeks: dict[tuple[int, int], tuple[list[float], list[Job]]] = {}
        self._level_s, self._levels = math.nan, dict[int, float]()  # racks of one job ask at the same time
        self._day_s, self._day = math.nan, 0.0

    @cached_property
    def _teams(self) -> dict[str, int]:
        training = [rack for rack, kind in self._workload.racks.items() if kind == "training"]
        return {rack: index // RACKS_PER_JOB for index, rack in enumerate(training)}

    def utilisation(self, rack: str, time_s: float) -> float:
        """Share of full load [0..1] of a rack at time_s [s since 1970]."""
        team = self._teams.get(rack)
        if team is not None:
            return self._training(team, time_s)
        if self._workload.racks.get(rack) == "inference":
            return self._inference(rack, time_s)
        return IDLE

    def jobs(self, start_s: float, end_s: float) -> list[Job]:
        """Training jobs that touch [start_s, end_s), by start."""
        weeks = range(math.floor(start_s / WEEK_S), math.floor(end_s / WEEK_S) + 1)
        teams = sorted(set(self._teams.values()))
        found = [job for team in teams for week in weeks for job in self._week(team, week)[1]]
        return sorted((j for j in found if j.start_s < end_s and j.end_s > start_s), key=lambda j: (j.start_s, j.id))

    def outlook(self, now_s: float, ahead_s: float = 7200.0) -> tuple[JobOutlook, ...]:
        """What a scheduler would say at now_s: jobs that run or start within ahead_s, none of them quite as it will be.

        Power is guessed with an error of 15 %; one job in ten fails before its time, and no one knows it before.
        """
        return tuple(announced(job, self._workload.seed, now_s) for job in self.jobs(now_s, now_s + ahead_s))

    def _training(self, team: int, time_s: float) -> float:
        if time_s != self._level_s:
            self._level_s, self._levels = time_s, {}
        level = self._levels.get(team)
        if level is None:
            level = self._levels[team] = self._team_level(team, time_s)
        return level

    def _team_level(self, team: int, time_s: float) -> float:
        starts, jobs = self._week(team, math.floor(time_s / WEEK_S))
        index = bisect.bisect_right(starts, time_s) - 1
        if index < 0 or time_s >= jobs[index].end_s:
            return IDLE
        return _job_level(jobs[index], time_s)

    def _inference(self, rack: str, time_s: float) -> float:
        seed = seed_number(self._workload.seed, rack)
        if time_s != self._day_s:
            hour = ((time_s + self._offset_s) / 3600.0) % 24.0
            day = 0.5 - 0.5 * math.cos(2 * math.pi * (hour - 4.0) / 24.0)
            self._day_s, self._day = time_s, 0.30 + 0.45 * day + 0.12 * math.exp(-(((hour - 20.5) / 2.0) ** 2))
        noise = 0.05 * smooth_noise(seed, time_s, 300.0) + 0.03 * smooth_noise(seed + 1, time_s, 30.0)
        return min(max(self._day + noise, IDLE), 1.0)

    def _week(self, team: int, week: int) -> tuple[list[float], list[Job]]:
        known = self._weeks.get((team, week))
        if known is None:
            jobs = self._draw_week(team, week)
            known = self._weeks[(team, week)] = ([j.start_s for j in jobs], jobs)
        return known

    def _draw_week(self, team: int, week: int) -> list[Job]:
        rng = random.Random(f"{self._workload.seed}:{team}:{week}")
        racks = tuple(rack for rack, index in self._teams.items() if index == team)
        full_w = sum(self._power_w[rack] for rack in racks)
        jobs: list[Job] = []
        at_s, end_s = week * WEEK_S + rng.uniform(0, 1800.0), (week + 1) * WEEK_S
        while at_s < end_s - 1800.0:
            stop_s = min(at_s + rng.uniform(3.0, 10.0) * 3600.0, end_s)
            level = rng.uniform(0.90, 1.0)
            jobs.append(
                Job(
                    id=f"train-{team}-{week}-{len(jobs)}",
                    racks=racks,
                    start_s=at_s,
                    end_s=stop_s,
                    level=level,
                    power_w=level * full_w,
                    checkpoint_period_s=rng.uniform(1800.0, 2700.0),
                    checkpoint_s=rng.uniform(60.0, 90.0),
                )
            )
            at_s = stop_s + rng.uniform(600.0, 2400.0)
        return jobs


def announced(job: Job, seed: int, now_s: float) -> JobOutlook:
    """What a scheduler says of a job at now_s [s since 1970]: its start is known once it has begun."""
    power, start_s, end_s = _misjudged(job.id, seed)
    guessed_w = power * job.power_w
    return JobOutlook(
        job=job.id,
        racks=job.racks,
        start_s=job.start_s if job.start_s <= now_s else max(job.start_s + start_s, now_s + 1.0),
        end_s=job.end_s + end_s,
        power_w=guessed_w,
        power_sd_w=POWER_ERROR * guessed_w,
        start_sd_s=CLOCK_ERROR_S,
        end_sd_s=CLOCK_ERROR_S,
        failures_per_s=FAILING_JOBS / MEAN_JOB_S,
    )


def job_document(jobs: Sequence[JobOutlook], now_s: float) -> dict[str, object]:
    """The job list of docs/api.md, as a scheduler's own program would write it."""
    rows = [
        {
            "id": j.job,
            "racks": list(j.racks),
            "start_s": j.start_s,
            "end_s": j.end_s,
            "power_kw": j.power_w / 1e3,
            "power_sd_kw": j.power_sd_w / 1e3,
            "start_sd_s": j.start_sd_s,
            "end_sd_s": j.end_sd_s,
            "failures_per_h": j.failures_per_s * 3600.0,
        }
        for j in jobs
    ]
    return {"source": "simulated-scheduler", "valid_until_s": now_s + LIST_LIFE_S, "jobs": rows}


@lru_cache(maxsize=65536)
def _misjudged(job: str, seed: int) -> tuple[float, float, float]:
    """Factor of power, and how much later [s] start and end are expected than they will be."""
    rng = random.Random(f"{seed}:{job}:announced")
    power, fails = max(rng.gauss(1.0, POWER_ERROR), 0.3), rng.random() < FAILING_JOBS
    start_s, end_s = rng.gauss(0.0, CLOCK_ERROR_S), rng.gauss(0.0, CLOCK_ERROR_S)
    return power, start_s, rng.uniform(0.5, 3.0) * 3600.0 if fails else end_s


def _job_level(job: Job, time_s: float) -> float:
    since_s = time_s - job.start_s
    into_s = since_s % job.checkpoint_period_s
    if since_s > job.checkpoint_period_s and into_s < job.checkpoint_s:
        return CHECKPOINT
    level = job.level + 0.015 * smooth_noise(int(job.start_s), time_s, 20.0)
    return min(IDLE + (level - IDLE) * min(since_s / RAMP_S, 1.0), 1.0)

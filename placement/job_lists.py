"""The job lists of all sources: what of them may be believed now, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable

from plant.records import Condition, JobList, JobOutlook, Message, Params, Severity

AHEAD_S = 7200.0
"""Forecasts look no further; a job that starts later says nothing yet [s]."""
TEXTS = {
    "outlook_stale": (
        "the job list of {source} was valid until {late_min:.0f} min ago; forecasts go on without its jobs",
        "start the program that sends it; send an empty list where no scheduler is left",
    ),
    "outlook_unreadable": (
        "the job list of {source} can't be used: {detail}",
        "correct the list; what it said before counts until it expires",
    ),
}


def believed(lists: Iterable[JobList], now_s: float) -> tuple[JobOutlook, ...]:
    """Jobs that run or start within two hours, of lists still valid; of a job told twice the newer word counts."""
    valid = sorted((told for told in lists if told.valid_until_s > now_s), key=lambda told: told.at_s)
    jobs = {job.job: job for told in valid for job in told.jobs}
    return tuple(job for job in jobs.values() if job.start_s < now_s + AHEAD_S)


def stale(told: JobList, now_s: float) -> bool:
    """Whether a list that names jobs is past its time; an empty one has nothing to lose."""
    return bool(told.jobs) and told.valid_until_s <= now_s


def list_conditions(lists: Iterable[JobList], faults: dict[str, tuple[str, float]], now_s: float) -> list[Condition]:
    """`outlook_stale` and `outlook_unreadable`, by source; faults: source -> (what is wrong, since [s since 1970])."""
    late = [
        _condition("outlook_stale", told.source, told.valid_until_s, late_min=(now_s - told.valid_until_s) // 60.0)
        for told in lists
        if stale(told, now_s)
    ]
    return late + [
        _condition("outlook_unreadable", source, since_s, detail=detail) for source, (detail, since_s) in faults.items()
    ]


def same_jobs(one: JobList | None, other: JobList) -> bool:
    """Whether a list only renews another: the same jobs in the same places with the same power."""
    return one is not None and _essence(one) == _essence(other)


def _essence(told: JobList) -> set[tuple[str, tuple[str, ...], float]]:
    return {(j.job, j.racks, j.power_w) for j in told.jobs}


def _condition(code: str, source: str, since_s: float, **more: str | float) -> Condition:
    params: Params = {"source": source, **more}
    cause, remedy = TEXTS[code]
    return Condition(
        code=code,
        subject=source,
        severity=Severity.WARNING,
        since_s=since_s,
        cause=Message(code=code, text=cause.format(**params), params=params),
        remedy=Message(code=f"{code}_remedy", text=remedy.format(**params), params=params),
        source="jobs",
    )

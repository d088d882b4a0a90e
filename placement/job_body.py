"""Outlooks of jobs in the form that `PUT /v1/jobs` takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from placement.job_list import MOST_JOBS
from plant.records import JobOutlook

MOST_PLACES = 200_000
"""Names of racks in one list: what fits into the API's four megabytes."""
LEAST_PERIOD_S = 60.0
PERIODS_VALID = 5.0
"""A list of jobs is good for so many cycles, of a minute at least: one that is missed must not blind the forecast."""
LEAST_LEFT_S = 60.0
"""A job that is past its limit still runs: it counts on for so long [s]."""


def job_body(
    outlooks: Iterable[JobOutlook], source: str, now_s: float, valid_for_s: float, shift_s: float = 0.0
) -> dict[str, Any]:
    """A list valid for valid_for_s [s]; what runs and what starts soonest goes first where not all has room.

    now_s: by the scheduler's clock [s since 1970]; shift_s: the site's clock less the scheduler's [s].
    """
    jobs: list[dict[str, Any]] = []
    places = 0
    for outlook in sorted(outlooks, key=lambda o: (o.start_s > now_s, o.start_s)):
        places += len(outlook.racks)
        if len(jobs) >= MOST_JOBS or places > MOST_PLACES:
            break
        if outlook.racks and outlook.power_w > 0 and isfinite(outlook.start_s):
            jobs.append(_form(outlook, now_s, shift_s))
    return {"source": source, "valid_until_s": now_s + shift_s + valid_for_s, "jobs": jobs}


def _form(outlook: JobOutlook, now_s: float, shift_s: float) -> dict[str, Any]:
    end_s = max(outlook.end_s, outlook.start_s + LEAST_LEFT_S, now_s + LEAST_LEFT_S)
    return {
        "id": outlook.job[:200],
        "racks": list(outlook.racks),
        "start_s": max(outlook.start_s + shift_s, 0.0),
        "end_s": end_s + shift_s,
        "power_kw": outlook.power_w / 1e3,
        "power_sd_kw": outlook.power_sd_w / 1e3,
        "start_sd_s": outlook.start_sd_s,
        "end_sd_s": outlook.end_sd_s,
        "failures_per_h": 3600.0 * outlook.failures_per_s,
        **({"interruptible": True} if outlook.interruptible else {}),
    }

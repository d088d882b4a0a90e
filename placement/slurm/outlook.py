"""Slurm's queue as known future load: what runs until when, what starts next and where that is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from placement.job_power import JobPower
from placement.slurm.jobs import Job
from plant.records import JobOutlook

EARLY_SHARE = 0.5
"""Jobs end long before their limit more often than not: the standard deviation of the end, of what is left until it."""
START_SHARE = 0.3
"""Backfill moves planned starts: their standard deviation, of the time until then."""
FAILURES_PER_S = 1.0 / (48 * 3600.0)
"""Chance of a job's early end, per second: a tenth of all within five hours (Acme: 8-12 % of GPU time fails)."""
SETTLED_S = 300.0
"""A job draws what it will draw after its data are loaded [s]."""
RUNS = ("RUNNING", "COMPLETING")


def outlooks(
    jobs: Iterable[Job], rack_of: Mapping[str, str], power: JobPower, now_s: float, horizon_s: float
) -> tuple[JobOutlook, ...]:
    """One for each job that runs, or that Slurm plans to start on known nodes' racks within the horizon.

    A waiting job whose nodes nobody knows yet is spread evenly over all racks of the cluster.
    """
    found = (_outlook(job, rack_of, power, now_s) for job in jobs)
    return tuple(o for o in found if o is not None and o.start_s <= now_s + horizon_s)


def learn(jobs: Iterable[Job], node_w: Mapping[str, float], power: JobPower, learned: set[str]) -> None:
    """What running jobs' nodes draw now [W], into the history of their kind; each job once, noted in learned."""
    for job in jobs:
        values = [node_w[n] for n in job.nodes if n in node_w]
        if job.state == "RUNNING" and job.id not in learned and values and len(values) == len(job.nodes):
            power.learn(job.kind, sum(values) / len(values))
            learned.add(job.id)


def node_powers(
    jobs: Sequence[Job], rack_of: Mapping[str, str], rack_w: Mapping[str, float], now_s: float
) -> dict[str, float]:
    """Node -> watts, of racks whose every node is in jobs of one kind that have run for a while; others can't be told.

    rack_w: rack -> what its meter says [W]; now_s by Slurm's clock [s since 1970].
    """
    kinds: dict[str, set[str]] = {}
    for job in jobs:
        if job.state in RUNS:
            settled = now_s - job.start_s >= SETTLED_S
            for node in job.nodes:
                kinds.setdefault(node, set()).add(job.kind if settled else "")
    racks: dict[str, list[str]] = {}
    for node, rack in rack_of.items():
        racks.setdefault(rack, []).append(node)
    found: dict[str, float] = {}
    for rack, nodes in racks.items():
        here = set().union(*(kinds.get(node, {""}) for node in nodes))
        if rack in rack_w and len(here) == 1 and "" not in here:
            found |= dict.fromkeys(nodes, rack_w[rack] / len(nodes))
    return found


def _outlook(job: Job, rack_of: Mapping[str, str], power: JobPower, now_s: float) -> JobOutlook | None:
    running = job.state in RUNS
    start_s = job.start_s if math.isfinite(job.start_s) else math.inf
    if not running and not math.isfinite(start_s):
        return None
    end_s = job.end_s if math.isfinite(job.end_s) else start_s + min(job.limit_s, 86400.0)
    places, asked = job.nodes or job.planned, len(job.nodes) or job.count
    known = sum(n in rack_of for n in places)
    estimate, nodes = power.estimate(job.kind), known if places else asked
    return JobOutlook(
        job=job.id,
        racks=_racks(places, rack_of),
        start_s=start_s,
        end_s=max(end_s, now_s),
        power_w=nodes * estimate.power_w,
        power_sd_w=nodes * estimate.sd_w,
        start_sd_s=0.0 if running else START_SHARE * max(start_s - now_s, 0.0),
        end_sd_s=EARLY_SHARE * max(end_s - max(now_s, start_s), 0.0),
        failures_per_s=FAILURES_PER_S,
        interruptible=job.interruptible,
    )


def _racks(nodes: Sequence[str], rack_of: Mapping[str, str]) -> tuple[str, ...]:
    """One for each node, as the power is shared equally; all racks once where no node is known."""
    return tuple(rack_of[n] for n in nodes if n in rack_of) if nodes else tuple(dict.fromkeys(rack_of.values()))

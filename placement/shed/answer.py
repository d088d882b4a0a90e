"""Shed plans for what loops ask, from what is known of jobs: by their lists, which tell power, places and little more.

A job list does not tell idle power, GPUs or checkpoints: a node's idle share, GPUs in proportion to a rack's power, and
half an hour since the last checkpoint are assumed, the same for all, so that the order is by power and size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from placement.job_lists import believed
from placement.shed.plan import ShedJob, ShedNeed, ShedPlan, shed_plan
from plant.records import JobList, JobOutlook, RideThrough, ShedRequest
from plant.topology import Site

IDLE_SHARE = 0.15
"""Of a job's power, what its nodes draw without it."""


def shed_plans(
    site: Site,
    requests: Sequence[ShedRequest],
    lists: Iterable[JobList],
    rides: Iterable[RideThrough],
    now_s: float,
    held_w: Mapping[str, float] | None = None,
    uncapped: frozenset[str] = frozenset(),
) -> list[ShedPlan]:
    """A plan for each request that has not run out, with jobs that run now; now_s [s since 1970].

    held_w: by loop, what was held back already when it wished [W], and stays so as far as it must; uncapped: jobs
    without power limits.
    """
    standing = [request for request in requests if request.expires_s > now_s]
    if not standing:
        return []
    known = [job for job in believed(lists, now_s) if job.start_s <= now_s and job.racks]
    jobs = [replace(shed_job(site, job), may_cap=job.job not in uncapped) for job in known]
    rides, left_s = list(rides), dict[str, float]()
    unseen = {ride.loop for ride in rides if not ride.known}
    for ride in rides:
        if ride.known and ride.seconds is not None:
            left_s[ride.loop] = min(ride.seconds, left_s.get(ride.loop, ride.seconds))
    held = held_w or {}
    return [
        shed_plan(
            ShedNeed(
                loop=r.loop,
                racks=frozenset(r.racks),
                power_w=needed_w(r, held.get(r.loop, 0.0)),
                within_s=left_s.get(r.loop),
                unseen=r.loop in unseen,
            ),
            jobs,
        )
        for r in standing
    ]


@dataclass(slots=True)
class HeldThen:
    """What was held back when each loop wished: its meters had seen that, and not what was done since."""

    _then: dict[str, tuple[float, float]] = field(default_factory=dict)

    def at(self, requests: Iterable[ShedRequest], held_w: Mapping[str, float]) -> dict[str, float]:
        """By loop [W]; held_w: as it is now, which counts for a wish that is new."""
        before = self._then
        self._then = {
            r.loop: then
            if (then := before.get(r.loop)) is not None and then[0] == r.at_s
            else (r.at_s, held_w.get(r.loop, 0.0))
            for r in requests
        }
        return {loop: watts for loop, (_, watts) in self._then.items()}


def needed_w(request: ShedRequest, held_w: float) -> float:
    """All that has to be off [W], what is held back included: of what jobs would draw, all that is not borne."""
    return max(request.it_w + held_w - request.bearable_w, 0.0) if held_w > 0 else request.power_w


def shed_job(site: Site, job: JobOutlook) -> ShedJob:
    """A job of a list as a shed plan sees it: one node for each of its equal shares."""
    share_w = job.power_w / len(job.racks)
    racks = [site.equipment[rack] for rack in set(job.racks) if rack in site.equipment]
    full_w = max((rack.design.get("power_w", 0.0) for rack in racks), default=0.0)
    gpus = round(site.gpus_per_rack * share_w / full_w) if full_w else 1
    return ShedJob(
        job=job.job,
        nodes=Counter(job.racks),
        node_gpus=max(gpus, 1),
        dynamic_w=(1.0 - IDLE_SHARE) * share_w,
        may_requeue=job.interruptible,
    )

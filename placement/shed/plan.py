"""What to do when a loop asks for less load: GPU power caps first, then requeues, the cheapest relief first; in time.

A capped GPU obeys within seconds and loses little work for its first watts (`placement.power_caps`). A requeued job
frees all of its dynamic power, and loses what it did since its checkpoint, its restart, and its nodes for as long as
the fault lasts; it takes the time that the scheduler gives it to end. So requeues are taken where caps at their deepest
are not enough, by relief per GPU-hour lost; and caps are then relaxed to what is still needed. Where the clock of
ride-through runs out before requeues act, caps go deeper for so long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from placement.power_caps import LEAST_SPEED, POWER_EXPONENT, Floats, drawn, least_loss, speed_at

CAP_S = 10.0
"""A cap holds: a Redfish write, and the GPU's own control [s]."""
REQUEUE_S = 60.0
"""A requeued job has gone: a checkpoint, KillWait and the scheduler's cycle [s]."""
RESTART_S = 300.0
RISE_SHARE = 0.1
"""A cap rises by so much of dynamic power a step: relief is given back no faster than its effect is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedJob:
    """A running job as a shed plan sees it.

    nodes: on each rack; node_gpus: of one; dynamic_w: what one node draws above idle [W]; may_cap, may_requeue: what
    its owner allows; since_checkpoint_s: work that a requeue would lose [s].
    """

    job: str
    nodes: Mapping[str, int]
    node_gpus: int
    dynamic_w: float
    may_cap: bool = True
    may_requeue: bool = False
    since_checkpoint_s: float = 1800.0

    @property
    def gpus(self) -> int:
        """All of them."""
        return sum(self.nodes.values()) * self.node_gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedNeed:
    """power_w [W] less on these racks, within within_s [s] (None: no limit is near), for about for_s [s].

    unseen: a CDU does not tell how much time is left, so that caps hurry and nothing is said to come in time.
    """

    loop: str
    racks: frozenset[str]
    power_w: float
    within_s: float | None = None
    for_s: float = 4 * 3600.0
    unseen: bool = False

    @property
    def hurries(self) -> bool:
        """Whether requeues may come too late."""
        return self.unseen or (self.within_s is not None and self.within_s < REQUEUE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedStep:
    """One action, in the order in which to do them. share: of a job's dynamic power that it keeps; 0: it is requeued.

    relief_w: on the racks that are in need [W]; lost_gpu_h: what it costs as long as the need lasts.
    """

    job: str
    action: str
    share: float
    relief_w: float
    lost_gpu_h: float
    acts_in_s: float
    restore: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedPlan:
    """steps in order; in_time: whether relief comes before the ride-through is over; short_w: what nothing can give.

    covered_in_s: when all that is asked is off; None where it never is; within_s: the ride-through that is left [s].
    """

    loop: str
    steps: tuple[ShedStep, ...] = field(default=())
    relief_w: float = 0.0
    short_w: float = 0.0
    lost_gpu_h: float = 0.0
    in_time: bool = True
    covered_in_s: float | None = None
    within_s: float | None = None


def shed_plan(need: ShedNeed, jobs: Sequence[ShedJob], least_speed: float = LEAST_SPEED) -> ShedPlan:
    """The plan for one loop; an empty one where nothing is asked."""
    inside = [job for job in jobs if _nodes(job, need) and job.dynamic_w > 0]
    if need.power_w <= 0 or not inside:
        short_w = max(need.power_w, 0.0)
        return ShedPlan(loop=need.loop, short_w=short_w, in_time=need.power_w <= 0, within_s=need.within_s)
    gone = _requeued(need, inside, least_speed)
    staying = [job for job in inside if job.job not in gone]
    steps = [*_caps(need, staying, gone, least_speed), *(_requeue(need, job) for job in gone.values())]
    ordered = sorted(steps, key=lambda step: (step.acts_in_s, -_worth(step)))
    return _plan(need, [replace(step, restore=len(ordered) - i) for i, step in enumerate(ordered)])


def ramped(
    before: Mapping[str, float], wanted: Mapping[str, float], rise_share: float = RISE_SHARE
) -> dict[str, float]:
    """Shares of dynamic power to set now: down at once, up by one step at most; a job that is not named has all (1).

    A requeued job (0) stays away until every other cap has stopped falling, and only one is let in at a time.
    """
    names = before.keys() | wanted.keys()
    falling = any(wanted.get(name, 1.0) < before.get(name, 1.0) - 1e-9 for name in names)
    found: dict[str, float] = {}
    let_in = falling
    for name in sorted(names):
        old, new = before.get(name, 1.0), wanted.get(name, 1.0)
        if old == 0.0 < new:
            found[name] = 0.0 if let_in else new
            let_in = True
        else:
            found[name] = min(new, old + rise_share)
    return {name: share for name, share in found.items() if share < 1.0 - 1e-9}


def stepped(before: Mapping[str, float], wanted: Mapping[str, float], *, may_rise: bool) -> dict[str, float]:
    """As `ramped`; up only when `may_rise`."""
    risen = ramped(before, wanted)
    if may_rise:
        return risen
    return {job: min(before.get(job, 1.0), risen.get(job, 1.0)) for job in before.keys() | risen.keys()}


def _nodes(job: ShedJob, need: ShedNeed) -> int:
    return sum(count for rack, count in job.nodes.items() if rack in need.racks)


def _most_w(job: ShedJob, need: ShedNeed, least_speed: float) -> float:
    """What a cap on the job can give."""
    return _all_w(job, need) * (1.0 - float(least_speed**POWER_EXPONENT)) if job.may_cap else 0.0


def _all_w(job: ShedJob, need: ShedNeed) -> float:
    return _nodes(job, need) * job.dynamic_w


def _requeue(need: ShedNeed, job: ShedJob) -> ShedStep:
    lost_s = job.since_checkpoint_s + RESTART_S + need.for_s
    return ShedStep(
        job=job.job,
        action="requeue",
        share=0.0,
        relief_w=_all_w(job, need),
        lost_gpu_h=lost_s * job.gpus / 3600.0,
        acts_in_s=REQUEUE_S,
        restore=0,
    )


def _requeued(need: ShedNeed, jobs: Sequence[ShedJob], least_speed: float) -> dict[str, ShedJob]:
    """Those that have to go because caps are not enough: best relief per GPU-hour first, then without the needless."""
    missing_w = need.power_w - sum(_most_w(job, need, least_speed) for job in jobs)
    extra = {job.job: _all_w(job, need) - _most_w(job, need, least_speed) for job in jobs if job.may_requeue}
    worth = {job.job: extra[job.job] / _requeue(need, job).lost_gpu_h for job in jobs if job.may_requeue}
    gone: dict[str, ShedJob] = {}
    for job in sorted((j for j in jobs if j.may_requeue), key=lambda j: -worth[j.job]):
        if missing_w <= 1e-6:
            break
        gone[job.job] = job
        missing_w -= extra[job.job]
    for job in sorted(gone.values(), key=lambda j: -_requeue(need, j).lost_gpu_h):
        if missing_w + extra[job.job] <= 1e-6:
            missing_w += extra[job.job]
            del gone[job.job]
    return gone


def _caps(
    need: ShedNeed,
    staying: Sequence[ShedJob],
    gone: Mapping[str, ShedJob],
    least_speed: float,
) -> list[ShedStep]:
    """Caps of what stays, as deep as is needed beside the requeues; of everything where those come too late."""
    capable = [job for job in staying if job.may_cap]
    rest_w = need.power_w - sum(_all_w(job, need) for job in gone.values())
    shares = drawn(_speeds(need, capable, rest_w, least_speed))
    if gone and need.hurries:
        # requeues come too late: until they act everything is capped as deep as it goes, who is to go as well
        floor = least_speed**POWER_EXPONENT
        ending = [replace(_cap(need, job, floor), lost_gpu_h=0.0) for job in gone.values() if job.may_cap]
        return [*(_cap(need, job, floor) for job in capable), *ending]
    return [_cap(need, job, float(share)) for job, share in zip(capable, shares, strict=True) if share < 1.0 - 1e-6]


def _speeds(need: ShedNeed, jobs: Sequence[ShedJob], power_w: float, least_speed: float) -> Floats:
    if not jobs:
        return np.zeros(0)
    nodes = np.array([_nodes(job, need) for job in jobs], dtype=np.float64)
    everywhere = np.array([sum(job.nodes.values()) for job in jobs], dtype=np.float64)
    # a job that also runs elsewhere is slowed there too: its relief here is that much dearer
    dynamic_w = np.array([job.dynamic_w for job in jobs]) * nodes / everywhere
    group = np.zeros(len(jobs), dtype=np.int64)
    return least_loss(group, everywhere, dynamic_w, np.array([max(power_w, 0.0)]), least_speed)


def _cap(need: ShedNeed, job: ShedJob, share: float) -> ShedStep:
    slower = 1.0 - float(speed_at(np.array([share]))[0])
    return ShedStep(
        job=job.job,
        action="cap",
        share=share,
        relief_w=_all_w(job, need) * (1.0 - share),
        lost_gpu_h=slower * job.gpus * need.for_s / 3600.0,
        acts_in_s=CAP_S,
        restore=0,
    )


def _worth(step: ShedStep) -> float:
    return step.relief_w / max(step.lost_gpu_h, 1e-9)


def _plan(need: ShedNeed, steps: Sequence[ShedStep]) -> ShedPlan:
    """Sums; a job that is capped and then requeued gives its relief once."""
    final: dict[str, ShedStep] = {}
    quick_w, covered_s = 0.0, math.inf
    for step in steps:
        final[step.job] = step
        quick_w = sum(s.relief_w for s in final.values())
        if quick_w >= need.power_w - 1.0 and math.isinf(covered_s):
            covered_s = step.acts_in_s
    return ShedPlan(
        loop=need.loop,
        steps=tuple(steps),
        relief_w=quick_w,
        short_w=max(need.power_w - quick_w, 0.0),
        lost_gpu_h=sum(step.lost_gpu_h for step in steps),
        in_time=math.isfinite(covered_s) and not need.unseen and (need.within_s is None or covered_s <= need.within_s),
        covered_in_s=covered_s if math.isfinite(covered_s) else None,
        within_s=need.within_s,
    )

"""A cooling fault with both clusters full: who is slowed or sent away, and what it costs, on the demo pod's twin.

The real controller, guard and leases (`benchmarks.faults`) meet a fault that they cannot answer alone; what they ask to
have taken off (`ShedRequest`) is answered by the plan of `placement.shed.plan`, by the same tools in random order, or
by nobody. Caps act after CAP_S, requeues after REQUEUE_S. Relief that is no longer asked for is given back a step at a
time. Lost GPU-hours are what the jobs did not do within the span, work since their checkpoints and restarts included.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from benchmarks.fault_scenarios import STRIKE_S, Scenario, nothing, said
from benchmarks.faults import Calm, _controlled, _limit_c, calm
from benchmarks.twin_plant import example_site
from controller.state import StepResult
from placement.power_caps import LEAST_SPEED, POWER_EXPONENT
from placement.shed.answer import needed_w
from placement.shed.plan import CAP_S, REQUEUE_S, RESTART_S, ShedJob, ShedNeed, shed_plan, stepped
from simulator.load import IDLE

RACK_NODES, NODE_GPUS = 18, 4
RESTORE_S = 240.0
"""Between two steps back, and after the last change."""
SEEDS, QUICK_SEEDS = 20, 2
SPAN_S, QUICK_SPAN_S = 3600.0, 900.0
FAULTS = {
    "chiller trip at 40 °C": (said("stop chiller"), 40.0),
    "CDU loss, the other's valve jammed": (said("stop cdu-2", "jam cdu-1"), 24.0),
}
"""What strikes, and outdoor air [°C]. The second is two faults at once, which no reserve is made for."""
FLOOR = LEAST_SPEED**POWER_EXPONENT

Row = dict[str, float | str]
Shares = Mapping[str, float]
"""Share of its dynamic power that each named job keeps."""
Answer = Callable[[ShedNeed, Sequence[ShedJob]], Shares]


def full_clusters(seed: int = 1) -> list[ShedJob]:
    """Jobs on all nodes of the demo pod: training on racks 1-4 and 8, services on 5-7 that nobody requeues."""
    rng, jobs = random.Random(f"shed:{seed}"), list[ShedJob]()
    node_w = 132e3 / RACK_NODES
    for rack in range(1, 9):
        left, serves = RACK_NODES, rack in {5, 6, 7}
        while left:
            nodes = min(left, rng.choice((2, 4, 8)))
            left -= nodes
            jobs.append(
                ShedJob(
                    job=f"job-{len(jobs)}",
                    nodes={f"rack-{rack:02d}": nodes},
                    node_gpus=NODE_GPUS,
                    dynamic_w=node_w * (rng.uniform(0.75, 0.95) if serves else rng.uniform(0.85, 1.0)) - IDLE * node_w,
                    may_cap=True,
                    may_requeue=not serves and rng.random() < 0.8,
                    since_checkpoint_s=rng.uniform(0.0, 3600.0),
                )
            )
    return jobs


@dataclass(slots=True)
class Shedding:
    """Jobs under caps. changes: (when it acts [s since 1970], job, share); changed_s: when they last changed."""

    jobs: list[ShedJob]
    answer: Answer
    shares: dict[str, float] = field(default_factory=dict)
    changes: list[tuple[float, str, float]] = field(default_factory=list)
    changed_s: float = -math.inf
    asked_w: float = 0.0

    def watch(self, result: StepResult, now_s: float) -> None:
        """After a cycle: hold what is asked for; give back what is not needed any more, a step at a time."""
        wanted: Shares = {}
        for request in result.shed[:1]:
            held = {job.job: self.share(job.job, now_s) for job in self.jobs}
            power_w = needed_w(request, self._relief_w(held))
            ride_s = min((r.seconds for r in result.ride_throughs if r.seconds is not None), default=None)
            left_s = max(STRIKE_S + SPAN_S - now_s, RESTORE_S)
            need = ShedNeed(
                loop=request.loop, racks=frozenset(request.racks), power_w=power_w, within_s=ride_s, for_s=left_s
            )
            self.asked_w = max(self.asked_w, power_w)
            wanted = self.answer(need, self.jobs)
        self._set(stepped(self.shares, wanted, may_rise=now_s - self.changed_s >= RESTORE_S), now_s)

    def share(self, job: str, time_s: float) -> float:
        """What a job keeps of its dynamic power at a time."""
        acting = [share for at_s, name, share in self.changes if name == job and at_s <= time_s]
        return acting[-1] if acting else 1.0

    def _set(self, shares: Mapping[str, float], now_s: float) -> None:
        for name in shares.keys() | self.shares.keys():
            share = shares.get(name, 1.0)
            if share != self.shares.get(name, 1.0):
                self.changed_s = now_s
                self.changes.append((now_s + (REQUEUE_S if share == 0.0 else CAP_S), name, share))
        self.changes.sort(key=lambda change: change[0])
        self.shares = {name: share for name, share in shares.items() if share < 1.0}

    def _relief_w(self, shares: Mapping[str, float]) -> float:
        watts = {job.job: sum(job.nodes.values()) * job.dynamic_w for job in self.jobs}
        return sum(watts[name] * (1.0 - share) for name, share in shares.items())

    def lost_gpu_h(self, start_s: float, end_s: float) -> float:
        """Work not done between two times."""
        return sum(self._lost_gpu_h(job, start_s, end_s) for job in self.jobs)

    def _lost_gpu_h(self, job: ShedJob, start_s: float, end_s: float) -> float:
        marks = [
            start_s,
            *(at_s for at_s, name, _ in self.changes if name == job.job and start_s < at_s < end_s),
            end_s,
        ]
        lost_s = 0.0
        for begin_s, until_s in pairwise(marks):
            share = self.share(job.job, begin_s)
            lost_s += (until_s - begin_s) * (1.0 - share ** (1.0 / POWER_EXPONENT))
        sent_away = sum(1 for _, name, share in self.changes if name == job.job and share == 0.0)
        return (lost_s + sent_away * (job.since_checkpoint_s + RESTART_S)) * job.gpus / 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy(Scenario):
    """Both clusters are full, before the fault as after it."""

    shedding: Shedding
    racks: dict[str, list[ShedJob]] = field(default_factory=dict)

    def work(self, rack: str, time_s: float) -> float:
        """Share of full load [0..1]."""
        watts = sum(
            job.nodes[rack] * job.dynamic_w * self.shedding.share(job.job, time_s) for job in self.racks.get(rack, [])
        )
        return IDLE + watts / 132e3


def ours(need: ShedNeed, jobs: Sequence[ShedJob]) -> Shares:
    """The plan."""
    return {step.job: step.share for step in shed_plan(need, jobs).steps}


def at_random(seed: int) -> Answer:
    """The same tools on jobs in a drawn order: who may be requeued is, others are capped as deep as it goes."""

    def answer(need: ShedNeed, jobs: Sequence[ShedJob]) -> Shares:
        left_w, shares = need.power_w, dict[str, float]()
        for job in random.Random(f"random shed:{seed}").sample(jobs, len(jobs)):
            if left_w <= 0:
                break
            shares[job.job] = 0.0 if job.may_requeue else FLOOR
            left_w -= sum(job.nodes.values()) * job.dynamic_w * (1.0 - shares[job.job])
        return shares

    return answer


def nobody(need: ShedNeed, jobs: Sequence[ShedJob]) -> Shares:  # noqa: ARG001 - whatever is asked
    """Nothing is done."""
    return {}


def shed_rows(quick: bool) -> list[Row]:
    """Rows by fault, of ours, of nobody, and of shedding at random: how hot, and what it cost."""
    span_s, seeds = (QUICK_SPAN_S, QUICK_SEEDS) if quick else (SPAN_S, SEEDS)
    return [row for fault in FAULTS for row in _rows(fault, driven(fault), span_s, seeds)]


def driven(fault: str) -> Calm:
    """Where coldplate has the loop after an hour with both clusters full, plates known, before the fault."""
    quiet = replace(_busy(fault, Shedding(full_clusters(), nobody)), strike=nothing)
    return calm(example_site("demo-pod.yaml"), quiet)


def _rows(fault: str, before: Calm, span_s: float, seeds: int) -> list[Row]:
    drawn = [shed_run(fault, at_random(seed), before, span_s) for seed in range(seeds)]
    return [
        {"fault": fault, "shedding": "ours", **shed_run(fault, ours, before, span_s)},
        {"fault": fault, "shedding": "nobody", **shed_run(fault, nobody, before, span_s)},
        {"fault": fault, "shedding": f"random, {seeds} seeds", **_mean(drawn)},
    ]


def shed_run(fault: str, answer: Answer, before: Calm, span_s: float) -> dict[str, float]:
    """One hour of one fault, or span_s [s]; before: where coldplate had the loop."""
    site, shedding = example_site("demo-pod.yaml"), Shedding(full_clusters(), answer)
    run = asyncio.run(_controlled(site, _busy(fault, shedding), before, span_s, shedding.watch))
    ledger = run.plant.plant.ledger
    return {
        "highest_case_c": ledger.highest_case_c,
        "above_limit": float(ledger.highest_case_c > _limit_c(site)),
        "above_limit_min": ledger.case_violation_s / 60.0,
        "asked_kw": shedding.asked_w / 1e3,
        "lost_gpu_h": shedding.lost_gpu_h(STRIKE_S, STRIKE_S + span_s),
        "requeues": float(sum(1 for _, _, share in shedding.changes if share == 0.0)),
    }


def _busy(fault: str, shedding: Shedding) -> Busy:
    racks: dict[str, list[ShedJob]] = {}
    for job in shedding.jobs:
        for rack in job.nodes:
            racks.setdefault(rack, []).append(job)
    strike, air_c = FAULTS[fault]
    return Busy(name=fault, strike=strike, outdoor_c=(air_c, air_c), shedding=shedding, racks=racks)


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means; of the temperature the highest."""
    found = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return found | {"highest_case_c": max(row["highest_case_c"] for row in rows)}

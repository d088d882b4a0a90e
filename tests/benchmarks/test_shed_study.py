"""A cooling fault with both clusters full: the accounts of the study, and that the plan does what it is for."""

from __future__ import annotations

import pytest

from benchmarks.fault_scenarios import STRIKE_S
from benchmarks.shed_study import FLOOR, Shedding, at_random, driven, full_clusters, nobody, ours, shed_run
from placement.power_caps import LEAST_SPEED
from placement.shed.plan import REQUEUE_S, RESTART_S, ShedNeed

FAULT = "chiller trip at 40 °C"


def test_the_clusters_are_full_and_random_shedding_uses_the_same_tools() -> None:
    """Eighteen nodes a rack; services are capped and never requeued."""
    jobs = full_clusters()
    for rack in range(1, 9):
        assert sum(job.nodes.get(f"rack-{rack:02d}", 0) for job in jobs) == 18
    need = ShedNeed(loop="tcs-1", racks=frozenset(r for job in jobs for r in job.nodes), power_w=200e3)
    for seed in range(5):
        shares = at_random(seed)(need, jobs)
        assert set(shares.values()) <= {0.0, FLOOR}
        relief_w = sum(sum(j.nodes.values()) * j.dynamic_w * (1 - shares.get(j.job, 1.0)) for j in jobs)
        assert relief_w >= 200e3
        assert all(job.may_requeue for job in jobs if shares.get(job.job) == 0.0)


def test_lost_work_is_what_was_not_done() -> None:
    """A cap costs its slowness for as long as it holds; a requeue its checkpoint, its restart and its absence."""
    job = next(job for job in full_clusters() if job.may_requeue)
    shedding = Shedding([job], nobody)
    shedding.changes = [(STRIKE_S + 100.0, job.job, FLOOR), (STRIKE_S + 700.0, job.job, 1.0)]
    slow = (1 - LEAST_SPEED) * 600.0 * job.gpus / 3600.0
    assert shedding.lost_gpu_h(STRIKE_S, STRIKE_S + 3600.0) == pytest.approx(slow)
    shedding.changes.append((STRIKE_S + 1000.0 + REQUEUE_S, job.job, 0.0))
    away_s = 3600.0 - 1000.0 - REQUEUE_S + job.since_checkpoint_s + RESTART_S
    assert shedding.lost_gpu_h(STRIKE_S, STRIKE_S + 3600.0) == pytest.approx(slow + away_s * job.gpus / 3600.0)


def test_the_plan_keeps_cases_below_their_limit_where_nobody_would() -> None:
    """At a fraction of what shedding at random costs; what is held is not asked for again, so nobody is sent away."""
    before = driven(FAULT)
    left, planned, drawn = (shed_run(FAULT, answer, before, 900.0) for answer in (nobody, ours, at_random(0)))
    assert left["above_limit_min"] > 5.0
    assert planned["above_limit_min"] == 0.0
    assert planned["requeues"] == 0.0
    assert planned["lost_gpu_h"] < 0.5 * drawn["lost_gpu_h"]

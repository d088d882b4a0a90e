"""Which load comes off first, how deep, in time, and how it comes back."""

from __future__ import annotations

import numpy as np
import pytest

from placement.power_caps import LEAST_SPEED, POWER_EXPONENT, drawn, least_loss, speed_at
from placement.shed.plan import REQUEUE_S, RESTART_S, ShedJob, ShedNeed, ramped, shed_plan

RACKS = frozenset({"r1", "r2"})
DEEPEST = 1.0 - LEAST_SPEED**POWER_EXPONENT


def job(name: str, dynamic_w: float = 4000.0, nodes: int = 5, *, requeue: bool = False, **more: float) -> ShedJob:
    """Nodes of four GPUs on rack r1."""
    return ShedJob(job=name, nodes={"r1": nodes}, node_gpus=4, dynamic_w=dynamic_w, may_requeue=requeue, **more)  # type: ignore[arg-type]


def need(power_w: float, within_s: float | None = None, for_s: float = 3600.0) -> ShedNeed:
    """On both racks."""
    return ShedNeed(loop="tcs", racks=RACKS, power_w=power_w, within_s=within_s, for_s=for_s)


def test_nothing_is_done_where_nothing_is_asked() -> None:
    """And nothing where nothing runs, with the truth about it."""
    assert shed_plan(need(0.0), [job("a")]).steps == ()
    assert shed_plan(need(0.0), []).in_time
    nobody = shed_plan(need(1000.0), [])
    assert (nobody.short_w, nobody.in_time) == (1000.0, False)


def test_caps_give_exactly_what_is_asked_and_the_hot_job_pays_first() -> None:
    """A hot job's first watts cost the least work."""
    plan = shed_plan(need(3000.0), [job("hot", 5000.0), job("cool", 2000.0)])
    assert {s.action for s in plan.steps} == {"cap"}
    assert plan.relief_w == pytest.approx(3000.0, rel=1e-6)
    assert plan.steps[0].job == "hot"
    assert plan.steps[0].share < 1.0
    assert all(s.share == 1.0 or s.job == "hot" for s in plan.steps)


@pytest.mark.parametrize("seed", range(10))
def test_no_other_way_of_capping_loses_less(seed: int) -> None:
    """Against ten thousand random ways that give as much."""
    rng = np.random.default_rng(seed)
    nodes, watts = rng.integers(1, 20, 4).astype(float), rng.uniform(500, 5000, 4)
    wanted_w = rng.uniform(0.1, 0.9) * DEEPEST * float(nodes @ watts)
    group = np.zeros(4, dtype=np.int64)
    speed = least_loss(group, nodes, watts, np.array([wanted_w]))
    assert nodes @ (watts * (1 - drawn(speed))) == pytest.approx(wanted_w, rel=1e-6)
    other = rng.uniform(LEAST_SPEED, 1.0, (10_000, 4))
    enough = (nodes * watts * (1 - drawn(other))).sum(axis=1) >= wanted_w
    assert enough.any()
    assert ((1 - other[enough]) @ nodes).min() >= (1 - speed) @ nodes - 1e-9
    assert speed_at(drawn(speed)) == pytest.approx(speed)


def test_a_job_goes_only_where_the_deepest_caps_are_not_enough() -> None:
    """The one that gives most for what it loses; the caps are then as shallow as they may be."""
    jobs = [
        job("fresh", requeue=True, since_checkpoint_s=60.0),
        job("old", requeue=True, since_checkpoint_s=7000.0),
        job("kept"),
    ]
    most_w = 3 * 20_000.0 * DEEPEST
    assert all(s.action == "cap" for s in shed_plan(need(0.99 * most_w), jobs).steps)
    plan = shed_plan(need(1.02 * most_w), jobs)
    assert [s.job for s in plan.steps if s.action == "requeue"] == ["fresh"]
    assert plan.relief_w == pytest.approx(1.02 * most_w, rel=1e-6)
    gone = next(s for s in plan.steps if s.action == "requeue")
    assert gone.lost_gpu_h == pytest.approx(20 * (60.0 + RESTART_S + 3600.0) / 3600.0)


def test_who_may_neither_be_capped_nor_requeued_is_left_alone_and_the_rest_told_short() -> None:
    """What nothing can give is said."""
    plan = shed_plan(need(50_000.0), [job("service", may_cap=False), job("training")])
    assert {s.job for s in plan.steps} == {"training"}
    assert plan.short_w == pytest.approx(50_000.0 - 20_000.0 * DEEPEST)
    assert not plan.in_time


def test_load_elsewhere_gives_no_relief_and_is_not_touched() -> None:
    """A job that only partly runs here is dearer than one that runs here alone."""
    away = ShedJob(job="away", nodes={"r9": 50}, node_gpus=4, dynamic_w=9000.0, may_requeue=True)
    wide = ShedJob(job="wide", nodes={"r1": 5, "r9": 45}, node_gpus=4, dynamic_w=4000.0)
    plan = shed_plan(need(4000.0), [away, wide, job("here")])
    assert [s.job for s in plan.steps] == ["here"]
    assert plan.relief_w == pytest.approx(4000.0)


def test_where_the_clock_is_short_caps_go_deeper_until_requeues_act() -> None:
    """A requeue takes a minute; a ride-through may not."""
    jobs = [job("goes", requeue=True), job("stays")]
    wanted_w = 25_000.0
    calm, hurried = shed_plan(need(wanted_w, 600.0), jobs), shed_plan(need(wanted_w, 30.0), jobs)
    assert calm.in_time
    assert calm.covered_in_s == REQUEUE_S
    quick = {s.job: s.share for s in hurried.steps if s.action == "cap"}
    assert quick == pytest.approx({"goes": 1 - DEEPEST, "stays": 1 - DEEPEST})
    assert not hurried.in_time, "caps alone are not enough, and that is told"
    assert shed_plan(need(15_000.0, 30.0), jobs).in_time


def test_load_comes_back_a_step_at_a_time_and_one_job_at_a_time() -> None:
    """Down at once; up slowly; requeued jobs one by one."""
    assert ramped({}, {"a": 0.6, "b": 0.0}) == {"a": 0.6, "b": 0.0}
    before = {"a": 0.6, "b": 0.0, "c": 0.0}
    steps = [before]
    while steps[-1]:
        steps.append(ramped(steps[-1], {}))
    assert [round(s.get("a", 1.0), 6) for s in steps] == [0.6, 0.7, 0.8, 0.9, 1.0]
    assert [("b" in s, "c" in s) for s in steps[:3]] == [(True, True), (False, True), (False, False)]
    held = ramped({"a": 0.9, "b": 0.0}, {"a": 0.5})
    assert held == {"a": 0.5, "b": 0.0}, "while caps still fall nobody is let in"

"""The simulated schedulers: order of starts, work, caps, requeue, drains, a budget; always the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.cluster import RESTART_S, Place, SimCluster
from simulator.cluster_jobs import IDLE_SHARE, ClusterJobs, Ints, batch_jobs, service_jobs
from simulator.cluster_queue import Discipline, Room, backfill, whatever_fits

STEP_S = 60.0


def jobs(*rows: tuple[float, float, int], level: float = 0.8) -> ClusterJobs:
    """Jobs of (submitted [s], work [s], nodes); they ask for exactly what they need."""
    count = len(rows)
    submit, work, nodes = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return ClusterJobs(
        submit_s=submit,
        work_s=work,
        asked_s=work,
        nodes=nodes.astype(np.int64),
        level=np.full(count, level),
        swing=np.zeros(count),
        ripple_s=np.full(count, 1e12),
        kind=np.arange(count),
        interruptible=np.ones(count, dtype=bool),
    )


def first(job: int, free: Ints, cluster: list[SimCluster]) -> Ints | None:
    """The first nodes there are."""
    nodes = int(cluster[0].jobs.nodes[job])
    before = np.cumsum(free) - free
    return np.clip(nodes - before, 0, free) if free.sum() >= nodes else None


def cluster(of: ClusterJobs, nodes: list[int], discipline: Discipline = backfill) -> SimCluster:
    """A cluster of racks with so many nodes of 1 kW each."""
    known: list[SimCluster] = []
    place: Place = lambda job, free: first(job, free, known)  # noqa: E731 - it needs the cluster that needs it
    known.append(SimCluster(of, np.array(nodes), 1000.0, discipline, place))
    return known[0]


def until(sim: SimCluster, end_s: float) -> None:
    """Let time pass, powers drawn at each step."""
    while sim.now_s < end_s:
        sim.step(sim.now_s + STEP_S, STEP_S)
        sim.rack_w()


def test_a_job_heats_the_rack_that_it_is_on_and_no_other() -> None:
    """A job heats the rack that it is on and no other."""
    sim = cluster(jobs((0.0, 600.0, 3)), [2, 2, 2])
    until(sim, 60.0)
    idle_w = IDLE_SHARE * 2000.0
    assert sim.rack_w() == pytest.approx([1600.0, idle_w + (0.8 - IDLE_SHARE) * 1000.0, idle_w])
    until(sim, 1200.0)
    assert sim.rack_w() == pytest.approx([idle_w] * 3)
    assert sim.done


def test_a_short_job_is_backfilled_and_a_long_one_is_not() -> None:
    """A short job is backfilled and a long one is not."""
    of = jobs((0.0, 1200.0, 3), (1.0, 600.0, 4), (2.0, 3000.0, 1), (3.0, 600.0, 1))
    sim = cluster(of, [4])
    until(sim, 120.0)
    assert sim.running == [0, 3], "job 2 would hold job 1 back beyond the end of job 0"
    assert sim.waiting == [1, 2]


def test_a_long_job_is_backfilled_where_the_first_in_the_queue_does_not_need_its_node() -> None:
    """A long job is backfilled where the first in the queue does not need its node."""
    sim = cluster(jobs((0.0, 1200.0, 3), (1.0, 600.0, 4), (2.0, 9000.0, 1)), [5])
    until(sim, 120.0)
    assert sim.running == [0, 2]


def test_pods_do_not_wait_for_one_another() -> None:
    """Pods do not wait for one another."""
    sim = cluster(jobs((0.0, 1200.0, 3), (1.0, 600.0, 4), (2.0, 9000.0, 1)), [4], whatever_fits)
    until(sim, 120.0)
    assert sim.running == [0, 2]


def test_a_shadow_is_the_time_when_enough_has_ended() -> None:
    """A shadow is the time when enough has ended."""
    room = Room(1, np.array([300.0, 100.0]), np.array([4, 2]))
    assert room.shadow(3, 0.0) == (100.0, 0)
    assert room.shadow(5, 0.0) == (300.0, 2)
    assert room.shadow(1, 50.0) == (50.0, 0)
    assert room.shadow(99, 0.0)[0] == np.inf


def test_a_cap_holds_and_costs_time() -> None:
    """A cap holds and costs time."""
    free, capped = cluster(jobs((0.0, 3600.0, 2)), [2]), cluster(jobs((0.0, 3600.0, 2)), [2])
    capped.cap[0] = 0.5
    until(free, 4000.0)
    until(capped, 1800.0)
    assert capped.rack_w() == pytest.approx([1000.0])
    assert free.done
    until(capped, 4000.0)
    assert not capped.done
    until(capped, 6000.0)
    assert capped.done
    assert capped.tally.lost_node_s == pytest.approx(2 * (capped.tally.last_end_s - free.tally.last_end_s), rel=0.02)


def test_a_requeued_job_goes_on_from_its_checkpoint_and_its_loss_is_counted() -> None:
    """A requeued job goes on from its checkpoint and its loss is counted."""
    sim = cluster(jobs((0.0, 7200.0, 2)), [2])
    until(sim, 60.0 + 1800.0 + 600.0)
    sim.requeue([0])
    assert sim.rack_w() == pytest.approx([2 * IDLE_SHARE * 1000.0])
    assert sim.left_s[0] == pytest.approx(7200.0 - 1800.0 + RESTART_S)
    assert sim.tally.lost_node_s == pytest.approx(2 * (600.0 + RESTART_S))
    until(sim, sim.now_s + STEP_S)
    assert sim.running == [0]


def test_drained_nodes_take_nothing_new_and_a_budget_holds_jobs_back() -> None:
    """Drained nodes take nothing new and a budget holds jobs back."""
    sim = cluster(jobs((0.0, 600.0, 1), (0.0, 600.0, 1), (0.0, 600.0, 1)), [1, 2])
    sim.drained[:] = [1, 0]
    sim.budget_w = 1000.0
    until(sim, 120.0)
    assert sim.running == [0], "two of 800 W are more than the budget"
    sim.budget_w = np.inf
    until(sim, 240.0)
    assert sim.running == [0, 1], "a third would need the drained node"


def test_the_same_seed_draws_the_same_jobs_and_another_one_others() -> None:
    """The same seed draws the same jobs and another one others."""
    one, again, other = (batch_jobs(500, 86400.0, 0.8, seed) for seed in (3, 3, 4))
    assert np.array_equal(one.submit_s, again.submit_s)
    assert np.array_equal(one.level, again.level)
    assert not np.array_equal(one.submit_s[:50], other.submit_s[:50])
    assert (one.nodes * one.work_s).sum() == pytest.approx(0.8 * 500 * 86400.0, rel=0.1)
    assert (np.diff(one.submit_s) >= 0).all()


def test_services_fill_their_nodes_all_week_and_follow_the_day() -> None:
    """Services fill their nodes all week and follow the day."""
    week_s = 7 * 86400.0
    sim = cluster(service_jobs(200, week_s, 5), [20] * 10, whatever_fits)
    used, power = [], []
    while sim.now_s < week_s:
        sim.step(sim.now_s + 3600.0, 3600.0)
        used.append(sim.used.sum() / 200)
        power.append(sim.rack_w().sum())
    assert min(used[24:]) > 0.7
    assert np.corrcoef(power[24:], np.cos(2 * np.pi * (np.arange(25, 169) % 24 - 15) / 24))[0, 1] > 0.8

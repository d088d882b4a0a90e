"""What jobs draw, and the queue as an outlook."""

from __future__ import annotations

import math

import pytest

from placement.job_power import JobPower
from placement.slurm.jobs import Job
from placement.slurm.outlook import SETTLED_S, learn, node_powers, outlooks

NOW_S = 10_000.0


def job(**changes) -> Job:
    """A job of alice's on two nodes, half done."""
    given = {"id": "1", "state": "RUNNING", "count": 2, "start_s": NOW_S - 600, "end_s": NOW_S + 600, "limit_s": 1200.0}
    given |= {"nodes": ("n1", "n2"), "user": "alice", "reason": "None", "name": "train-17"}
    return Job(**(given | changes))


def test_a_kind_is_learned_from_its_runs():
    """Numbers in a name do not make another kind; the spread narrows, but never below a tenth."""
    power = JobPower(default_w=5000.0)
    first = power.estimate("alice/train")
    assert (first.power_w, first.sd_w) == (5000.0, 1750.0)
    for name in ("train-17", "train-18", "train_19", "train"):
        learn([job(name=name)], {"n1": 8000.0, "n2": 8200.0}, power, set())
    learned = power.estimate("alice/train")
    assert learned.power_w == pytest.approx(8100.0)
    assert learned.sd_w == pytest.approx(810.0)
    assert power.runs == {"alice/train": 4}


def test_a_kind_that_varies_says_so():
    """Every other run draws twice as much."""
    power = JobPower(default_w=5000.0)
    for turn in range(20):
        power.learn("k", 4000.0 if turn % 2 else 8000.0)
    assert power.estimate("k").sd_w > 1500.0


def test_readings_that_are_no_power_teach_nothing():
    """Missing nodes, no number, nothing at all, and jobs that wait."""
    power = JobPower(default_w=5000.0)
    learn([job()], {"n1": 8000.0}, power, set())
    learn([job(), job(state="PENDING")], {"n1": math.nan, "n2": 1.0}, power, set())
    learn([job()], {"n1": 0.0, "n2": 0.0}, power, set())
    assert not power.runs


def test_the_queue_as_an_outlook():
    """Running and planned jobs with their racks; what has no plan, or starts too late, is not there."""
    jobs = [
        job(interruptible=True),
        job(id="2", state="PENDING", start_s=NOW_S + 900, end_s=NOW_S + 1800, nodes=(), count=4),
        job(id="3", state="PENDING", start_s=math.nan, end_s=math.nan, nodes=()),
        job(id="4", state="PENDING", start_s=NOW_S + 9000, end_s=NOW_S + 9900, nodes=()),
        job(id="5", end_s=math.nan, limit_s=math.inf),
    ]
    found = outlooks(jobs, {"n1": "rack-1", "n2": "rack-1", "n3": "rack-2"}, JobPower(default_w=5000.0), NOW_S, 7200.0)
    assert [o.job for o in found] == ["1", "2", "5"]
    running, planned, endless = found
    assert [o.interruptible for o in found] == [True, False, False]
    assert (running.racks, running.power_w, running.start_sd_s) == (("rack-1", "rack-1"), 10_000.0, 0.0)
    assert (planned.racks, planned.power_w) == (("rack-1", "rack-2"), 20_000.0)
    assert planned.start_sd_s == pytest.approx(270.0)
    assert endless.end_s == pytest.approx(NOW_S - 600 + 86400)


def test_power_is_learned_where_a_rack_runs_one_kind_only():
    """Once for each job, after it has settled; a rack of two kinds, or with an idle node, teaches nothing."""
    racks = {"n1": "r1", "n2": "r1", "n3": "r2", "n4": "r3", "n5": "r3"}
    old = NOW_S - SETTLED_S - 1
    jobs = [
        job(id="1", start_s=old, nodes=("n1", "n2")),
        job(id="2", start_s=NOW_S - 10, nodes=("n3",)),
        job(id="3", start_s=old, nodes=("n4",)),
    ]
    found = node_powers(jobs, racks, {"r1": 12e3, "r2": 6e3, "r3": 6e3}, NOW_S)
    assert found == {"n1": 6e3, "n2": 6e3}
    power, learned = JobPower(default_w=5000.0), set()
    learn(jobs, found, power, learned)
    learn(jobs, found, power, learned)
    assert (power.runs, learned) == ({jobs[0].kind: 1}, {"1"})
    assert power.estimate(jobs[0].kind).power_w == 6e3


def test_what_has_not_run_for_longest_is_forgotten(monkeypatch):
    """Names of jobs come and go for years; the file of them is written anew at each that is learned."""
    monkeypatch.setattr("placement.job_power.MOST_KINDS", 3)
    power = JobPower(default_w=5000.0)
    for kind in ("a", "b", "c", "a", "d", "e"):
        power.learn(kind, 3e3)
    assert list(power.runs) == ["a", "d", "e"]
    assert power.runs.keys() == power.mean_w.keys() == power.variance.keys()
    assert power.runs["a"] == 2

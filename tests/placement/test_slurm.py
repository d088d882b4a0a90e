"""The Slurm adapter against a real slurmctld and slurmds, its known traps among the tests."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from placement.slurm.budget import read_licences, set_budget
from placement.slurm.commands import Slurm
from placement.slurm.drains import reconcile_drains
from placement.slurm.jobs import expand, read_jobs
from placement.slurm.moves import checkpoint_and_move
from placement.slurm.nodes import read_nodes
from placement.slurm.stoppable import stoppable
from placement.slurm.weights import WeightWriter
from plant.errors import ConfigError, RefusedError, SilentError

pytestmark = pytest.mark.real

STEPS = """
F={folder}/steps-$SLURM_JOB_ID C={folder}/kept-$SLURM_JOB_ID
trap 'cp $F $C.new && mv $C.new $C' USR1
trap 'exit 143' TERM
n=0; [ -e $C ] && n=$(cat $C)
echo $n >> {folder}/begins-$SLURM_JOB_ID
while [ $n -lt 3000 ]; do n=$((n+1)); echo $n > $F; sleep 0.1; done
"""


def running(lab, job: str) -> bool:
    """Whether a job runs."""
    return lab.job(job)["JobState"] == "RUNNING"


async def test_every_job_lands_on_the_hinted_node(make_lab):
    """Eight times, each time another node; also after a reconfigure and a restart, which forget all weights."""
    lab = make_lab(real=8)
    writer = WeightWriter(Slurm(conf=lab.conf))
    for turn in range(8):
        wanted = lab.nodes[turn * 3 % 8]
        scores = {n: 100 if n == wanted else 10 for n in lab.nodes}
        await writer.sync(scores)
        if turn == 3:
            lab.run("scontrol", "reconfigure")
            assert len((await writer.sync(scores)).changed) == 7
        if turn == 5:
            lab.stop_controller()
            lab.start_controller()
            assert len((await writer.sync(scores)).changed) == 7
            lab.until(lambda: set(lab.states()) <= {"idle", "mix"}, 30, "nodes that answer")
        job = lab.submit("sleep 60")
        lab.until(lambda job=job: running(lab, job), 15, "a start")
        assert lab.job(job)["NodeList"] == wanted


async def test_weights_of_the_administrator_come_back(make_lab):
    """Ours are added to his; what he changes meanwhile is his new one; at the end he has his own."""
    lab = make_lab(real=3)
    slurm = Slurm(conf=lab.conf)
    writer = WeightWriter(slurm)
    lab.run("scontrol", "update", "nodename=n2", "weight=500")
    await writer.sync({"n1": 0, "n2": 0, "n3": 100})
    assert {n.name: n.weight for n in (await read_nodes(slurm)).values()} == {"n1": 25, "n2": 515, "n3": 10}
    lab.run("scontrol", "update", "nodename=n1", "weight=77")
    assert (await writer.sync({"n1": 0, "n2": 0, "n3": 100})).changed == ("n1",)
    await writer.restore()
    assert {n.name: n.weight for n in (await read_nodes(slurm)).values()} == {"n1": 77, "n2": 500, "n3": 10}


async def test_a_node_unknown_to_either_side(make_lab):
    """A scored node that Slurm does not know spoils nothing; an unscored one is neutral, not attractive."""
    lab = make_lab(real=3)
    done = await WeightWriter(Slurm(conf=lab.conf)).sync({"n1": 100, "n2": 0, "elsewhere": 100})
    assert done.unknown == ("elsewhere",)
    assert done.unscored == ("n3",)
    weights = {n.name: n.weight for n in (await read_nodes(Slurm(conf=lab.conf))).values()}
    assert weights["n1"] < weights["n3"] < weights["n2"]


async def test_hints_never_tear_a_leaf(make_lab):
    """Weights go before topology: node by node they spread a job over leaves; block by block they do not."""
    leaves = [["n1", "n2", "n3", "n4"], ["n5", "n6", "n7", "n8"]]
    lab = make_lab(real=8, leaves=leaves)
    scores = {"n1": 100, "n2": 100, "n3": 5, "n4": 5, "n5": 100, "n6": 70, "n7": 70, "n8": 70}

    async def placed(writer: WeightWriter) -> set[str]:
        await writer.sync(scores)
        job = lab.submit("sleep 60", "-N3", "--exclusive")
        lab.until(lambda: running(lab, job), 10, "a start")
        nodes = (await expand(writer.slurm, [lab.job(job)["NodeList"]]))[lab.job(job)["NodeList"]]
        lab.run("scancel", job)
        lab.until(lambda: lab.states().count("idle") == 8, 20, "an idle cluster")
        return set(nodes)

    torn = await placed(WeightWriter(Slurm(conf=lab.conf)))
    assert torn == {"n1", "n2", "n5"}
    lab.run("scontrol", "reconfigure")
    whole = await placed(WeightWriter(Slurm(conf=lab.conf), blocks=leaves))
    assert whole <= {"n5", "n6", "n7", "n8"}


async def test_a_thousand_nodes(make_lab):
    """All of them are written, in few commands (how fast says `coldplate bench slurm`)."""
    lab = make_lab(real=1, more=1000)
    slurm = Slurm(conf=lab.conf)
    done = await WeightWriter(slurm).sync({f"p{i}": i % 101 for i in range(1, 1001)})
    assert done.commands <= 16
    weights = [n.weight for n in (await read_nodes(slurm)).values()]
    assert len(weights) == 1001
    assert len(set(weights)) == 16


async def test_a_budget_holds(make_lab):
    """Cut below what runs: jobs go on, nothing starts; restored, the waiting job starts."""
    lab = make_lab(real=4, extra=["Licenses=power_kw:100"])
    slurm = Slurm(conf=lab.conf)
    first = [lab.submit("sleep 90", "-L", f"power_kw:{kw}") for kw in (50, 30)]
    lab.until(lambda: all(running(lab, job) for job in first), 10, "two starts")
    _, licences = await set_budget(slurm, 60.0)
    assert (licences.held_kw, licences.over_kw) == (40, 20)
    waiting = lab.submit("sleep 90", "-L", "power_kw:15")
    lab.until(lambda: lab.job(waiting)["Reason"] == "Licenses", 10, "its reason")
    lab.run("scancel", first[1])
    await asyncio.sleep(3)
    assert not running(lab, waiting), "50 + 15 kW are above the budget"
    assert (await read_licences(slurm)).used_kw == 50
    assert (await set_budget(slurm, 70.0))[1].held_kw == 30
    assert lab.until(lambda: running(lab, waiting), 15, "a start within the budget") < 10
    await set_budget(slurm, None)
    assert (await read_licences(slurm)).held_kw == 0


async def test_a_budget_without_its_licence(make_lab):
    """Says what to add to slurm.conf."""
    lab = make_lab(real=1)
    with pytest.raises(ConfigError, match=r"no licence power_kw; add Licenses=power_kw:KW"):
        await set_budget(Slurm(conf=lab.conf), 10.0)


async def test_drains_of_others_stay_theirs(make_lab):
    """We drain and give back our own nodes only, whatever the words of a reason are."""
    lab = make_lab(real=4)
    slurm = Slurm(conf=lab.conf)
    lab.run("scontrol", "update", "nodename=n1", "state=drain", "reason=bad DIMM | coldplate: no")
    lab.run("scontrol", "update", "nodename=n3", "state=drain", "reason=coldplate: loan 7 to b by ops")
    done = await reconcile_drains(slurm, {"n1": "too hot", "n2": 'CDU 2 "lost"\nits pump'})
    assert (done.foreign, done.drained, done.resumed) == (("n1",), ("n2",), ())
    nodes = await read_nodes(slurm)
    assert nodes["n1"].reason == "bad DIMM | coldplate: no"
    assert nodes["n2"].reason == "coldplate: CDU 2 'lost' its pump"
    assert (await reconcile_drains(slurm, {}, dry=True)).resumed == ("n2",)
    assert (await reconcile_drains(slurm, {})).resumed == ("n2",)
    nodes = await read_nodes(slurm)
    assert nodes["n1"].drains
    assert nodes["n3"].drains, "a lent node stays lent"
    assert not nodes["n2"].drains


async def test_a_job_moves_and_loses_nothing_before_its_signal(make_lab):
    """USR1, requeue, elsewhere: it goes on where the checkpoint was taken."""
    lab = make_lab(real=3)
    slurm = Slurm(conf=lab.conf)
    job = lab.submit(STEPS.format(folder=lab.folder))
    lab.until(lambda: running(lab, job), 10, "a start")
    await asyncio.sleep(1.5)
    kept = lab.folder / f"kept-{job}"
    moved = await checkpoint_and_move(slurm, job, avoid=[lab.job(job)["NodeList"]], checkpointed=kept.exists)
    assert moved.before != moved.after
    begins = lab.folder / f"begins-{job}"
    lab.until(lambda: len(begins.read_text().split()) == 2, 10, "its second beginning")
    assert int(begins.read_text().split()[1]) == int(kept.read_text())
    assert moved.running_s < 15


@pytest.mark.campaign
async def test_a_job_that_does_not_end_on_term_moves_all_the_same(make_lab):
    """Slurm kills it after KillWait; what it did after its last checkpoint is lost, the move is not."""
    lab = make_lab(real=2)
    job = lab.submit("trap '' TERM; trap '' USR1; while true; do sleep 0.2; done")
    lab.until(lambda: running(lab, job), 10, "a start")
    moved = await checkpoint_and_move(Slurm(conf=lab.conf), job, avoid=None, checkpoint_s=0.5, deadline_s=120.0)
    assert set(moved.before).isdisjoint(moved.after)


@pytest.mark.campaign
async def test_without_cred_expire_a_requeued_job_waits_two_minutes(make_lab):
    """The default of slurm.conf: why the documentation asks for cred_expire=5."""
    lab = make_lab(real=3, cred_expire_s=None)
    job = lab.submit(STEPS.format(folder=lab.folder))
    lab.until(lambda: running(lab, job), 10, "a start")
    await asyncio.sleep(1.0)
    moved = await checkpoint_and_move(Slurm(conf=lab.conf), job, avoid=[lab.job(job)["NodeList"]], checkpoint_s=1.0)
    assert 100 < moved.running_s < 180


async def test_what_can_not_be_moved(make_lab):
    """No such job, and one that waits; one that asks for the node, or off a node that is none, runs on undisturbed."""
    lab = make_lab(real=2)
    slurm = Slurm(conf=lab.conf)
    job = lab.submit("sleep 60", "-N1", "--begin=now+1hour")
    with pytest.raises(RefusedError, match="does not run \\(pending\\)"):
        await checkpoint_and_move(slurm, job, avoid=["n1"])
    with pytest.raises(RefusedError, match="no such job"):
        await checkpoint_and_move(slurm, "999", avoid=["n1"])
    job = lab.submit("sleep 60", "-w", "n2")
    lab.until(lambda: running(lab, job), 10, "a start")
    with pytest.raises(RefusedError, match="asks for n2 by name"):
        await checkpoint_and_move(slurm, job, avoid=None)
    with pytest.raises(RefusedError, match="Slurm knows no node 'n9'"):
        await checkpoint_and_move(slurm, job, avoid=["n9"])
    assert running(lab, job)


async def test_jobs_are_read_with_their_times(make_lab):
    """Running and waiting ones, whatever their names are."""
    lab = make_lab(real=4)
    slurm = Slurm(conf=lab.conf)
    runs = lab.submit("sleep 60", "-N3", "--exclusive", "--time=10", "-J", "train|llm=a b-17")
    waits = lab.submit("sleep 60", "-N2", "--exclusive", "--time=1-00:00:00", "-J", "big")
    lab.until(lambda: running(lab, runs), 10, "a start")
    jobs = {job.id: job for job in await read_jobs(slurm)}
    assert len(jobs[runs].nodes) == 3
    assert jobs[runs].name == "train|llm=a b-17"
    assert jobs[runs].limit_s == 600.0
    assert abs(jobs[runs].start_s - time.time()) < 30
    assert jobs[runs].end_s == pytest.approx(jobs[runs].start_s + 600.0)
    assert (jobs[waits].state, jobs[waits].count, jobs[waits].limit_s) == ("PENDING", 2, 86400.0)


async def test_words_of_people_forge_no_job_and_no_node(make_lab):
    """A job's name and a drain's reason may be of several lines, with whatever stands between fields in them."""
    lab = make_lab(real=2)
    slurm, forged = Slurm(conf=lab.conf), "|".join(["99", "RUNNING", "many", *"1234567", "u", "x"])
    job = lab.submit("sleep 60", "-N1", "-J", f"one\n{forged}")
    lab.run("scontrol", "update", "nodename=n1", "state=drain", "reason=disk\nfull\nn2|7|idle|none")
    lab.until(lambda: running(lab, job), 10, "a start")
    assert {(j.id, j.name) for j in await read_jobs(slurm)} == {(job, f"one\n{forged}")}
    nodes = await read_nodes(slurm)
    assert {n.name: (n.weight, n.reason) for n in nodes.values()} == {
        "n1": (10, "disk\nfull\nn2|7|idle|none"),
        "n2": (10, ""),
    }
    lab.submit("sleep 60", "-J", f"x\nJobId={job} Requeue=1 Restarts=0 BatchFlag=1 QOS=spot ")
    assert not any(j.interruptible for j in await read_jobs(slurm, [stoppable("qos=spot")])), (
        "nobody gives others' away"
    )


async def test_prefer_is_not_soft(make_lab):
    """Why coldplate never asks for `--prefer`: with too few such nodes Slurm refuses the job."""
    lab = make_lab(real=4)
    lab.run("scontrol", "update", "nodename=n1", "availablefeatures=cool", "activefeatures=cool")
    assert "not available" in lab.run("sbatch", "--prefer=cool", "-N2", "--wrap=true", check=False)


async def test_power_saving_needs_a_finite_suspend_time(make_lab):
    """Why coldplate drains nodes and never powers them down: by default Slurm refuses that."""
    lab = make_lab(real=1)
    assert "Invalid node state" in lab.run("scontrol", "update", "nodename=n1", "state=power_down", check=False)


async def test_a_controller_that_is_away_or_silent(make_lab):
    """Down and hung: an error that may be tried again, in bounded time; afterwards the next cycle repairs all."""
    lab = make_lab(real=2)
    writer = WeightWriter(Slurm(conf=lab.conf, timeout_s=2.0))
    await writer.sync({"n1": 100, "n2": 0})
    lab.pause_controller(paused=True)
    began = time.monotonic()
    with pytest.raises(SilentError):
        await writer.sync({"n1": 0, "n2": 100})
    assert time.monotonic() - began < 10
    lab.pause_controller(paused=False)
    lab.stop_controller(kill=True)
    with pytest.raises(SilentError):
        await writer.sync({"n1": 0, "n2": 100})
    lab.start_controller()
    await writer.sync({"n1": 0, "n2": 100})
    weights = {n.name: n.weight for n in (await read_nodes(writer.slurm)).values()}
    assert weights == {"n1": 25, "n2": 10}


async def test_no_slurm_here():
    """Says what to install."""
    with pytest.raises(ConfigError, match="install slurm-client"):
        await Slurm().run("no-such-slurm-program")
    with pytest.raises(ConfigError, match=r"missing/slurm\.conf: no such slurm\.conf; give the path"):
        await Slurm(conf=Path("missing/slurm.conf")).run("scontrol", "ping")


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        (
            "scontrol: error: fetch_config: DNS SRV lookup failed\nscontrol: fatal: Could not establish a configuration source",
            SilentError,
            "no slurm.conf on this host",
        ),
        (
            "scontrol: error: Parse error in file a line 1\nscontrol: fatal: Unable to process configuration file",
            RefusedError,
            "scontrol: Parse error in file a line 1; Unable to process configuration file",
        ),
        ("Invalid node name specified\nscontrol: y", RefusedError, "scontrol: Invalid node name specified"),
    ],
)
async def test_what_slurm_says_is_told_in_one_line(tmp_path, monkeypatch, words, kind, told):
    """With what to do where it has no configuration, and its own name once."""
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\nprintf '%s' '{words}' >&2\nexit 1\n", encoding="utf-8")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(kind) as found:
        await Slurm().run("scontrol", "show", "nodes")
    assert "\n" not in str(found.value)
    assert str(found.value).startswith(told)

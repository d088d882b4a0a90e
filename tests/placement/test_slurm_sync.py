"""`coldplate slurm sync` on a real slurmctld: cycles, and the process itself, through everything that goes wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.slurm_lab import version as lab_version
from cli.main import app
from placement.slurm.commands import Slurm
from placement.slurm.cycle import BudgetBy, SlurmCycle, SlurmOptions
from placement.slurm.memory import Memory
from placement.slurm.nodes import read_nodes
from placement.slurm.notes import read_notes
from placement.sync_cycle import Reporter
from placement.wishes import Ear
from plant.job_knowledge import JobKnowledge

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
WAIT_S = 60.0


def weights(lab) -> dict[str, int]:
    """Of all nodes now."""
    return {n.name: n.weight for n in asyncio.run(read_nodes(Slurm(conf=lab.conf))).values()}


def sync(lab, api, folder: Path, *words: str) -> tuple[int, str]:
    """`coldplate slurm sync --once` in this process; status and what it said."""
    given = ["--api", api.url, "--conf", str(lab.conf), "--state", str(folder), "--once", "--timeout", "3", *words]
    done = CliRunner().invoke(app, ["slurm", "sync", *given], env={"COLDPLATE_TOKEN": "secret"})
    wrong = "" if isinstance(done.exception, SystemExit | None) else str(done.exception)
    return done.exit_code, done.output + wrong


def test_one_cycle_from_hints_to_report(make_lab, make_api, budget, tmp_path):
    """A dry run changes nothing and says all; then weights, budget, drains, notes and the hint file are written."""
    lab = make_lab(real=4, extra=["Licenses=power_kw:100"])
    racks = {"n3": "r3", "elsewhere": "r3"}
    api = make_api({"n1": 100, "n2": 0, "n3": 60, "elsewhere": 90}, racks=racks, powers={"r3": 5600.0})
    api.budgets = [budget(40.0), budget(5.0, scope="r3", over_kw=1.0, room_kw=0.0)]
    lab.run("scontrol", "update", "nodename=n4", "comment=do not touch")
    hints = tmp_path / "hints"
    words = ("--notes", "--hint-file", str(hints), "--node-kw", "5.6", "--interruptible", "comment=ckpt")
    status, said = sync(lab, api, tmp_path / "state", *words)
    assert status == 0
    assert "dry run" in said
    assert set(weights(lab).values()) == {10}
    assert not hints.exists()
    assert api.reports[-1].dry_run
    job = lab.submit("sleep 60", "-w", "n1", "-L", "power_kw:20", "--time=10", "-J", "train-1", "--comment=ckpt")
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", WAIT_S, "a start")
    status, said = sync(lab, api, tmp_path / "state", "--write", *words)
    assert status == 0, said
    assert weights(lab) == {"n1": 10, "n2": 25, "n3": 16, "n4": 18}
    assert "budget: 60 of 100 kW held back" in said
    nodes = asyncio.run(read_nodes(Slurm(conf=lab.conf)))
    assert nodes["n3"].reason == "coldplate: budget of r3 is 5 kW: feed B is out"
    notes = asyncio.run(read_notes(Slurm(conf=lab.conf)))
    assert (notes["n1"].comment, notes["n1"].extra) == ("coldplate:score>=94", '{"coldplate_score":94}')
    assert notes["n4"].comment == "do not touch"
    written = dict(line.split("=", 1) for line in hints.read_text().splitlines())
    assert (written["exclude"], written["refuse_above_kw"], written["kw_per_node"]) == ("n3", "40", "5.6")
    assert 0 < float(written["valid_until"]) - time.time() <= 61
    report = api.reports[-1]
    assert (report.kind, report.nodes, report.only_here, report.only_there) == ("slurm", 3, ("elsewhere",), ("n4",))
    assert abs(report.scheduler_skew_s) < 5
    known = api.jobs[-1]["jobs"][0]
    assert (known["id"], known["racks"], known["power_kw"]) == (job, ["rack-n1"], 5.6)
    assert known["interruptible"]
    back = CliRunner().invoke(
        app, ["slurm", "take-back", "--conf", str(lab.conf), "--state", str(tmp_path / "state"), "--write"]
    )
    assert "3 weights, 1 drains, 3 notes, 60 kW held back" in back.output, back.output
    assert set(weights(lab).values()) == {10}
    assert not asyncio.run(read_nodes(Slurm(conf=lab.conf)))["n3"].drains


def test_nodes_that_slurm_calls_otherwise(make_lab, make_api, tmp_path):
    """Weights, jobs and the hint file go by Slurm's names; without any name in common that is told as a fault."""
    lab = make_lab(real=2)
    api = make_api({"a-1.dc": 100, "a-2.dc": 0}, names={"hpc": {"a-1.dc": "n1", "a-2.dc": "n2"}})
    status, said = sync(lab, api, tmp_path, "--budget", "none")
    assert status == 1
    assert "the site file has 'a-1.dc', the scheduler 'n1'" in said
    assert "jobs.names is for hpc: is --name one of them?" in said
    job = lab.submit("sleep 60", "-w", "n2", "--time=10")
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", WAIT_S, "a start")
    assert sync(lab, api, tmp_path, "--write", "--budget", "none", "--name", "hpc")[0] == 0
    assert weights(lab) == {"n1": 10, "n2": 25}
    assert api.jobs[-1]["jobs"][0]["racks"] == ["rack-a-2.dc"]


def test_a_wrong_name_is_told_with_its_line(make_lab, make_api, tmp_path):
    """The log says once what Slurm lacks, what the site calls it and where; the other names go on."""
    lab = make_lab(real=2)
    names = {"a-1": "n1", "a-2": "n2x"}
    said = JobKnowledge(
        rack_of_node=dict.fromkeys(names, "r"), names={"slurm": names}, named_at={"slurm": {"n2x": "s:7"}}
    )
    api = make_api({"a-1": 0, "a-2": 0}, names={"slurm": names}, said=said)
    status, told = sync(lab, api, tmp_path, "--write", "--budget", "none")
    assert (status, weights(lab)["n1"]) == (0, 25)
    assert told.count("unknown to the scheduler, by the site file: n2x = a-2 (s:7)") == 1
    assert "unknown to the site file, neutral: n2" in told


def test_jobs_choose_by_a_note(make_lab, make_api, tmp_path):
    """From 24.05 on a job's `--extra` is judged by what we write; Slurm takes nothing there that is not JSON."""
    if lab_version() < (24, 5):
        pytest.skip("sbatch --extra judges nodes from Slurm 24.05 on: make slurm-24.11")
    lab = make_lab(real=3, extra=["SchedulerParameters=batch_sched_delay=1,sched_interval=2,extra_constraints"])
    api = make_api({"n1": 10, "n2": 20, "n3": 90})
    assert sync(lab, api, tmp_path, "--write", "--budget", "none", "--notes")[0] == 0
    job = lab.submit("sleep 30", "--extra=coldplate_score>40")
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", WAIT_S, "a start")
    assert lab.job(job)["NodeList"] == "n3"
    assert "Invalid extra" in lab.run("scontrol", "update", "nodename=n1", "extra=words", check=False)


def test_the_administrators_weights_survive_our_restarts(make_lab, make_api, tmp_path):
    """A new process does not take our weights for his; hints that are over give him his own back."""
    lab, api = make_lab(real=3), make_api({"n1": 0, "n2": 100, "n3": 50})
    lab.run("scontrol", "update", "nodename=n2", "weight=500")
    for _ in range(3):
        assert sync(lab, api, tmp_path, "--write", "--budget", "none")[0] == 0
    assert weights(lab) == {"n1": 25, "n2": 500, "n3": 18}
    lab.run("scontrol", "update", "nodename=n1", "weight=10")
    assert "weights: n1" in sync(lab, api, tmp_path, "--write", "--budget", "none")[1]
    assert api.reports[-1].repaired == 1
    api.life_s = -1.0
    said = sync(lab, api, tmp_path, "--write", "--budget", "none")[1]
    assert "no valid hints: weights given back: n1, n3" in said
    assert weights(lab) == {"n1": 10, "n2": 500, "n3": 10}


def test_weights_of_a_run_under_another_name_are_not_taken_for_his(make_lab, make_api, tmp_path):
    """Told with both ways out, and nothing is written; either way the administrator's own stay known."""
    lab, api = make_lab(real=2), make_api({"n1": 0, "n2": 100})
    words = ("--write", "--budget", "none")
    assert sync(lab, api, tmp_path, *words)[0] == 0
    assert weights(lab) == {"n1": 25, "n2": 10}
    (tmp_path / "other.json").write_text("[]")
    status, said = sync(lab, api, tmp_path, *words, "--name", "hpc")
    assert (status, weights(lab)) == (1, {"n1": 25, "n2": 10})
    assert "the weights of 1 nodes (n1 first) are those that `--name slurm` wrote" in api.reports[-1].last_error
    assert f"mv {tmp_path}/slurm.json {tmp_path}/hpc.json" in said
    (tmp_path / "slurm.json").rename(tmp_path / "hpc.json")
    assert sync(lab, api, tmp_path, *words, "--name", "hpc")[0] == 0
    assert weights(lab) == {"n1": 25, "n2": 10}, "nothing was added to what was ours"
    assert sync(lab, api, tmp_path, *words)[0] == 1
    back = ["slurm", "take-back", "--name", "hpc", "--state", str(tmp_path), "--write", "--conf", str(lab.conf)]
    assert "1 weights" in CliRunner().invoke(app, back).output
    assert sync(lab, api, tmp_path, *words)[0] == 0
    assert weights(lab) == {"n1": 25, "n2": 10}


async def test_a_cycle_cut_off_in_mid_write(make_lab, make_api, tmp_path):
    """The controller dies after half of the commands, and our process with it: the next one sets all right."""
    lab, api = make_lab(real=3), make_api({"n1": 0, "n2": 100, "n3": 30})
    slurm = Slurm(conf=lab.conf, timeout_s=3.0)
    ear, options = Ear(api.client()), SlurmOptions(write=True, budget=BudgetBy.NONE)
    await SlurmCycle(slurm, Memory(tmp_path / "m.json").writer(slurm), options).run(ear.hear())
    api.scores = {"n1": 100, "n2": 0, "n3": 60}
    api.version += 1
    writer = Memory(tmp_path / "m.json").writer(slurm)
    keep = writer.remember

    def remember_and_die(known) -> None:
        keep(known)
        lab.run("scontrol", "update", "nodename=n1", "weight=10")
        lab.stop_controller(kill=True)

    writer.remember = remember_and_die
    cycle = await SlurmCycle(slurm, writer, options).run(ear.hear())
    assert cycle.silent
    assert len(cycle.errors) == 1
    lab.start_controller()
    again = await SlurmCycle(slurm, Memory(tmp_path / "m.json").writer(slurm), options).run(ear.hear())
    assert not again.errors
    found = {n.name: n.weight for n in (await read_nodes(slurm)).values()}
    assert found == {"n1": 10, "n2": 25, "n3": 16}


async def test_drains_of_a_run_before_us_are_taken_up_or_given_back(make_lab, make_api, budget, tmp_path):
    """Stale reasons of ours go with the first cycle that knows the budgets; before that nothing is let go."""
    lab, api = make_lab(real=2, extra=["Licenses=power_kw:100"]), make_api({"n1": 50, "n2": 50})
    slurm = Slurm(conf=lab.conf, timeout_s=5.0)
    lab.run("scontrol", "update", "nodename=n1", "state=drain", "reason=coldplate: budget of r1 is 5 kW: gone")
    lab.run("scontrol", "update", "nodename=n2", "state=drain", "reason=bad DIMM")
    cycle = SlurmCycle(slurm, Memory(tmp_path / "m.json").writer(slurm), SlurmOptions(write=True))
    ear = Ear(api.client())
    api.silent = True
    await cycle.run(ear.hear())
    assert (await read_nodes(slurm))["n1"].drains
    api.silent = False
    api.budgets = [budget(5.0, scope="rack-n2", over_kw=1.0)]
    done = await cycle.run(ear.hear())
    assert done.lines[:2] == ["resumed: n1", "left to others, who drained them: n2"]
    assert Reporter("slurm", 10.0, dry=False).report(done).foreign == ("n2",)
    nodes = await read_nodes(slurm)
    assert (nodes["n1"].drains, nodes["n2"].reason) == (False, "bad DIMM")


def test_slurm_away_slow_or_without_its_licence(make_lab, make_api, budget, tmp_path):
    """Told in the report, in bounded time; the hint file is written all the same."""
    lab, api = make_lab(real=1), make_api({"n1": 50})
    api.budgets = [budget(40.0)]
    status, said = sync(lab, api, tmp_path, "--write")
    assert status == 1
    assert "no licence power_kw; add Licenses=power_kw:KW" in said
    assert weights(lab) == {"n1": 18}, "what can be done is done"
    hints = tmp_path / "hints"
    lab.pause_controller(paused=True)
    status, said = sync(lab, api, tmp_path, "--write", "--hint-file", str(hints))
    lab.pause_controller(paused=False)
    assert status == 1
    assert "no answer of the controller within 3 s" in api.reports[-1].last_error
    assert "refuse_above_kw=40" in hints.read_text()
    assert api.reports[-1].last_success is None
    assert "choose licence, qos, none" in sync(lab, api, tmp_path, "--budget", "magic")[1]
    assert "'spot' names no jobs" in sync(lab, api, tmp_path, "--interruptible", "spot")[1]


def test_the_process_follows_at_once(make_lab, make_api, budget, tmp_path):
    """A budget that is set reaches Slurm without waiting for the next cycle; ended, the waiting job starts."""
    lab = make_lab(real=2, extra=["Licenses=power_kw:100"])
    api = make_api({"n1": 50, "n2": 50})
    argv = [sys.executable, "-m", "cli.main", "slurm", "sync", "--api", api.url, "--conf", str(lab.conf), "--write"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLDPLATE_TOKEN": "secret"}
    process = subprocess.Popen([*argv, "--every", "3600", "--state", str(tmp_path / "s")], env=env)
    try:
        lab.until(lambda: api.reports, WAIT_S, "a first report")
        api.budgets = [budget(30.0)]
        lab.until(lambda: "power_kw:70" in lab.run("scontrol", "show", "reservation"), WAIT_S, "the hold")
        job = lab.submit("sleep 60", "-L", "power_kw:50")
        lab.until(lambda: lab.job(job)["Reason"] == "Licenses", WAIT_S, "its reason")
        api.budgets = []
        lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", WAIT_S, "a start")
    finally:
        process.terminate()
        assert process.wait(30) == 0

"""`coldplate pools` as a process, with a real slurmctld and a Kubernetes API: killed in the middle, it goes on."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from placement.loan_book import LoanBook

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
WAIT_S = 60.0


class Pools:
    """A Slurm of two nodes at home in `train`, a Kubernetes that knows them too, and the command."""

    def __init__(self, lab, served, folder: Path) -> None:
        self.lab, self.mock, self.folder = lab, served.mock, folder
        for node in lab.nodes:
            self.mock.add(node)
        self.names = ""
        self.config(allow="operator")
        self.env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.started: list[subprocess.Popen[bytes]] = []

    def config(self, allow: str) -> None:
        """Write the pools file."""
        text = f"""schema: 1
allow: {allow}
pools:
  - {{name: train, kind: slurm, conf: {self.lab.conf}, nodes: ["n[1-2]"], keep_idle: 0, timeout_s: 2}}
  - {{name: serve, kind: kubernetes, kubeconfig: {self.folder / "kubeconfig"}{self.names}}}
"""
        (self.folder / "pools.yaml").write_text(text)

    def argv(self, *words: str) -> list[str]:
        """The command line."""
        where = ["--state", str(self.folder / "book")]
        if words[0] not in ("status", "return", "allow"):
            where += ["--config", str(self.folder / "pools.yaml")]
        return [sys.executable, "-m", "cli.main", "pools", *words, *where]

    def do(self, *words: str, check: bool = True) -> str:
        """Run one command to its end: in this process, as a new one takes a second to load all rooms."""
        done = CliRunner().invoke(app, self.argv(*words)[3:])
        assert not check or done.exit_code == 0, done.exception
        return done.output + str(done.exception or "")

    def start(self) -> subprocess.Popen[bytes]:
        """The loop."""
        self.started.append(subprocess.Popen(self.argv("run", "--allow", "--every", "0.1"), env=self.env))
        return self.started[-1]

    def close(self) -> None:
        """End every process, also after a failure."""
        for process in self.started:
            process.kill()
            process.wait(30)

    def loan(self) -> dict:
        """The newest loan as written down."""
        files = sorted((self.folder / "book").glob("*.json"))
        return json.loads(files[-1].read_text())

    def until(self, state: str) -> None:
        """Wait for it."""
        self.lab.until(lambda: self.loan()["state"] == state, WAIT_S, f"{state}; {self.loan()}")

    def cordoned(self, node: str) -> bool:
        """Whether Kubernetes keeps pods away."""
        return bool(self.mock.nodes[node]["spec"].get("unschedulable"))

    def reason(self, node: str) -> str:
        """Slurm's, of a drain."""
        return self.lab.run("sinfo", "-h", "-n", node, "-o", "%T %E").strip()


@pytest.fixture
def two(make_lab, server_apart, tmp_path):
    """Both clusters."""
    both = Pools(make_lab(real=2), server_apart, tmp_path)
    yield both
    both.close()


def test_killed_in_mid_loan_it_goes_on(two, tmp_path):
    """While a job still runs at the lender, and between an act and its record; nothing is lost, no job is ended."""
    assert "n1: taken out of serve" in two.do("settle", "--write")
    done = tmp_path / "done"
    job = two.lab.submit(f"while [ ! -e {done} ]; do sleep 0.2; done", "-w", "n1")
    two.lab.until(lambda: two.lab.job(job)["JobState"] == "RUNNING", 30, "a start")
    assert "loan 1: n1 train -> serve" in two.do("lend", "n1", "--to", "serve", "--owner", "ops", "--reason", "test")
    first = two.start()
    two.until("draining")
    first.kill()
    first.wait(30)
    assert two.lab.job(job)["JobState"] == "RUNNING"
    assert two.cordoned("n1")
    second = two.start()
    done.touch()
    two.until("lent")
    assert two.lab.job(job)["JobState"] == "COMPLETED"
    assert not two.cordoned("n1")
    assert two.reason("n1") == "drained coldplate: loan 1 to serve by ops: test"
    second.kill()
    second.wait(30)
    _killed_right_after_scontrol(two, tmp_path)
    third = two.start()
    two.until("returned")
    third.send_signal(signal.SIGTERM)
    assert third.wait(30) == 0
    assert two.cordoned("n1")
    assert two.reason("n1").startswith("idle")
    assert {"draining", "admitting", "verifying", "lent", "leaving", "returning"} <= two.loan()["took_s"].keys()


def _killed_right_after_scontrol(two, folder: Path) -> None:
    """Call the loan back; the process dies between `scontrol update state=resume` and writing that down."""
    real, bin_dir = shutil.which("scontrol"), folder / "bin"
    bin_dir.mkdir()
    wrapper = bin_dir / "scontrol"
    wrapper.write_text(f'#!/bin/sh\n{real} "$@" || exit 1\ncase "$*" in *state=resume*) kill -9 $PPID;; esac\n')
    wrapper.chmod(0o755)
    two.do("return", "n1")
    path = two.env["PATH"]
    two.env["PATH"] = f"{bin_dir}:{path}"
    assert two.start().wait(WAIT_S) == -signal.SIGKILL
    two.env["PATH"] = path
    assert two.loan()["state"] == "returning"


def test_nodes_that_kubernetes_calls_otherwise(two):
    """Taken out, lent, listed and brought home by the name that loans use."""
    for node in two.lab.nodes:
        two.mock.add(f"ip-{node[1:]}.internal")
        del two.mock.nodes[node]
    two.names = ', names: {"n[1-2]": "ip-[1-2].internal"}'
    two.config(allow="operator")
    assert "n2: taken out of serve" in two.do("settle", "--write")
    assert two.cordoned("ip-1.internal")
    two.do("lend", "n1", "--to", "serve", "--owner", "mei")
    two.start()
    two.until("lent")
    assert not two.cordoned("ip-1.internal")
    assert two.cordoned("ip-2.internal")
    assert "n1  at home in train  serves serve  loan" in two.do("list")
    assert "serve: 1 nodes idle" in two.do("plan")
    two.do("return", "n1")
    two.until("returned")
    assert two.cordoned("ip-1.internal")
    assert two.reason("n1").startswith("idle")


def test_without_a_word_nothing_moves(two):
    """A dry run plans and writes down; `allow: none` refuses; one runner a folder; a node in both pools is not lent."""
    two.do("lend", "n1", "--to", "serve")
    two.do("run", "--once")
    assert two.loan()["state"] == "allowed"
    assert two.mock.patches == 0
    assert two.reason("n1").startswith("idle")
    listed = two.do("list")
    assert "n1  at home in train  serves train and serve  loan 1  <- in two pools at once" in listed
    two.do("run", "--once", "--allow")
    assert "serve takes work on n1 already; run coldplate pools settle" in two.loan()["problem"]
    assert two.reason("n1").startswith("idle")
    assert "n1 is in loan 1 to serve already" in two.do("lend", "n1", "--to", "serve", check=False)
    two.config(allow="none")
    assert "write allow: operator" in two.do("run", "--once", "--allow", check=False)
    two.config(allow="operator")
    with LoanBook(two.folder / "book").held("runner"):
        assert "another process holds it" in two.do("run", "--once", check=False)
    assert "no pool 'elsewhere'; pools are train, serve" in two.do("lend", "n2", "--to", "elsewhere", check=False)
    assert "lies in the past" in two.do("lend", "n2", "--to", "serve", "--until", "2020-01-01", check=False)


def test_a_cluster_away_hinders_and_is_told(two):
    """Slurm down in mid-loan: the loan waits with the reason, and goes on when it is back."""
    two.do("settle", "--write")
    two.lab.stop_controller()
    two.do("lend", "n2", "--to", "serve")
    two.do("run", "--once", "--allow")
    assert re.search("Unable to contact slurm controller|no answer of the controller", two.loan()["problem"])
    two.lab.start_controller()
    running = two.start()
    two.until("lent")
    # Slurm calls it an invalid state for a node that has not registered since the restart, and resumes it
    two.lab.run("scontrol", "update", "nodename=n2", "state=resume", check=False)
    two.lab.until(
        lambda: "train takes work on n2 though it is lent" in two.loan()["problem"], WAIT_S, "the problem told"
    )
    running.terminate()
    running.wait(30)


def test_what_waits_is_read_from_both(two):
    """Slurm's queue and pods that found no node; without headroom nothing is proposed."""
    two.do("settle", "--write")
    first = two.lab.submit("sleep 60", "-N2", "--exclusive")
    two.lab.until(lambda: two.lab.job(first)["JobState"] == "RUNNING", WAIT_S, "a start")
    two.lab.submit("sleep 60", "-N2", "--exclusive")
    two.mock.pods = [waiting_pod(f"p{i}") for i in range(3)]
    two.lab.until(lambda: "work for 2 waits" in two.do("plan"), WAIT_S, "the second job's reason")
    said = json.loads(two.do("plan", "--json"))
    assert said["demands"] == {"train": {"idle": [], "waiting": 2}, "serve": {"idle": [], "waiting": 3}}
    assert not said["proposals"]


def test_the_planner_proposes_by_headroom_and_waits_for_a_word(two, make_api):
    """A pod waits, Slurm has idle nodes: the coolest is proposed; an operator allows it, or the file does."""
    two.do("settle", "--write")
    api = make_api({"n1": 40, "n2": 90}, racks={"n1": "r1", "n2": "r2"}, rooms_kw={"r1": 50.0, "r2": 50.0})
    two.mock.pods = [waiting_pod("p")]
    assert "lend n2 train -> serve: serve waits for nodes; score 90, r2 has 50 kW left" in two.do(
        "plan", "--api", api.url
    )
    two.do("run", "--once", "--allow", "--api", api.url)
    assert (two.loan()["state"], two.loan()["node"], two.loan()["owner"]) == ("proposed", "n2", "planner")
    assert two.reason("n2").startswith("idle")
    assert "allowed" in two.do("allow", "1")
    two.do("run", "--once", "--allow")
    assert two.loan()["state"] == "draining"
    assert "there is nothing to allow" in two.do("allow", "1", check=False)
    two.do("return", "n2")
    assert two.loan()["state"] == "rolling-back"
    api.silent = True
    assert "no answer" in two.do("plan", "--api", api.url, check=False) + two.do("run", "--once", "--api", api.url)


def waiting_pod(name: str) -> dict:
    """One that the scheduler found no node for; eight GPUs."""
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"resources": {"requests": {"nvidia.com/gpu": "8"}}}]},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
    }


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again(two, seed):
    """SIGKILL at random moments, there and back: the node ends where it began, in one pool at a time."""
    chance = random.Random(seed)
    two.do("settle", "--write")
    two.do("lend", "n1", "--to", "serve")
    kills = 0
    for goal in ("lent", "returned"):
        while two.loan()["state"] != goal:
            process = two.start()
            time.sleep(chance.uniform(1.0, 5.0))
            process.kill()
            kills += process.wait(30) == -signal.SIGKILL
            both = not two.cordoned("n1") and two.reason("n1").startswith(("idle", "mixed"))
            assert not both, f"two pools take work on n1 after {kills} kills: {two.loan()}"
        if goal == "lent":
            assert two.reason("n1").startswith("drained coldplate: loan 1")
            assert not two.cordoned("n1")
            two.do("return", "n1")
    assert kills >= 2
    assert two.cordoned("n1")
    assert two.reason("n1").startswith("idle")

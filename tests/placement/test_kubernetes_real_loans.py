"""A node lent by a real Slurm to a real Kubernetes and back, by the account of our manifests, killed at every step.

Skipped without their programs: `make kubernetes` builds or takes those of Kubernetes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from placement.kubernetes.pool import LENT

ROOT = Path(__file__).parents[2]
WAIT_S = 90.0
STARTS = 15
"""A loan lasts for so many starts of a process: killed at each step it is lent after five, looked at in two more."""


class Loans:
    """Slurm's n1 and n2, at home in `train`; Kubernetes knows both; `coldplate pools` as processes."""

    def __init__(self, lab, plane, folder: Path, kubeconfig: Path) -> None:
        self.lab, self.plane, self.folder = lab, plane, folder
        (folder / "pools.yaml").write_text(f"""schema: 1
allow: operator
pools:
  - {{name: train, kind: slurm, conf: {lab.conf}, nodes: ["n[1-2]"]}}
  - {{name: serve, kind: kubernetes, kubeconfig: {kubeconfig}}}
""")
        self._runs: subprocess.Popen[bytes] | None = None
        self.start_s = 0.0

    def argv(self, *words: str) -> list[str]:
        """A command line, where its book and its file are."""
        return [sys.executable, "-m", "cli.main", "pools", *words, "--state", "book", "--config", "pools.yaml"]

    def do(self, *words: str) -> None:
        """Run it to its end."""
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        argv = self.argv(*words) if words[0] != "return" else self.argv(*words)[:-2]
        subprocess.run(argv, cwd=self.folder, env=env, check=True, timeout=WAIT_S, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """The loop."""
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        self._runs = subprocess.Popen(self.argv("run", "--allow", "--every", "0.1"), cwd=self.folder, env=env)

    def kill(self) -> None:
        """As a host that fails; none is no matter."""
        if self._runs is not None:
            self._runs.kill()
            self._runs.wait(30)
            self._runs = None

    def loan(self) -> dict:
        """As it is written down."""
        return json.loads((self.folder / "book" / "1.json").read_text())

    def to(self, goal: str) -> int:
        """Drive it there, killed once in every state on the way; how often it was."""
        killed: set[str] = set()
        self.start()
        while (state := self.loan()["state"]) != goal:
            if state not in killed:
                self.kill()
                assert self.pools_of("n1") <= 1
                killed.add(state)
                self.start()
            before = state
            self.plane.until(lambda b=before: self.loan()["state"] != b, WAIT_S, f"a step from {state}: {self.loan()}")
        self.kill()
        return len(killed)

    def pools_of(self, node: str) -> int:
        """How many schedulers would start work there now."""
        slurm = self.lab.run("sinfo", "-h", "-n", node, "-o", "%T").strip().startswith(("idle", "mixed"))
        spec = self.plane.call("GET", f"/api/v1/nodes/{node}")["spec"]
        return slurm + (not spec.get("unschedulable") and LENT not in self.plane.taints(node))


@pytest.fixture
def loans(make_lab, plane, tmp_path) -> Iterator[Loans]:
    """Both clusters, every node out of the pool that it is not at home in."""
    plane.add_nodes(["n1", "n2"])
    plane.start_scheduler()
    plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "coldplate"}}])
    plane.apply(yaml.safe_load_all((ROOT / "packaging" / "kubernetes" / "adapter.yaml").read_text("utf-8")))
    account = plane.kubeconfig(plane.account_token("coldplate", "coldplate-adapter"))
    made = Loans(make_lab(real=2), plane, tmp_path, account)
    began_s = time.monotonic()
    made.do("settle", "--write")
    made.start_s = time.monotonic() - began_s
    yield made
    made.kill()


def test_there_and_back_when_its_time_is_over(loans):
    """Pods come while it is lent, and wait for nothing after; a node that fails meanwhile is told, and comes home."""
    plane, lab = loans.plane, loans.lab
    plane.add_pod("p")
    due = datetime.now(UTC) + timedelta(seconds=max(60.0, STARTS * loans.start_s))
    loans.do("lend", "n1", "--to", "serve", "--owner", "mei", "--until", due.isoformat(timespec="seconds"))
    assert loans.to("lent") >= 3
    assert lab.run("sinfo", "-h", "-n", "n1", "-o", "%T").strip() == "drained"
    plane.until(lambda: plane.placed() == {"p": "n1"}, WAIT_S, "a pod on the node that was lent")

    ready(plane, "n1", "False")
    loans.start()
    plane.until(
        lambda: loans.loan()["problem"] == "serve can't use n1: it is not ready, or closed there", WAIT_S, "a word"
    )
    ready(plane, "n1", "True")
    plane.until(lambda: loans.loan()["problem"] == "", WAIT_S, "all well again")
    left_s = (due - datetime.now(UTC)).total_seconds()
    plane.until(lambda: loans.loan()["state"] == "leaving", WAIT_S + left_s, "its time is over")
    loans.kill()
    assert datetime.now(UTC) >= due - timedelta(seconds=1)
    assert loans.pools_of("n1") == 0
    assert "p" in plane.placed(), "no pod is ended for it"
    plane.remove_pods()
    assert loans.to("returned") >= 1
    assert plane.nodes()["n1"]["spec"]["unschedulable"]
    job = lab.submit("sleep 1", "-w", "n1")
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", 30, "a start at home")


def ready(plane, node: str, status: str) -> None:
    """As its kubelet would say it."""
    said = {"conditions": [{"type": "Ready", "status": status, "reason": "Paper"}]}
    plane.call("PATCH", f"/api/v1/nodes/{node}/status", {"status": said})

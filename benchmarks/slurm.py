"""The Slurm adapter's commands, as processes, on a real slurmctld and eight slurmds: how long each thing takes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.adapter_api import Api, budget
from benchmarks.kubernetes_lab import ServedApart, Server
from benchmarks.slurm_lab import Lab
from placement.loan_book import LoanBook
from placement.slurm.commands import Slurm
from placement.slurm.nodes import read_nodes
from placement.slurm.weights import level
from plant.errors import ConfigError

LIMIT_S = {
    "sync_1000_nodes_s": 1.0,
    "repair_after_reconfigure_s": 3.0,
    "repair_after_restart_s": 3.0,
    "budget_cut_visible_s": 2.0,
    "start_after_restored_s": 10.0,
    "move_s": 15.0,
    "lent_and_back_s": 60.0,
}
"""Repairs: one cycle of `--every 2`, and what it takes. Syncs and budgets: from the API's word to Slurm's."""
NODES, PAPER = 8, 1000
BASE = 10
"""The lab's own weight of each node, and so that of a score of 100."""
STEPS = """
F={folder}/steps-$SLURM_JOB_ID C={folder}/kept-$SLURM_JOB_ID
trap 'cp $F $C.new && mv $C.new $C' USR1
trap 'exit 143' TERM
n=0; [ -e $C ] && n=$(cat $C)
while [ $n -lt 3000 ]; do n=$((n+1)); echo $n > $F; sleep 0.1; done
"""


def run(quick: bool, data: Path | None) -> dict[str, float | str | list[dict[str, float | str]]]:  # noqa: ARG001
    """Seconds of each, and its share of the limit; a full run also moves a job under Slurm's default cred_expire.

    Raises:
        ConfigError: Slurm is not installed.
    """
    if shutil.which("slurmctld", path="/usr/sbin:/sbin:/usr/local/sbin") is None:
        remedy = "apt-get install slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins"
        raise ConfigError("no slurmctld here", remedy=remedy)
    took, hits = _all()
    figures: dict[str, float | str | list[dict[str, float | str]]] = {
        "jobs_on_the_hinted_node": hits,
        "rows": [
            {"what": n, "s": took[n], "limit_s": limit, "of_limit": took[n] / limit} for n, limit in LIMIT_S.items()
        ],
        **took,
    }
    if not quick:
        figures["move_with_default_cred_expire_s"] = _moved(cred_expire_s=None)
    return figures


def _all() -> tuple[dict[str, float], float]:
    with (
        tempfile.TemporaryDirectory() as name,
        Lab(Path(name) / "lab", real=NODES, more=PAPER, extra=["Licenses=power_kw:100"]) as lab,
        Api({f"p{i}": 0 for i in range(1, PAPER + 1)}, life_s=600.0) as api,
        _syncing(lab, api, Path(name)),
    ):
        took = _weights(lab, api)
        hits = _hits(lab, api)
        took |= _budget(lab, api)
        took["lent_and_back_s"] = _lent(lab, Path(name))
    return took | {"move_s": _moved(cred_expire_s=5)}, hits


def _argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", *words]


@contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "COLDPLATE_TOKEN": "secret"}
    child = subprocess.Popen(_argv(*words), env=env, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    try:
        yield child
    finally:
        child.terminate()
        child.wait(30)


@contextmanager
def _syncing(lab: Lab, api: Api, folder: Path) -> Iterator[None]:
    """`coldplate slurm sync`, until its first report."""
    words = ["slurm", "sync", "--api", api.url, "--conf", str(lab.conf), "--state", str(folder / "state")]
    with _process(*words, "--every", "2", "--write"):
        lab.until(lambda: api.reports, 60, "a first report")
        yield


def _weights(lab: Lab, api: Api) -> dict[str, float]:
    took = {}
    begin = time.monotonic()
    api.scores = {f"p{i}": i % 101 for i in range(1, PAPER + 1)}
    wanted = {n: BASE + level(score) for n, score in api.scores.items()}
    took["sync_1000_nodes_s"] = _until_weights(lab, begin, wanted)
    lab.run("scontrol", "reconfigure")
    took["repair_after_reconfigure_s"] = _until_weights(lab, time.monotonic(), wanted)
    lab.stop_controller()
    lab.start_controller()
    took["repair_after_restart_s"] = _until_weights(lab, time.monotonic(), wanted)
    lab.until(lambda: lab.states().count("idle") == NODES, 30, "idle nodes")
    return took


def _paper_weights(lab: Lab) -> dict[str, int]:
    return {n.name: n.weight for n in asyncio.run(read_nodes(Slurm(conf=lab.conf))).values() if n.name[0] == "p"}


def _until_weights(lab: Lab, begin: float, wanted: dict[str, int]) -> float:
    lab.until(lambda: wanted.items() <= _paper_weights(lab).items(), 60, "weights")
    return time.monotonic() - begin


def _hits(lab: Lab, api: Api) -> float:
    """Share of jobs that start where the hint says."""
    hits = 0
    for wanted in lab.nodes:
        api.scores = {n: 100 if n == wanted else 10 for n in lab.nodes}
        lab.until(lambda one=(wanted,): _best(lab) == one, 60, "weights")  # type: ignore[misc]
        job = lab.submit("sleep 300")
        _started(lab, job)
        hits += lab.job(job)["NodeList"] == wanted
    lab.run("scancel", f"--user={lab.user}")
    lab.until(lambda: not lab.run("squeue", "-h"), 20, "an end of all jobs")
    return hits / len(lab.nodes)


def _best(lab: Lab) -> tuple[str, ...]:
    nodes = asyncio.run(read_nodes(Slurm(conf=lab.conf)))
    return tuple(n for n in lab.nodes if nodes[n].weight == BASE)


def _started(lab: Lab, job: str) -> None:
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", 30, "a start")


def _budget(lab: Lab, api: Api) -> dict[str, float]:
    begin = time.monotonic()
    api.budgets = [budget(20.0)]
    lab.until(lambda: "power_kw:80" in lab.run("scontrol", "show", "reservation"), 30, "the hold")
    took = {"budget_cut_visible_s": time.monotonic() - begin}
    job = lab.submit("sleep 300", "-L", "power_kw:50")
    lab.until(lambda: lab.job(job)["Reason"] == "Licenses", 15, "a job that waits for its licence")
    begin = time.monotonic()
    api.budgets = []
    _started(lab, job)
    took["start_after_restored_s"] = time.monotonic() - begin
    lab.run("scancel", job)
    return took


def _lent(lab: Lab, folder: Path) -> float:
    """`pools lend`, until Kubernetes has the node; `pools return`, until a job may start there again; no job runs."""
    served = ServedApart(Server(), folder)
    try:
        for node in lab.nodes:
            served.mock.add(node)
        config, book = folder / "pools.yaml", folder / "book"
        config.write_text(f"""schema: 1
allow: operator
pools:
  - {{name: train, kind: slurm, conf: {lab.conf}, nodes: ["n[1-{NODES}]"]}}
  - {{name: serve, kind: kubernetes, kubeconfig: {served.kubeconfig}}}
""")
        where = ["--config", str(config), "--state", str(book)]
        subprocess.run(_argv("pools", "settle", "--write", *where), check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        with _process("pools", "run", "--allow", "--every", "0.5", *where):
            lab.until((book / "runner.lock").exists, 60, "a runner")
            begin = time.monotonic()
            subprocess.run(_argv("pools", "lend", "n1", "--to", "serve", *where), check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            lab.until(lambda: _loan_state(book) == "lent", 60, "lent")
            subprocess.run(_argv("pools", "return", "n1", "--state", str(book)), check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            lab.until(lambda: _loan_state(book) == "returned", 60, "returned")
            return time.monotonic() - begin
    finally:
        served.close()


def _loan_state(book: Path) -> str:
    return str(LoanBook(book).get("1").state)


def _moved(*, cred_expire_s: int | None) -> float:
    """`coldplate slurm move JOB`: from its start until the job runs on another node [s]."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Lab(folder, real=3, cred_expire_s=cred_expire_s) as lab:
            job = lab.submit(STEPS.format(folder=folder))
            _started(lab, job)
            lab.until((folder / f"steps-{job}").exists, 30, "its first step")
            before, begin = lab.job(job)["NodeList"], time.monotonic()
            argv = _argv("slurm", "move", job, "--conf", str(lab.conf), "--checkpointed", str(folder / f"kept-{job}"))
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
            took_s = time.monotonic() - begin
            if lab.job(job)["NodeList"] == before:
                raise AssertionError("it runs where it ran")
    return took_s

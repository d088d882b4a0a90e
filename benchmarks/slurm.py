"""The Slurm adapter on a real slurmctld and eight slurmds: how long each thing takes, beside its limit."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.slurm_lab import Lab
from placement.slurm.budget import set_budget
from placement.slurm.commands import Slurm
from placement.slurm.moves import checkpoint_and_move
from placement.slurm.nodes import read_nodes
from placement.slurm.pool import SlurmPool
from placement.slurm.weights import WeightWriter
from plant.errors import ConfigError

LIMIT_S = {
    "sync_1000_nodes_s": 1.0,
    "repair_after_reconfigure_s": 1.0,
    "repair_after_restart_s": 1.0,
    "budget_cut_visible_s": 2.0,
    "start_after_restored_s": 10.0,
    "move_s": 15.0,
    "lent_and_back_s": 60.0,
}
NODES, PAPER = 8, 1000
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
    took, hits = asyncio.run(_all())
    figures: dict[str, float | str | list[dict[str, float | str]]] = {
        "jobs_on_the_hinted_node": hits,
        "rows": [
            {"what": n, "s": took[n], "limit_s": limit, "of_limit": took[n] / limit} for n, limit in LIMIT_S.items()
        ],
        **took,
    }
    if not quick:
        figures["move_with_default_cred_expire_s"] = asyncio.run(_moved(cred_expire_s=None))
    return figures


async def _all() -> tuple[dict[str, float], float]:
    licences = ["Licenses=power_kw:100"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab(Path(folder), real=NODES, more=PAPER, extra=licences) as lab,
    ):
        took = await _weights(lab)
        hits = await _hits(lab)
        took |= await _budget(lab)
        took["lent_and_back_s"] = await _lent(lab)
    return took | {"move_s": await _moved(cred_expire_s=5)}, hits


async def _timed(do: Callable[[], Awaitable[object]]) -> float:
    begin = time.monotonic()
    await do()
    return time.monotonic() - begin


async def _weights(lab: Lab) -> dict[str, float]:
    writer = WeightWriter(Slurm(conf=lab.conf))
    scores = {f"p{i}": i % 101 for i in range(1, PAPER + 1)}
    took = {"sync_1000_nodes_s": await _timed(lambda: writer.sync(scores))}
    lab.run("scontrol", "reconfigure")
    took["repair_after_reconfigure_s"] = await _timed(lambda: writer.sync(scores))
    lab.stop_controller()
    lab.start_controller()
    took["repair_after_restart_s"] = await _timed(lambda: writer.sync(scores))
    if (await writer.sync(scores)).changed:
        raise AssertionError("weights were not repaired")
    lab.until(lambda: lab.states().count("idle") == NODES, 30, "idle nodes")
    return took


async def _hits(lab: Lab) -> float:
    """Share of jobs that start where the hint says."""
    writer, hits = WeightWriter(Slurm(conf=lab.conf)), 0
    for wanted in lab.nodes:
        await writer.sync({n: 100 if n == wanted else 10 for n in lab.nodes})
        job = lab.submit("sleep 300")
        _started(lab, job)
        hits += lab.job(job)["NodeList"] == wanted
    lab.run("scancel", f"--user={lab.user}")
    lab.until(lambda: not lab.run("squeue", "-h"), 20, "an end of all jobs")
    return hits / len(lab.nodes)


def _started(lab: Lab, job: str) -> None:
    lab.until(lambda: lab.job(job)["JobState"] == "RUNNING", 30, "a start")


async def _budget(lab: Lab) -> dict[str, float]:
    slurm = Slurm(conf=lab.conf)
    took = {"budget_cut_visible_s": await _timed(lambda: set_budget(slurm, 20.0))}
    job = lab.submit("sleep 300", "-L", "power_kw:50")
    lab.until(lambda: lab.job(job)["Reason"] == "Licenses", 15, "a job that waits for its licence")
    begin = time.monotonic()
    await set_budget(slurm, None)
    _started(lab, job)
    took["start_after_restored_s"] = time.monotonic() - begin
    lab.run("scancel", job)
    return took


async def _lent(lab: Lab) -> float:
    """Drain, wait, resume, ready: what a loan takes on Slurm's side while no job runs there."""
    pool, node = SlurmPool("slurm", Slurm(conf=lab.conf)), lab.nodes[0]
    begin = time.monotonic()
    await pool.drain(node, "benchmark")
    await _until(lambda: pool.idle(node))
    await pool.release(node)
    await pool.admit(node)
    await _until(lambda: pool.usable(node))
    return time.monotonic() - begin


async def _until(what: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(600):
        if await what():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("not within a minute")


async def _moved(*, cred_expire_s: int | None) -> float:
    """From the signal until the job runs on another node [s]."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Lab(folder, real=3, cred_expire_s=cred_expire_s) as lab:
            job = lab.submit(STEPS.format(folder=folder))
            _started(lab, job)
            await asyncio.sleep(1.0)
            slurm, kept = Slurm(conf=lab.conf), folder / f"kept-{job}"
            node = next(n for n in await read_nodes(slurm) if n == lab.job(job)["NodeList"])
            moved = await checkpoint_and_move(slurm, job, avoid=[node], checkpointed=kept.exists)
    return moved.running_s

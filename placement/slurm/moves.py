"""Checkpoint-and-move: signal a job, keep its nodes from it, requeue it, and see it run elsewhere.

The batch script has to write its checkpoint on USR1 and to end on TERM; `AuthInfo=...,cred_expire=5` in slurm.conf, or
Slurm holds a requeued job back for two minutes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from placement.slurm.commands import Slurm
from placement.slurm.jobs import Job, expand, read_jobs
from placement.slurm.nodes import read_nodes
from plant.errors import RefusedError, SilentError

POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How a job came to other nodes. Spans [s] since the signal."""

    job: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    requeued_s: float
    running_s: float


async def checkpoint_and_move(
    slurm: Slurm,
    job: str,
    *,
    avoid: Sequence[str] | None,
    checkpointed: Callable[[], bool] | None = None,
    checkpoint_s: float = 5.0,
    deadline_s: float = 300.0,
) -> Moved:
    """Move one job off the nodes of avoid (None: its own), which it is told to exclude from now on.

    checkpointed: says when the checkpoint is there; without it checkpoint_s [s] are waited for.

    Raises:
        RefusedError: there is no such running job, it can't be requeued or run without these nodes, or Slurm refused.
        SilentError: it does not run again within deadline_s [s]; it stays queued.
    """
    begin, before = time.monotonic(), await _running(slurm, job)
    avoid = before.nodes if avoid is None else avoid
    await _allowed(slurm, job, avoid)
    await slurm.run("scancel", "--signal=USR1", "--batch", job)
    await _wait(checkpointed, checkpoint_s)
    await slurm.run("scontrol", "requeue", job)
    requeued_s = time.monotonic() - begin
    await slurm.run("scontrol", "update", f"jobid={job}", f"excnodelist={','.join(avoid)}")
    while time.monotonic() - begin < deadline_s:
        found = next((j for j in await read_jobs(slurm) if j.id == job), None)
        if found is not None and found.state == "RUNNING" and not set(found.nodes) & set(avoid):
            return Moved(
                job=job,
                before=before.nodes,
                after=found.nodes,
                requeued_s=requeued_s,
                running_s=time.monotonic() - begin,
            )
        await asyncio.sleep(POLL_S)
    raise SilentError(f"job {job} waits since it was requeued {deadline_s:.0f} s ago: no other node is free for it")


def newer(file: Path) -> Callable[[], bool]:
    """Says whether a file has appeared or changed since now."""
    before = file.stat().st_mtime_ns if file.exists() else None
    return lambda: file.exists() and file.stat().st_mtime_ns != before


async def _running(slurm: Slurm, job: str) -> Job:
    found = next((j for j in await read_jobs(slurm) if j.id == job), None)
    if found is None or found.state != "RUNNING":
        raise RefusedError(f"job {job} does not run ({'no such job' if found is None else found.state.lower()})")
    return found


async def _allowed(slurm: Slurm, job: str, avoid: Sequence[str]) -> None:
    """Before anything is lost: Slurm knows all these nodes, and the job does not ask for one of them by name."""
    here = await read_nodes(slurm)
    strange = [node for node in avoid if node not in here]
    if strange:
        raise RefusedError(f"Slurm knows no node {', '.join(map(repr, strange))}; name its own (sinfo -N) with --avoid")
    asked = (await slurm.run("squeue", "-h", "-j", job, "-o", "%n")).strip()
    wanted = set((await expand(slurm, [asked]))[asked] if asked else ()) & set(avoid)
    if wanted:
        raise RefusedError(f"job {job} asks for {min(wanted)} by name (sbatch -w); it would wait for ever elsewhere")


async def _wait(checkpointed: Callable[[], bool] | None, checkpoint_s: float) -> None:
    for _ in range(math.ceil(checkpoint_s / POLL_S)):
        if checkpointed is not None and checkpointed():
            return
        await asyncio.sleep(POLL_S)

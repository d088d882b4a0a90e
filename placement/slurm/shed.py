"""Slurm's jobs as a shed plan's requeues need them: signalled, requeued, kept from nodes, let in again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from placement.shed.stops import Run
from placement.slurm.commands import Slurm
from placement.slurm.jobs import read_jobs
from placement.slurm.nodes import read_nodes
from placement.slurm.stoppable import Stoppable
from plant.errors import RefusedError
from plant.sheds import JobStopped

_EXCLUDED = re.compile(r" ExcNodeList=(\S*)")
_DIED_OF_USR1 = re.compile(r" JobState=FAILED .* ExitCode=\d+:10 ")
"""A script without a trap for it ends by the signal that was to save it; Slurm requeues such a job all the same."""
_NONE = ("", "(null)")
_RUNS = "no longer pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJobs:
    """One cluster. ways: how its jobs say that they may be stopped; checkpoint_s: what USR1 may take [s]."""

    slurm: Slurm
    ways: Sequence[Stoppable] = ()
    checkpoint_s: float = 10.0

    async def runs(self) -> dict[str, Run]:
        """Every running job.

        Raises:
            SilentError: no answer.
            RefusedError: Slurm refused.
        """
        return {
            job.id: Run(nodes=job.nodes, start_s=job.start_s, interruptible=job.interruptible)
            for job in await read_jobs(self.slurm, self.ways)
            if job.state == "RUNNING"
        }

    async def nodes(self) -> frozenset[str]:
        """Every node of every partition.

        Raises:
            SilentError: no answer.
            RefusedError: Slurm refused.
        """
        return frozenset(await read_nodes(self.slurm))

    async def signal(self, job: str) -> str:
        """USR1 to its batch script; the nodes that it excludes by itself.

        Raises:
            SilentError: no answer.
            RefusedError: there is no such job.
        """
        excluded = await self._excluded(job)
        await self.slurm.run("scancel", "--signal=USR1", "--batch", job)
        return excluded

    async def requeue(self, stop: JobStopped, avoid: Sequence[str], *, still_runs: bool) -> None:
        """Requeue it and keep it from these nodes, and from those that it excludes by itself.

        Raises:
            SilentError: no answer.
            RefusedError: it is over, or can't be requeued.
        """
        if still_runs or _DIED_OF_USR1.search(await self._shown(stop.job)):
            await self.slurm.run("scontrol", "requeue", stop.job)
        here = await read_nodes(self.slurm)
        kept = [stop.before] if stop.before else []
        await self._exclude(stop.job, ",".join([*kept, *(node for node in avoid if node in here)]))

    async def release(self, stop: JobStopped) -> None:
        """Give back the exclusions that it had; one that runs elsewhere by now keeps them, Slurm changes none of those.

        Raises:
            SilentError: no answer.
            RefusedError: there is no such job any more.
        """
        try:
            await self._exclude(stop.job, stop.before)
        except RefusedError as error:
            if _RUNS not in str(error):
                raise

    async def _exclude(self, job: str, nodes: str) -> None:
        await self.slurm.run("scontrol", "update", f"jobid={job}", f"excnodelist={nodes}")

    async def _excluded(self, job: str) -> str:
        found = _EXCLUDED.search(await self._shown(job))
        return "" if found is None or found[1] in _NONE else found[1]

    async def _shown(self, job: str) -> str:
        return await self.slurm.run("scontrol", "-o", "show", "job", job)

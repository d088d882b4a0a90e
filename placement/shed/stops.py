"""Jobs requeued in a plan's order: signalled to save themselves, ended only if they may be, let in again afterwards.

Before anything is asked of a scheduler it is written down which run of the job is meant: a process that was killed in
between finds out whether that run has ended, and only then asks again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from placement.shed.book import ShedBook
from plant.errors import ColdplateError, RefusedError
from plant.sheds import Deed, JobStopped

LEAST_CHECKPOINT_S = 1.0
ENDING_S = 15.0
"""Kept of the ride-through for jobs to end and for the GPUs to cool down [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job that runs: where, since when [s since 1970, NaN unknown], and whether it may be stopped."""

    nodes: tuple[str, ...]
    start_s: float
    interruptible: bool


class Scheduler(Protocol):
    """One cluster. Each raises a ColdplateError where it can't."""

    @property
    def checkpoint_s(self) -> float:
        """What jobs may take to save themselves [s]."""

    async def runs(self) -> dict[str, Run]:
        """Every job that runs."""

    async def nodes(self) -> frozenset[str]:
        """Every node."""

    async def signal(self, job: str) -> str:
        """Tell a job to save itself; what is to be remembered of it until it is let in again."""

    async def requeue(self, stop: JobStopped, avoid: Sequence[str], *, still_runs: bool) -> None:
        """End that run, if it still does, and keep the job from these nodes."""

    async def release(self, stop: JobStopped) -> None:
        """Let it run where it likes again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What runs, by scheduler; silent: those that did not answer, with why."""

    runs: Mapping[str, Mapping[str, Run]]
    silent: Mapping[str, str] = field(default_factory=dict)

    def where(self, job: str) -> tuple[str, Run] | None:
        """The scheduler and the run of a job.

        Raises:
            RefusedError: two schedulers run a job of that id.
        """
        found = [(name, runs[job]) for name, runs in self.runs.items() if job in runs]
        if len(found) > 1:
            raise RefusedError(f"job {job} runs in {found[0][0]} and {found[1][0]}: which one is meant is not known")
        return found[0] if found else None

    @property
    def nodes(self) -> dict[str, tuple[str, ...]]:
        """Every running job's nodes."""
        return {job: run.nodes for runs in self.runs.values() for job, run in runs.items()}


async def known(schedulers: Mapping[str, Scheduler]) -> Known:
    """What runs everywhere."""
    answers = await asyncio.gather(*(_asked(scheduler) for scheduler in schedulers.values()))
    pairs = list(zip(schedulers, answers, strict=True))
    return Known(
        runs={name: found for name, found in pairs if not isinstance(found, str)},
        silent={name: found for name, found in pairs if isinstance(found, str)},
    )


async def _asked(scheduler: Scheduler) -> dict[str, Run] | str:
    try:
        return await scheduler.runs()
    except ColdplateError as error:
        return str(error)


@dataclass(slots=True)
class Stops:
    """book: what is ours; acts: False only says; wall_s: this host's clock [s since 1970]."""

    schedulers: Mapping[str, Scheduler]
    book: ShedBook
    acts: bool
    wall_s: Callable[[], float] = time.time

    async def requeue(
        self, jobs: Sequence[str], now: Known, avoid: Sequence[str], within_s: float | None
    ) -> list[Deed]:
        """Requeue jobs in their order; all are signalled first, so that they save themselves at the same time.

        within_s: the ride-through that is left [s]: a checkpoint may take no more of it than ending them leaves.

        Raises:
            StoreError: it can't be written down, so it is not done.
            ConflictError: another process goes on from the book, so it is not done.
        """
        meant, failed = self._meant([job for job in jobs if not self._done(job)], now)
        if not self.acts:
            return [*failed, *(self._deed(stop, "requeue", dry=True) for stop in meant)]
        fresh = [stop for stop in meant if stop.job not in self.book.stopped]
        signals = await asyncio.gather(*(self._signal(stop) for stop in fresh))
        for stop in signals:
            self.book.stopped[stop.job] = stop
        self.book.keep()
        await self.book.announce()
        if fresh:
            await asyncio.sleep(self._checkpoint_s(fresh, within_s))
        return failed + [await self._requeue(self.book.stopped[stop.job], now, avoid) for stop in meant]

    async def release(self, jobs: Sequence[str]) -> list[Deed]:
        """Let jobs in again.

        Raises:
            StoreError: it can't be written down.
        """
        stops = [self.book.stopped[job] for job in jobs if job in self.book.stopped]
        if not self.acts:
            return [self._deed(stop, "release", dry=True) for stop in stops]
        deeds = [await self._release(stop) for stop in stops]
        self.book.keep()
        return deeds

    def _done(self, job: str) -> bool:
        return job in self.book.stopped and self.book.stopped[job].sure

    def _meant(self, jobs: Sequence[str], now: Known) -> tuple[list[JobStopped], list[Deed]]:
        """Which run of each is to be ended; those that may not be, or do not run any more."""
        meant: list[JobStopped] = []
        failed: list[Deed] = []
        for job in jobs:
            try:
                meant.append(self.book.stopped.get(job) or self._run_of(job, now))
            except ColdplateError as error:
                failed.append(Deed(at_s=self.wall_s(), job=job, what="requeue", error=str(error)))
        return meant, failed

    def _run_of(self, job: str, now: Known) -> JobStopped:
        found = now.where(job)
        if found is None:
            away = f" ({'; '.join(now.silent.values())})" if now.silent else ""
            raise RefusedError(f"job {job} does not run any more{away}")
        source, run = found
        if not run.interruptible:
            raise RefusedError(f"job {job} may not be stopped, says {source}; its list at the API says otherwise")
        return JobStopped(job=job, source=source, started_s=run.start_s, at_s=self.wall_s())

    async def _signal(self, stop: JobStopped) -> JobStopped:
        """A job that can't be signalled is requeued all the same: it loses what it did since its last checkpoint."""
        try:
            return replace(stop, before=await self.schedulers[stop.source].signal(stop.job))
        except ColdplateError:
            return stop

    def _checkpoint_s(self, stops: Sequence[JobStopped], within_s: float | None) -> float:
        wanted_s = max(self.schedulers[stop.source].checkpoint_s for stop in stops)
        left_s = math.inf if within_s is None else max(within_s - ENDING_S, LEAST_CHECKPOINT_S)
        return min(wanted_s, left_s)

    async def _requeue(self, stop: JobStopped, now: Known, avoid: Sequence[str]) -> Deed:
        scheduler = self.schedulers.get(stop.source)
        if scheduler is None or stop.source in now.silent:
            return self._deed(stop, "requeue", now.silent.get(stop.source, f"no scheduler {stop.source} in the file"))
        run = now.runs[stop.source].get(stop.job)
        try:
            await scheduler.requeue(stop, avoid, still_runs=run is not None and run.start_s == stop.started_s)
        except ColdplateError as error:
            if isinstance(error, RefusedError):
                self.book.stopped.pop(stop.job, None)
                self.book.keep()
            return self._deed(stop, "requeue", str(error))
        self.book.stopped[stop.job] = replace(stop, sure=True)
        self.book.keep()
        return self._deed(stop, "requeue")

    async def _release(self, stop: JobStopped) -> Deed:
        scheduler = self.schedulers.get(stop.source)
        if scheduler is None:
            return self._deed(stop, "release", f"no scheduler {stop.source} in the file")
        error = ""
        try:
            await scheduler.release(stop)
        except RefusedError as refused:
            error = str(refused)  # it is over, or cancelled: nothing is left to be let in
        except ColdplateError as silent:
            return self._deed(stop, "release", str(silent))
        self.book.stopped.pop(stop.job, None)
        return self._deed(stop, "release", error)

    def _deed(self, stop: JobStopped, what: str, error: str = "", *, dry: bool = False) -> Deed:
        return Deed(at_s=self.wall_s(), job=stop.job, what=what, place=stop.source, error=error[:500], dry=dry)

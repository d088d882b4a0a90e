"""Carries out a shed plan: power limits on GPUs, requeues by the scheduler; what fails is told and tried again.

What holds the hands is behind two seams: a `Limiter` for each GPU (`devices.redfish_power.PowerLimit`), and whoever
requeues a job (`placement.slurm.moves`, or an eviction). Nothing is done in a dry run, which is the default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from plant.errors import ColdplateError


class Limiter(Protocol):
    """One GPU's power limit."""

    async def set(self, watts: float) -> object:
        """Hold it to so much [W]. Raises a ColdplateError where it is not taken."""

    async def lift(self) -> object:
        """Hold it no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A job's GPU: where, its limit, and what it draws now and idle [W]."""

    name: str
    limiter: Limiter
    draw_w: float
    idle_w: float

    def cap_w(self, share: float) -> float:
        """The limit that leaves this share of its dynamic power [W]."""
        return self.idle_w + share * (self.draw_w - self.idle_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing done, or not: watts of a limit, None of one lifted and of a requeue; error: why it was not."""

    job: str
    what: str
    place: str = ""
    watts: float | None = None
    error: str = ""


@dataclass(slots=True)
class Shedder:
    """gpus_of: a job's GPUs with their present power; held: share by job that holds now, from earlier deeds.

    A limit is reckoned from the power before the first cap: what a capped GPU draws says nothing of what it wants.
    """

    gpus_of: Callable[[str], Sequence[Gpu]]
    requeue: Callable[[str], Awaitable[None]]
    dry: bool = True
    held: dict[str, float] = field(default_factory=dict)
    _gpus: dict[str, tuple[Gpu, ...]] = field(default_factory=dict)

    async def act(self, wanted: Mapping[str, float]) -> list[Deed]:
        """Bring every job to its share of dynamic power, as `ramped` gives them: 0 requeues it, not named is all."""
        changed = {job: wanted.get(job, 1.0) for job in (*self.held, *wanted)}
        todo = [self._job(job, share) for job, share in changed.items() if share != self.held.get(job, 1.0)]
        return [deed for deeds in await asyncio.gather(*todo) for deed in deeds]

    async def _job(self, job: str, share: float) -> list[Deed]:
        if share == 0.0:
            deeds = [await self._do(Deed(job=job, what="requeue"), lambda: self.requeue(job))]
            if not deeds[0].error:  # whoever gets its GPUs next must not find its limits
                deeds += await asyncio.gather(*(self._limit(job, gpu, 1.0) for gpu in self._gpus.pop(job, ())))
        elif self.held.get(job) == 0.0:
            deeds = [Deed(job=job, what="released")]  # it starts again by itself: its nodes take work again
        else:
            gpus = self._gpus.setdefault(job, tuple(self.gpus_of(job)))
            deeds = list(await asyncio.gather(*(self._limit(job, gpu, share) for gpu in gpus)))
        if not self.dry and not any(deed.error for deed in deeds):
            self._hold(job, share)
        return deeds

    def _hold(self, job: str, share: float) -> None:
        if share < 1.0:
            self.held[job] = share
        else:
            self.held.pop(job, None)
            self._gpus.pop(job, None)

    async def _limit(self, job: str, gpu: Gpu, share: float) -> Deed:
        if share >= 1.0:
            return await self._do(Deed(job=job, what="lift", place=gpu.name), gpu.limiter.lift)
        watts = gpu.cap_w(share)
        return await self._do(Deed(job=job, what="cap", place=gpu.name, watts=watts), lambda: gpu.limiter.set(watts))

    async def _do(self, deed: Deed, do: Callable[[], Awaitable[object]]) -> Deed:
        if self.dry:
            return deed
        try:
            await do()
        except ColdplateError as error:
            return Deed(job=deed.job, what=deed.what, place=deed.place, watts=deed.watts, error=str(error))
        return deed

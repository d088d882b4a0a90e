"""The loop of an adapter: hears the API, acts at once when something changed and otherwise every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from cli.processes import stamped, stop_on_signals
from placement.scheduler_reports import Report, SchedulerState
from placement.sync_cycle import Cycle, Reporter
from placement.wishes import Ear, Wishes
from plant.errors import ColdplateError

LISTEN_S = 0.3
"""How often the API is asked whether something has changed [s]."""


@dataclass(slots=True)
class SyncLoop:
    """What Slurm and Kubernetes have in common. act: one cycle; more: what follows it."""

    ear: Ear
    reporter: Reporter
    act: Callable[[Wishes], Awaitable[Cycle]]
    more: Callable[[Wishes, Cycle], Coroutine[Any, Any, None]]
    report: Callable[[Report], SchedulerState] | None
    _said: tuple[str, ...] = ()

    async def work(self, *, once: bool) -> bool:
        """Until SIGTERM or SIGINT, or one cycle; whether the last one went well."""
        stop = asyncio.Event()
        stop_on_signals(stop)
        begun_s, seen, good = -self.reporter.period_s, None, True
        while not stop.is_set():
            wishes = await asyncio.to_thread(self.ear.hear)
            due = time.monotonic() - begun_s >= self.reporter.period_s
            if once or due or wishes.essence != seen:
                begun_s, seen = time.monotonic(), wishes.essence
                good = await self._cycle(wishes)
            if once:
                return good
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LISTEN_S)
        return good

    async def _cycle(self, wishes: Wishes) -> bool:
        cycle = await self.act(wishes)
        if wishes.problem:
            cycle.errors.append(wishes.problem)
        await cycle.part(self.more(wishes, cycle))
        await self._tell(cycle)
        lines = (*cycle.lines, *(f"error: {error}" for error in cycle.errors))
        for line in lines:
            if line not in self._said:
                stamped(line)
        self._said = lines
        return not cycle.errors

    async def _tell(self, cycle: Cycle) -> None:
        """The API, which knows where the site file says what a scheduler does not have."""
        report = self.reporter.report(cycle)
        if self.report is None:
            return
        with contextlib.suppress(ColdplateError):  # the API is away: told by its own silence
            state = await asyncio.to_thread(self.report, report)
            cycle.say("unknown to the scheduler, by the site file", [str(n) for n in state.lacked if n.where])

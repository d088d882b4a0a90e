"""Loans told to the API beside the work: an API that is away must not hold up a node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from placement.loan_reports import LoanReport
from plant.errors import ColdplateError

TELL_EVERY_S = 10.0


@dataclass(slots=True)
class LoanTeller:
    """send: blocks until the API has answered; say: gets what hinders it, or nothing."""

    send: Callable[[LoanReport], object]
    say: Callable[[list[str]], None]
    _last: LoanReport | None = None
    _begun_s: float = 0.0
    _task: asyncio.Task[None] | None = None

    def tell(self, report: LoanReport) -> None:
        """Begin to tell what is new, or the same again after a while; not while the last one is on its way."""
        due = time.monotonic() - self._begun_s >= TELL_EVERY_S
        if (self._task is None or self._task.done()) and (due or report != self._last):
            self._last, self._begun_s = report, time.monotonic()
            self._task = asyncio.create_task(self._send(report))

    async def end(self) -> None:
        """When what is on its way has come, or the API has let its time pass."""
        if self._task is not None:
            await self._task

    async def _send(self, report: LoanReport) -> None:
        try:
            await asyncio.to_thread(self.send, report)
        except ColdplateError as error:
            self.say([f"{error}; loans are not shown there meanwhile"])
        else:
            self.say([])

"""`coldplate pools run`: one process that drives every loan; the next one goes on from the book, however it ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cli.loan_teller import TELL_EVERY_S, LoanTeller
from cli.processes import stamped, stop_on_signals
from placement.api_client import Client
from placement.lending import demands, drive, note, open_pools
from placement.loan_book import LoanBook
from placement.loan_plan import Place, places
from placement.loan_reports import LoanReport, told
from placement.loans import Pool
from placement.pools_file import PoolsForm
from placement.wishes import Ear
from plant.errors import ColdplateError
from plant.loans import Loan

PLAN_EVERY_S = 30.0
"""Demand is read this often: a queue does not change its mind within seconds."""


class PoolRun:
    """One process.

    client: of coldplate's API, without which nothing is proposed;
    allowed: nodes are moved; every_s: a pass; tell: where loans go, if anywhere.
    """

    def __init__(
        self,
        form: PoolsForm,
        folder: Path,
        client: Client | None,
        *,
        allowed: bool,
        every_s: float,
        tell: Callable[[LoanReport], object] | None = None,
    ) -> None:
        self._form, self._book, self._allowed, self._every_s = form, LoanBook(folder), allowed, every_s
        self._ear = None if client is None else Ear(client)
        self._planned_s = -PLAN_EVERY_S
        self._told: dict[str, set[str]] = {}
        self._teller = None if tell is None else LoanTeller(tell, lambda lines: self._say_new("loans", lines))

    async def work(self, *, once: bool) -> None:
        """Until SIGTERM or SIGINT, or one pass.

        Raises:
            RefusedError: another such process works in this folder.
            ConfigError: a cluster's client or configuration is missing.
        """
        stop = asyncio.Event()
        stop_on_signals(stop)
        with self._book.held("runner"):
            async with open_pools(self._form) as pools:
                while not stop.is_set():
                    await self._pass(pools)
                    if once:
                        break
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), self._every_s)
            if self._teller is not None:
                await self._teller.end()

    async def _pass(self, pools: Mapping[str, Pool]) -> None:
        self._say_new("book", self._book.all()[1])
        if self._allowed:
            for before, after in await drive(self._book, pools, time.time()):
                stamped(_step(before, after))
        if time.monotonic() - self._planned_s >= PLAN_EVERY_S:
            await self._plan(pools)
        if self._teller is not None:
            period_s = max(self._every_s, TELL_EVERY_S)
            loans = told(self._book.all()[0])
            self._teller.tell(LoanReport(moves=self._allowed, period_s=period_s, loans=loans))

    async def _plan(self, pools: Mapping[str, Pool]) -> None:
        self._planned_s = time.monotonic()
        known, silent = await demands(pools)
        self._say_new("pools", [f"{name}: {problem}" for name, problem in silent.items()])
        for made in await note(self._book, self._form, known, await self._places(), time.time()):
            what = "call back" if made.loan else "lend"
            stamped(f"planned: {what} {made.node} {made.lender} -> {made.borrower}: {made.why}")

    async def _places(self) -> Mapping[str, Place]:
        if self._ear is None:
            return {}
        try:
            return await asyncio.to_thread(heard_places, self._ear)
        except ColdplateError as error:
            self._say_new("api", [f"{error}; nothing is proposed meanwhile"])
            return {}

    def _say_new(self, kind: str, lines: list[str]) -> None:
        """What was not so at the last pass."""
        for line in lines:
            if line not in self._told.get(kind, ()):
                stamped(line)
        self._told[kind] = set(lines)


def heard_places(ear: Ear) -> dict[str, Place]:
    """Where nodes stand and what their racks can take, by the API (blocking).

    Raises:
        SilentError: no answer.
        RefusedError: it said no.
    """
    return places(ear.hear(), ear.client.headroom())


def _step(before: Loan, after: Loan) -> str:
    took = f" after {after.took_s[before.state]:.1f} s {before.state}" if after.state != before.state else ""
    problem = f"; {after.problem}" if after.problem else ""
    return f"loan {after.id} {after.node} {after.lender} -> {after.borrower}: {after.state}{took}{problem}"

"""Another process's end of the bus: intents, job lists, budgets and outcomes in, records out (`store.bus`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from plant.budgets import Budget, BudgetEnd
from plant.errors import ConfigError, SilentError
from plant.intents import Answer, Intent
from plant.outcomes import HintOutcome
from plant.records import JobList
from store import codec
from store.bus_socket import LONGEST_LINE, drop, short

SILENCE_S = 8.0
"""A subscriber that hears nothing for so long [s, real] takes the server for dead."""


class BusClient:
    """Asks, tells and listens."""

    def __init__(self, path: Path, *, timeout_s: float = 12.0) -> None:
        self._path, self._timeout_s = path, timeout_s

    async def intent(self, intent: Intent) -> Answer:
        """Ask; waits for the answer [real seconds].

        Raises:
            SilentError: nobody answered in time.
        """
        return await self._answer({"intent": intent})

    async def jobs(self, told: JobList) -> Answer:
        """Tell the jobs of one source.

        Raises:
            SilentError: nobody answered in time.
        """
        return await self._answer({"jobs": told})

    async def budget(self, told: Budget | BudgetEnd) -> Answer:
        """Set a power budget, or end one.

        Raises:
            SilentError: nobody answered in time.
        """
        return await self._answer({"budget" if isinstance(told, Budget) else "budget_end": told})

    async def outcome(self, told: HintOutcome) -> Answer:
        """Tell what became of a hint.

        Raises:
            SilentError: nobody answered in time.
        """
        return await self._answer({"outcome": told})

    async def _answer(self, request: object) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(request)
        except TimeoutError:
            text = f"no answer within {self._timeout_s:g} s; it is not known whether it took effect"
        except (OSError, ConfigError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            text = f"no answer ({error})"
        raise SilentError(f"{self._path}: {text}; check that the edge process (coldplate run) is alive")

    async def subscribe(self) -> AsyncGenerator[tuple[str, Any], None]:
        """(kind, body) as they come, for ever; reconnects, and yields ("bus", {"connected": ..}) on each change."""
        connected: bool | None = None
        wait_s = 0.05
        while True:
            try:
                async with contextlib.aclosing(self._listen()) as lines:
                    async for kind, body in lines:
                        connected, wait_s = True, 0.05
                        yield kind, body
            except (OSError, ConfigError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass
            if connected is not False:
                connected = False
                yield "bus", {"connected": False}
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, 1.0)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with short(self._path) as name:
            return await asyncio.open_unix_connection(name, limit=LONGEST_LINE)

    async def _ask(self, request: object) -> Answer:
        reader, writer = await self._open()
        try:
            writer.write(codec.encode(request) + b"\n")
            reply = codec.decode(await reader.readuntil(b"\n"))
            return codec.from_plain(Answer, reply["answer"])
        finally:
            await drop(writer)

    async def _listen(self) -> AsyncGenerator[tuple[str, Any], None]:
        reader, writer = await self._open()
        try:
            writer.write(b'{"subscribe":true}\n')
            yield "bus", {"connected": True}
            while True:
                async with asyncio.timeout(SILENCE_S):
                    line = await reader.readuntil(b"\n")
                if line != b"\n":
                    message = codec.decode(line)
                    yield message["kind"], message["body"]
        finally:
            await drop(writer)

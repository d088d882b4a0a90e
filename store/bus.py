"""Records between the processes of one host, over a Unix socket: one JSON object a line.

To a subscriber: {"kind", "body"}. From a client: {"subscribe": true}, or {"intent": {..}}, {"jobs": {..}},
{"budget": {..}}, {"budget_end": {..}} or {"outcome": {..}}, which are answered by {"answer": {..}}.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from plant.budgets import Budget, BudgetEnd
from plant.errors import ColdplateError, ConfigError, RefusedError, SilentError
from plant.intents import Answer, Intent
from plant.outcomes import HintOutcome
from plant.records import JobList
from store import codec
from store.bus_socket import LONGEST_LINE, drop, short

LIVE_AT_ONCE = 20_000
"""Rows of the live table in one line."""
_QUEUE = 256
PING_S = 2.0
"""The server says something at least this often [s, real]."""

Handler = Callable[[Intent], Awaitable[Answer]]
JobsHandler = Callable[[JobList], Awaitable[Answer]]
BudgetHandler = Callable[[Budget | BudgetEnd], Awaitable[Answer]]
OutcomeHandler = Callable[[HintOutcome], Awaitable[Answer]]


async def _no_jobs(_: JobList) -> Answer:
    return Answer(accepted=False, text="this edge takes no job lists")


async def _no_budgets(_: Budget | BudgetEnd) -> Answer:
    return Answer(accepted=False, text="this edge takes no budgets")


async def _no_outcomes(_: HintOutcome) -> Answer:
    return Answer(accepted=False, text="this edge takes no outcomes")


def _line(kind: str, body: object) -> bytes:
    return codec.encode({"kind": kind, "body": body}) + b"\n"


def _live_lines(rows: list[Any]) -> list[bytes]:
    return [_line("live", rows[i : i + LIVE_AT_ONCE]) for i in range(0, len(rows), LIVE_AT_ONCE)]


class _Subscriber:
    """A bounded queue to one subscriber; one that can't keep up loses the queue and gets everything anew."""

    def __init__(self, everything: Callable[[], list[bytes]]) -> None:
        self._everything = everything
        self._lines: deque[bytes] = deque(everything())
        self._wake = asyncio.Event()
        self._behind = False

    def put(self, line: bytes) -> None:
        if len(self._lines) >= _QUEUE:
            self._lines.clear()
            self._behind = True
        if not self._behind:
            self._lines.append(line)
        self._wake.set()

    async def feed(self, writer: asyncio.StreamWriter) -> None:
        while True:
            if self._behind:
                self._behind = False
                self._lines.extend([_line("bus", {"connected": True, "resync": True}), *self._everything()])
            while self._lines and not self._behind:
                writer.write(self._lines.popleft())
                await writer.drain()
            if not self._behind:
                await self._pause(writer)

    async def _pause(self, writer: asyncio.StreamWriter) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(PING_S):
                await self._wake.wait()
        except TimeoutError:
            writer.write(b"\n")
            await writer.drain()


class BusServer:
    """The edge process's end: publishes records, answers intents, job lists and budgets."""

    def __init__(
        self,
        path: Path,
        on_intent: Handler,
        on_jobs: JobsHandler = _no_jobs,
        on_budget: BudgetHandler = _no_budgets,
        on_outcome: OutcomeHandler = _no_outcomes,
    ) -> None:
        self._path, self._on_intent, self._on_jobs, self._on_budget = path, on_intent, on_jobs, on_budget
        self._on_outcome = on_outcome
        self._latest: dict[str, bytes] = {}
        self._live: dict[str, list[Any]] = {}
        self._subscribers: set[_Subscriber] = set()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listen; the socket of a killed process is replaced.

        Raises:
            RefusedError: another process listens there.
            SilentError: the socket can't be made.
        """
        with short(self._path) as name:
            self._clear_stale(name)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(name)
                os.chmod(name, 0o600)  # noqa: PTH101 - a name of the kernel's
                listener.listen(64)
                listener.setblocking(False)
            except OSError as error:
                listener.close()
                raise SilentError(f"{self._path}: no socket can be made: {error.strerror}") from error
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=LONGEST_LINE)

    async def publish(self, kind: str, body: object) -> None:
        """Tell every subscriber, and every later one. `live` bodies are changes, kept as one whole table."""
        lines = [_line(kind, body)]
        if kind == "live":
            rows = codec.decode(lines[0])["body"]
            self._live.update((row[0], row) for row in rows)
            lines = _live_lines(rows) if len(rows) > LIVE_AT_ONCE else lines
        else:
            self._latest[kind] = lines[0]
        for subscriber in self._subscribers:
            for line in lines:
                subscriber.put(line)
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop listening, drop all connections and remove the socket, if it is still ours."""
        if self._server is not None:
            self._server.close()
        connections = dict(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for writer in connections.values():
            await drop(writer)
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _clear_stale(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise RefusedError(f"{self._path}: is not a socket; remove it, or use another --state")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(1.0)
                try:
                    probe.connect(name)
                except OSError:
                    self._path.unlink(missing_ok=True)
                else:
                    raise RefusedError(f"{self._path}: another process listens there; stop it first")

    def _everything(self) -> list[bytes]:
        return [*_live_lines(list(self._live.values())), *self._latest.values()]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(lambda done: self._connections.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, ValueError):  # gone, or a line too long
                await self._talk(reader, writer)
        finally:
            await drop(writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            try:
                request = codec.decode(line)
            except ConfigError:
                request = None
            if isinstance(request, dict) and request.get("subscribe"):
                await self._feed(reader, writer)
                return
            answer = await self._answer(request)
            writer.write(codec.encode({"answer": answer}) + b"\n")
            await writer.drain()

    async def _answer(self, request: Any) -> Answer:
        try:
            asked = self._asked(request)
        except (ConfigError, KeyError, TypeError) as error:
            return Answer(accepted=False, text=f"not an intent: {error}")
        try:
            return await asked
        except ColdplateError as error:
            return Answer(accepted=False, text=str(error))

    def _asked(self, request: Any) -> Awaitable[Answer]:
        if "jobs" in request:
            return self._on_jobs(codec.from_plain(JobList, request["jobs"]))
        if "outcome" in request:
            return self._on_outcome(codec.from_plain(HintOutcome, request["outcome"]))
        if "budget" in request:
            return self._on_budget(codec.from_plain(Budget, request["budget"]))
        if "budget_end" in request:
            return self._on_budget(codec.from_plain(BudgetEnd, request["budget_end"]))
        return self._on_intent(codec.from_plain(Intent, request["intent"]))

    async def _feed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subscriber = _Subscriber(self._everything)
        self._subscribers.add(subscriber)
        feeding = asyncio.create_task(subscriber.feed(writer))
        gone = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({feeding, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._subscribers.discard(subscriber)
            for task in (feeding, gone):
                task.cancel()
            await asyncio.gather(feeding, gone, return_exceptions=True)

"""Runs `step` in a child process with a deadline, so that a calculation that hangs stops nothing but itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from controller.billing import Billing, joined
from controller.forecasting.cycle import Columns
from controller.identification.known import Known, still_there
from controller.power_swings import Jump
from controller.reasons import condition
from controller.state import ControlState, StepResult, initial_state
from controller.step import seed_history, step
from plant.errors import ColdplateError
from plant.live import Snapshot
from plant.records import Condition, JobOutlook, Severity
from plant.topology import Site

log = logging.getLogger(__name__)

HANG_FILE = "COLDPLATE_TEST_HANG_FILE"
"""While the file named by this environment variable exists, the child sleeps (fault injection)."""
_START_S = 60.0
"""A new child gets this long for its imports [real s]."""
_GRACE_S = 2.0


class StepFailedError(ColdplateError):
    """The calculation itself raised; the message holds its words."""


class StepWorker:
    """Owns the child and, in the parent, the control state: a killed child loses one cycle and nothing else.

    deadline_s: [real s] for one step.
    """

    def __init__(self, site: Site, deadline_s: float = 10.0, state: ControlState | None = None) -> None:
        self._site, self.deadline_s = site, deadline_s
        self.state = state if state is not None else initial_state()
        self._context = multiprocessing.get_context("spawn")
        self._child: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._late_since_s: float | None = None
        self._lock = asyncio.Lock()
        self._in_pipe = threading.Lock()  # a cancelled `run` leaves its thread behind for a while
        self.kills = 0

    async def run(self, snapshot: Snapshot, outlook: tuple[JobOutlook, ...], now_s: float) -> StepResult | None:
        """One step, or None when it came too late or failed (then `conditions` says so). now_s [s since 1970]."""
        plain = Snapshot(at_s=snapshot.at_s, readings=dict(snapshot.readings))
        async with self._lock:
            try:
                result = await asyncio.to_thread(self._exchange, (self.state, plain, outlook, now_s))
            except (TimeoutError, OSError, EOFError, StepFailedError) as error:
                await asyncio.to_thread(self._stop)
                self._note_failure(error, now_s)
                return None
        self._late_since_s, self.state = None, result.state
        return result

    def conditions(self) -> list[Condition]:
        """`optimiser_late` while the last step did not come."""
        if self._late_since_s is None:
            return []
        return [
            condition("optimiser_late", "controller", self._late_since_s, Severity.CRITICAL, deadline_s=self.deadline_s)
        ]

    def seed_history(self, series: Mapping[str, Columns]) -> None:
        """Warm start the forecasts from stored heat: see `controller.step.seed_history`."""
        self.state = seed_history(self.state, series)

    def recall(self, known: Mapping[str, Known]) -> None:
        """Begin with what an earlier run identified, by loop, as far as the site has it still."""
        groups = self._site.groups
        there = {g: still_there(told, self._site, groups[g]) for g, told in known.items() if g in groups}
        self.state = replace(self.state, known=there)

    def recall_swings(self, jumps: Mapping[str, Jump]) -> None:
        """Begin with the swings of racks' power that an earlier run saw."""
        self.state = replace(self.state, jumps=dict(jumps))

    def recall_billing(self, billing: Billing) -> None:
        """Begin with a month's peak that an earlier run or the store has seen; the larger one counts."""
        self.state = replace(self.state, billing=joined(self.state.billing, billing))

    async def start(self) -> None:
        """Start the child now, so that the first step does not wait for its imports."""
        async with self._lock:
            await asyncio.to_thread(self._connected)

    async def close(self) -> None:
        """End the child."""
        async with self._lock:
            await asyncio.to_thread(self._stop)

    def _note_failure(self, error: Exception, now_s: float) -> None:
        self._late_since_s = now_s if self._late_since_s is None else self._late_since_s
        log.error("controller: no plan: %s; the calculation is started again", error or type(error).__name__)

    def _connected(self) -> Connection:
        if self._pipe is not None and self._child is not None and self._child.is_alive():
            return self._pipe
        self._stop()
        # many threads for tiny matrices only wait for one another; the child reads this when it starts
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        ours, theirs = self._context.Pipe()
        self._child = self._context.Process(target=_serve, args=(theirs, self._site), daemon=True)
        self._child.start()
        theirs.close()
        self._pipe = ours
        if not ours.poll(_START_S):
            raise TimeoutError(f"the calculation did not start within {_START_S:.0f} s")
        ours.recv()
        return ours

    def _exchange(self, request: tuple[ControlState, Snapshot, tuple[JobOutlook, ...], float]) -> StepResult:
        with self._in_pipe:
            pipe = self._connected()
            self._send(pipe, pickle.dumps(request))
            if not pipe.poll(self.deadline_s):
                self.kills += 1
                raise TimeoutError(f"no plan within {self.deadline_s:g} s")
            answer = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own child
        if isinstance(answer, StepResult):
            return answer
        raise StepFailedError(str(answer))

    def _send(self, pipe: Connection, request: bytes) -> None:
        """A child that takes nothing would hold this up for ever, as no pipe is so large: its end ends that, too."""
        assert self._child is not None
        late = threading.Timer(self.deadline_s, self._child.kill)
        late.start()
        try:
            pipe.send_bytes(request)
        finally:
            late.cancel()

    def _stop(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._child is not None and self._child.is_alive():
            self._child.kill()
            self._child.join(_GRACE_S)
        self._pipe = self._child = None


def _serve(pipe: Connection, site: Site) -> None:
    """The child: one request, one answer, until the parent's end of the pipe is gone.

    A terminal sends Ctrl-C to all of a group: the parent decides what it means here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            request = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own parent
            _hang_if_told()
            pipe.send_bytes(pickle.dumps(_answer(request, site)))


def _answer(request: tuple[ControlState, Snapshot, tuple[JobOutlook, ...], float], site: Site) -> StepResult | str:
    """The step's result, or what went wrong in words."""
    state, snapshot, outlook, now_s = request
    try:
        return step(state, snapshot, outlook, now_s, site)
    except Exception as error:  # noqa: BLE001 - the parent decides what a failure means
        return f"{type(error).__name__}: {error}"


def _hang_if_told() -> None:
    path = os.environ.get(HANG_FILE, "")
    while path and Path(path).exists():
        time.sleep(0.1)

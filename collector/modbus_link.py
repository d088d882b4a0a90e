"""One Modbus endpoint: polls every unit on it, fastest groups first, and backs off from units that do not answer."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from dataclasses import dataclass, field

from collector.conditions import Ledger
from collector.intake import Intake
from collector.wiring import Wire
from devices.modbus import ModbusEndpoint
from devices.readplan import UnitReader
from plant.clock import Clock
from plant.errors import RefusedError, SilentError
from plant.points import PointId
from plant.records import LinkState

SILENT_AFTER = 2
"""Missed answers in a row until a unit counts as silent: one lost packet alarms nobody."""
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0


@dataclass
class _Unit:
    """One Modbus unit and how it is doing. quiet_until: site clock's monotonic [s]."""

    wire: Wire
    reader: UnitReader
    missed: int = 0
    failures: int = 0
    quiet_until: float = 0.0
    known_unreadable: int = 0

    @property
    def silent(self) -> bool:
        return self.missed >= SILENT_AFTER

    def ids(self) -> list[PointId]:
        return [f"{self.wire.equipment}/{p.name}" for p in self.wire.profile.points if p.table]


@dataclass(order=True)
class _Due:
    at_s: float
    order: int
    unit: _Unit = field(compare=False)
    period_s: float = field(compare=False)


class ModbusLink:
    """The task of one link."""

    def __init__(
        self, link: str, endpoint: ModbusEndpoint, wires: list[Wire], intake: Intake, clock: Clock, ledger: Ledger
    ) -> None:
        self.link, self.endpoint = link, endpoint
        self._intake, self._clock, self._ledger = intake, clock, ledger
        self._units = [_Unit(wire, UnitReader(endpoint, wire.profile, wire.unit)) for wire in wires]
        self._late: deque[bool] = deque(maxlen=20)
        self._state, self._since_s, self._error = "silent", clock.now(), "not read yet"
        self._heard = False

    async def run(self) -> None:
        """Poll until cancelled."""
        start_s = self._clock.monotonic()
        groups = [(unit, period_s) for unit in self._units for period_s in unit.reader.periods]
        queue = [_Due(start_s, order, unit, period_s) for order, (unit, period_s) in enumerate(groups)]
        heapq.heapify(queue)
        while queue:
            due = queue[0]
            await self._wait_until(due.at_s)
            due.at_s = await self._poll(due)
            heapq.heapreplace(queue, due)
            self._update_state()

    def state(self) -> LinkState:
        """How the link is doing."""
        return LinkState(
            link=self.link,
            endpoint=self.endpoint.name,
            state=self._state,
            since_s=self._since_s,
            last_error=self._error,
            reads=sum(unit.reader.reads for unit in self._units),
            failures=sum(unit.failures for unit in self._units),
        )

    def excuses(self, equipment: str) -> bool:
        """Whether an equipment's points here are missing for a reason that a condition tells already."""
        return any(u.wire.equipment == equipment and (u.silent or not u.reader.reads) for u in self._units)

    async def _wait_until(self, at_s: float) -> None:
        wait_s = self._clock.real(at_s - self._clock.monotonic())
        await asyncio.sleep(max(wait_s, 0.0))

    async def _poll(self, due: _Due) -> float:
        """Read one group if it is its time; returns when to come back [site monotonic s]."""
        unit, now_s = due.unit, self._clock.monotonic()
        if now_s < max(unit.quiet_until, due.at_s):
            return max(unit.quiet_until, due.at_s)
        try:
            reading = await unit.reader.read(due.period_s)
        except SilentError as error:
            return self._unanswered(unit, str(error))
        except RefusedError as error:
            self._refused(unit, str(error))
            return self._clock.monotonic() + due.period_s
        self._answered(unit)
        self._intake.take_values([f"{unit.wire.equipment}/{p.name}" for p in reading.points], reading.values)
        return self._next(due)

    def _next(self, due: _Due) -> float:
        """The next turn on the grid; turns that were missed are not made up for."""
        planned_s, now_s = due.at_s + due.period_s, self._clock.monotonic()
        self._late.append(planned_s < now_s)
        return max(planned_s, now_s)

    def _answered(self, unit: _Unit) -> None:
        unit.missed, unit.quiet_until, self._heard, self._error = 0, 0.0, True, ""
        for code in ("device_silent", "device_refused"):
            self._ledger.clear(code, unit.wire.equipment)
        if len(unit.reader.unreadable) > unit.known_unreadable:
            unit.known_unreadable = len(unit.reader.unreadable)
            names = ", ".join(p.name for p in unit.reader.unreadable)
            params = self._params(unit) | {"points": names, "profile": unit.wire.profile.profile}
            self._ledger.raise_("profile_mismatch", unit.wire.equipment, self._clock.now(), params)

    def _unanswered(self, unit: _Unit, error: str) -> float:
        was_silent = unit.silent
        unit.missed += 1
        unit.failures += 1
        self._error = error
        if unit.silent:
            params = self._params(unit) | {"error": error}
            self._ledger.raise_("device_silent", unit.wire.equipment, self._clock.now(), params)
        if unit.silent and not was_silent:
            self._intake.take_silence(unit.ids())
        backoff_s = min(FIRST_BACKOFF_S * 2.0 ** max(unit.missed - SILENT_AFTER, 0), MAX_BACKOFF_S)
        # Waits for a wire are real; site time may run faster
        unit.quiet_until = self._clock.monotonic() + backoff_s / (self._clock.real(1.0) or 1.0)
        return unit.quiet_until

    def _refused(self, unit: _Unit, error: str) -> None:
        unit.failures += 1
        self._error = error
        params = self._params(unit) | {"error": error}
        self._ledger.raise_("device_refused", unit.wire.equipment, self._clock.now(), params)

    def _params(self, unit: _Unit) -> dict[str, str | float]:
        return {"equipment": unit.wire.equipment, "endpoint": self.endpoint.name, "unit": unit.wire.unit}

    def _update_state(self) -> None:
        if all(unit.silent for unit in self._units) or not self._heard:
            state = "silent"
        elif any(unit.reader.unreadable for unit in self._units):
            state = "mismatch"
            self._error = self._error or "the device lacks points of its profile"
        else:
            state = "slow" if sum(self._late) > len(self._late) // 2 else "up"
        if state != self._state:
            self._state, self._since_s = state, self._clock.now()

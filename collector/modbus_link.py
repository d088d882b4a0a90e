"""One Modbus endpoint: polls every unit on it, fastest groups first, and backs off from units that do not answer."""

from __future__ import annotations

import asyncio
import heapq
import math
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from collector.conditions import Ledger
from collector.wiring import Wire
from devices.modbus import BusyError, ModbusEndpoint
from devices.profiles import ProfilePoint
from devices.readplan import UnitReader
from plant.clock import Clock
from plant.errors import RefusedError, SilentError
from plant.points import PointId
from plant.records import LinkState

PHASES = 20
"""All is read once at the start, then each link at one of so many moments of the period: not thousands at the same
time, but enough together to wake up once for several."""
SILENT_AFTER = 2
"""Missed answers in a row until a unit counts as silent: one lost packet alarms nobody."""
PROBING_SHARE = 0.25
"""Of a link's time that asking its silent units may cost the others, at most."""
MAX_BACKOFF_S = 8.0


class Taker(Protocol):
    """Where readings go: `collector.intake.Intake`."""

    def take_values(self, points: Sequence[PointId], values: npt.NDArray[np.float64]) -> None:
        """Values [SI] read just now."""
        ...

    def take_silence(self, points: Sequence[PointId]) -> None:
        """Mark points whose device no longer answers."""
        ...


@dataclass
class _Unit:
    """One Modbus unit and how it is doing. quiet_until: site clock's monotonic [s]."""

    wire: Wire
    reader: UnitReader
    missed: int = 0
    failures: int = 0
    quiet_until: float = 0.0
    known_unreadable: int = 0
    named: dict[float, tuple[tuple[ProfilePoint, ...], tuple[PointId, ...]]] = field(default_factory=dict)

    @property
    def silent(self) -> bool:
        return self.missed >= SILENT_AFTER

    def ids_of(self, period_s: float, points: tuple[ProfilePoint, ...]) -> tuple[PointId, ...]:
        """Ids of what a group brought; made anew only when its plan has changed."""
        known = self.named.get(period_s)
        if known is None or known[0] is not points:
            known = self.named[period_s] = points, tuple(f"{self.wire.equipment}/{p.name}" for p in points)
        return known[1]

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
        self, link: str, endpoint: ModbusEndpoint, wires: list[Wire], intake: Taker, clock: Clock, ledger: Ledger
    ) -> None:
        self.link, self.endpoint = link, endpoint
        self._intake, self._clock, self._ledger = intake, clock, ledger
        self._units = [_Unit(wire, UnitReader(endpoint, wire.profile, wire.unit)) for wire in wires]
        self._late: deque[bool] = deque(maxlen=20)
        self._queue: list[_Due] = []
        self._state, self._since_s, self._error = "silent", clock.now(), "not read yet"
        self._heard = False

    async def run(self) -> None:
        """Poll until cancelled."""
        start_s = self._clock.monotonic()
        groups = [(unit, period_s) for unit in self._units for period_s in unit.reader.periods]
        early = 1 - zlib.crc32(self.link.encode()) % PHASES / PHASES
        queue = self._queue = [
            _Due(start_s - start_s % period_s - early * period_s, order, unit, period_s)
            for order, (unit, period_s) in enumerate(groups)
        ]
        while queue:  # only the group that is being served is not in it
            due = heapq.heappop(queue)
            await self._wait_until(due.at_s)
            due.at_s = await self._poll(due)
            heapq.heappush(queue, due)
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
            return self._unanswered(due, error, now_s)
        except RefusedError as error:
            self._refused(unit, str(error))
            return self._clock.monotonic() + due.period_s
        self._answered(unit)
        self._intake.take_values(unit.ids_of(due.period_s, reading.points), reading.values)
        return self._next(due)

    def _next(self, due: _Due) -> float:
        """The next turn on the grid; turns that were missed are not made up for.

        The grid stays: links that a hold-up made late together would ask in the same moment ever after.
        """
        planned_s, now_s = due.at_s + due.period_s, self._clock.monotonic()
        self._late.append(planned_s < now_s)
        missed = math.ceil(max(now_s - planned_s, 0.0) / due.period_s)
        return planned_s + missed * due.period_s

    def _answered(self, unit: _Unit) -> None:
        if unit.silent and all(u.silent for u in self._units):
            self._wake()
        unit.missed, unit.quiet_until, self._heard, self._error = 0, 0.0, True, ""
        for code in ("device_silent", "device_refused"):
            self._ledger.clear(code, unit.wire.equipment)
        if len(unit.reader.unreadable) > unit.known_unreadable:
            unit.known_unreadable = len(unit.reader.unreadable)
            names = ", ".join(p.name for p in unit.reader.unreadable)
            params = self._params(unit) | {"points": names, "profile": unit.wire.profile.profile}
            self._ledger.raise_("profile_mismatch", unit.wire.equipment, self._clock.now(), params)

    def _wake(self) -> None:
        """The link has healed: whoever is waiting out a silence gets a turn at once."""
        now_s = self._clock.monotonic()
        for unit in self._units:
            unit.quiet_until = 0.0
        for due in self._queue:
            due.at_s = min(due.at_s, now_s)
        heapq.heapify(self._queue)

    def _unanswered(self, due: _Due, why: SilentError, asked_s: float) -> float:
        unit, error = due.unit, str(why)
        was_silent = unit.silent
        unit.missed += 1
        unit.failures += 1
        self._error = error
        if unit.silent:
            params = self._params(unit) | {"error": error}
            self._ledger.raise_("device_silent", unit.wire.equipment, self._clock.now(), params)
        if unit.silent and not was_silent:
            self._intake.take_silence(unit.ids())
        unit.quiet_until = self._next_try(due, asked_s, free=isinstance(why, BusyError))
        return unit.quiet_until

    def _next_try(self, due: _Due, asked_s: float, *, free: bool) -> float:
        """When to ask a unit again [site monotonic s]: at its fastest pace, unless that costs the others their turns.

        With no neighbour that answers there is nobody to protect, and a refusal at once (`free`) costs nobody anything.
        """
        now_s = self._clock.monotonic()
        # Waits for a wire are real; site time may run faster
        most_s = MAX_BACKOFF_S / (self._clock.real(1.0) or 1.0)
        own_turn_s = min(max(due.at_s + min(due.unit.reader.periods), now_s), now_s + most_s)
        silent = sum(u.missed > 0 for u in self._units)
        if free or silent == len(self._units):
            return own_turn_s
        return max(own_turn_s, now_s + min(silent * (now_s - asked_s) / PROBING_SHARE, most_s))

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
            state = "slow" if self.endpoint.slow or sum(self._late) > len(self._late) // 2 else "up"
        if state != self._state:
            self._state, self._since_s = state, self._clock.now()

"""One Modbus endpoint: polls every unit on it, fastest groups first, and backs off from units that do not answer."""

from __future__ import annotations

import heapq
import math
import zlib
from dataclasses import dataclass, field
from operator import attrgetter

from collector.conditions import Ledger
from collector.link_health import MAX_BACKOFF_S, Health, LinkHealth, Taker, site_seconds, sleep
from collector.wiring import Wire
from devices.modbus import BusyError, ModbusEndpoint
from devices.profiles import ProfilePoint
from devices.readplan import UnitReader
from plant.clock import Clock
from plant.errors import RefusedError, SilentError
from plant.points import PointId
from plant.running import LinkState

PHASES = 20
"""All is read once at the start, then each link at one of so many moments of the period: not thousands at the same
time, but enough together to wake up once for several."""
PROBING_SHARE = 0.25
"""Of a link's time that asking its silent units may cost the others, at most."""


@dataclass
class _Unit:
    """One Modbus unit and how it is doing. quiet_until: site clock's monotonic [s]."""

    wire: Wire
    reader: UnitReader
    health: Health
    quiet_until: float = 0.0
    unreadable: tuple[ProfilePoint, ...] = ()
    named: dict[float, tuple[tuple[ProfilePoint, ...], tuple[PointId, ...]]] = field(default_factory=dict)

    def ids_of(self, period_s: float, points: tuple[ProfilePoint, ...]) -> tuple[PointId, ...]:
        """Ids of what a group brought; made anew only when its plan has changed."""
        known = self.named.get(period_s)
        if known is None or known[0] is not points:
            known = self.named[period_s] = points, tuple(f"{self.wire.equipment}/{p.name}" for p in points)
        return known[1]


def _ids(wire: Wire) -> list[PointId]:
    return [f"{wire.equipment}/{p.name}" for p in wire.profile.points if p.table]


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
        self._intake, self._clock = intake, clock
        self._health = LinkHealth(link, endpoint.name, clock, ledger, attrgetter("unit"))
        self._units = [
            _Unit(
                wire,
                UnitReader(endpoint, wire.profile, wire.unit, clock.monotonic),
                Health(self._health, [wire], _ids, intake),
            )
            for wire in wires
        ]
        self._queue: list[_Due] = []
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
            await sleep(self._clock, due.at_s - self._clock.monotonic())
            due.at_s = await self._poll(due)
            heapq.heappush(queue, due)
            self._update_state()

    def state(self) -> LinkState:
        """How the link is doing."""
        return self._health.state(sum(unit.reader.reads for unit in self._units))

    def excuses(self, equipment: str) -> bool:
        """Whether an equipment's points here are missing for a reason that a condition tells already."""
        return any(u.wire.equipment == equipment and (u.health.silent or not u.reader.reads) for u in self._units)

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
            self._speaks(unit)
            unit.health.refused_by(due.period_s, str(error))
            return self._clock.monotonic() + due.period_s
        if reading.points:
            self._answered(due)
            self._intake.take_values(unit.ids_of(due.period_s, reading.points), reading.values)
        else:  # there is nothing to ask for, so nobody has answered
            unit.health.left_out(due.period_s)
        if unit.reader.unreadable is not unit.unreadable:
            unit.unreadable = unit.reader.unreadable
            unit.health.lacks(", ".join(p.name for p in unit.unreadable))
        return self._next(due)

    def _next(self, due: _Due) -> float:
        """The next turn on the grid; turns that were missed are not made up for.

        The grid stays: links that a hold-up made late together would ask in the same moment ever after.
        """
        planned_s, now_s = due.at_s + due.period_s, self._clock.monotonic()
        self._health.served(late=planned_s < now_s)
        missed = math.ceil(max(now_s - planned_s, 0.0) / due.period_s)
        return planned_s + missed * due.period_s

    def _answered(self, due: _Due) -> None:
        self._speaks(due.unit)
        self._heard = True
        due.unit.health.answered(due.period_s)

    def _speaks(self, unit: _Unit) -> None:
        """A unit answers, be it that it refuses."""
        if unit.health.silent and all(u.health.silent for u in self._units):
            self._wake()
        unit.quiet_until = 0.0

    def _wake(self) -> None:
        """The link has healed: whoever is waiting out a silence gets a turn at once."""
        now_s = self._clock.monotonic()
        for unit in self._units:
            unit.quiet_until = 0.0
        for due in self._queue:
            due.at_s = min(due.at_s, now_s)
        heapq.heapify(self._queue)

    def _unanswered(self, due: _Due, why: SilentError, asked_s: float) -> float:
        due.unit.health.unanswered(str(why))
        due.unit.quiet_until = self._next_try(due, asked_s, free=isinstance(why, BusyError))
        return due.unit.quiet_until

    def _next_try(self, due: _Due, asked_s: float, *, free: bool) -> float:
        """When to ask a unit again [site monotonic s]: at its fastest pace, unless that costs the others their turns.

        With no neighbour that answers there is nobody to protect, and a refusal at once (`free`) costs nobody anything.
        """
        now_s = self._clock.monotonic()
        most_s = site_seconds(self._clock, MAX_BACKOFF_S)
        own_turn_s = min(max(due.at_s + min(due.unit.reader.periods), now_s), now_s + most_s)
        silent = sum(u.health.missed > 0 for u in self._units)
        if free or silent == len(self._units):
            return own_turn_s
        return max(own_turn_s, now_s + min(silent * (now_s - asked_s) / PROBING_SHARE, most_s))

    def _update_state(self) -> None:
        self._health.update(
            all_silent=not self._heard or all(unit.health.silent for unit in self._units), slow=self.endpoint.slow
        )

"""A mirror of what the edge last said, kept by listening to the bus."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from plant.budgets import Budget
from plant.clock import ScaledClock
from plant.errors import ColdplateError
from plant.intents import ModeState
from plant.outcomes import Outcomes
from plant.points import PointId
from plant.records import Condition, Forecast, Headroom, JobList, ModelParameter, Plan, RideThrough, ShedRequest
from plant.running import ActuatorState, LinkState, SwitchbackState
from store.bus_client import BusClient
from store.codec import from_plain

_TYPES: dict[str, Any] = {
    "forecast": Forecast,
    "plans": list[Plan],
    "modes": list[ModeState],
    "conditions": list[Condition],
    "headroom": list[Headroom],
    "ride_through": list[RideThrough],
    "model": list[ModelParameter],
    "shed": list[ShedRequest],
    "switchback": SwitchbackState,
    "links": list[LinkState],
    "jobs": list[JobList],
    "budgets": list[Budget],
    "outcomes": Outcomes,
    "actuator": ActuatorState,
    "counters": dict[str, float],
    "clock": str,
}
_LIVE = list[tuple[str, float | None, float, int]]
logger = logging.getLogger(__name__)


BUS_DELAY_REAL_S = 2.0


@dataclass(slots=True)
class Row:
    """One point as heard: value [SI], source time [s], code, and the real monotonic time [s] of hearing.

    `first` marks the table that came with the subscription: it may have been old when heard.
    """

    value: float | None
    time_s: float
    code: int
    heard_s: float
    first: bool


@dataclass(slots=True)
class Mirror:
    """The newest records of the edge. `versions` grows by kind with every message; it never waits for a reader."""

    clock: ScaledClock = field(default_factory=ScaledClock)
    rows: dict[PointId, Row] = field(default_factory=dict)
    forecast: Forecast | None = None
    plans: list[Plan] = field(default_factory=list)
    modes: list[ModeState] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    headroom: list[Headroom] = field(default_factory=list)
    ride_through: list[RideThrough] = field(default_factory=list)
    model: list[ModelParameter] = field(default_factory=list)
    shed: list[ShedRequest] = field(default_factory=list)
    switchback: SwitchbackState | None = None
    links: list[LinkState] = field(default_factory=list)
    jobs: list[JobList] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    outcomes: Outcomes = field(default_factory=Outcomes)
    actuator: ActuatorState | None = None
    counters: dict[str, float] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    malformed: int = 0
    store_ok: bool = False
    store_since_s: float = 0.0
    lost_since_s: float = 0.0
    edge_connected: bool = False
    table_due: bool = False
    real_s: Callable[[], float] = time.monotonic

    @property
    def now_s(self) -> float:
        """Site time [s since 1970]."""
        return self.clock.now()

    def take(self, kind: str, body: object) -> None:
        """Keep one message; a malformed one is counted and set aside."""
        if kind == "bus":
            self._connection(cast("dict[str, bool]", body))
        if kind not in _TYPES and kind != "live":
            return
        try:
            record = msgspec.convert(body, type=_LIVE) if kind == "live" else from_plain(_TYPES[kind], body)
        except (ColdplateError, msgspec.ValidationError, ValueError, TypeError) as error:
            self.malformed += 1
            logger.warning("bus: %s record set aside: %s", kind, error)
            return
        self._keep(kind, record)
        self.versions[kind] = self.versions.get(kind, 0) + 1

    def _keep(self, kind: str, record: object) -> None:
        if kind == "live":
            self._take_live(cast("list[tuple[str, float | None, float, int]]", record))
        elif kind == "clock":
            self.clock = ScaledClock.parse(cast("str", record))
        else:
            setattr(self, kind, record)

    def _take_live(self, rows: list[tuple[str, float | None, float, int]]) -> None:
        heard_s = self.real_s()
        first, self.table_due = self.table_due, False
        for point, value, time_s, code in rows:
            held = self.rows.get(point)
            if held is not None and held.time_s == time_s:
                held.value, held.code = value, code
            else:
                self.rows[point] = Row(value, time_s, code, heard_s, first=first or held is None)

    def age_s(self, row: Row) -> float:
        """How old a row is [s, site time]: since it was heard, or since its own time where it came with the table."""
        since_heard_s = (self.real_s() - row.heard_s) * self.clock.speed
        return max(since_heard_s, self.now_s - row.time_s) if row.first else since_heard_s

    def is_stale(self, row: Row, max_age_s: float) -> bool:
        """Whether a row is older than it may be [s, site time].

        The edge judges its own values; this sees when they stop coming, and so leaves the bus's own delay out.
        """
        return self.age_s(row) > max_age_s + BUS_DELAY_REAL_S * self.clock.speed

    def store_is(self, *, ok: bool) -> None:
        """Note whether history can be read."""
        if ok != self.store_ok or not self.store_since_s:
            self.store_since_s = self.now_s
        self.store_ok = ok

    def _connection(self, news: dict[str, bool]) -> None:
        connected = bool(news.get("connected"))
        if not connected and (self.edge_connected or not self.lost_since_s):
            self.lost_since_s = self.now_s
        self.edge_connected = self.table_due = connected

    async def follow(self, bus: BusClient) -> None:
        """Listen until cancelled; the bus reconnects by itself."""
        async with contextlib.aclosing(bus.subscribe()) as news:
            async for kind, body in news:
                self.take(kind, body)

"""What the rooms of the edge know, put on the bus for the process that serves people."""

from __future__ import annotations

import asyncio

from actuator.actuator import Actuator
from alarms.board import ConditionBoard
from cli.link_log import LinkLog
from collector.collector import Collector
from collector.forwarder import Forwarder
from plant.clock import ScaledClock
from plant.live import LiveTable
from plant.records import Condition, Message, Params, Severity
from store.bus import BusServer
from store.open import SiteStore

PUBLISH_REAL_S = 0.5


def history_incidents(incidents: tuple[str, ...], now_s: float) -> list[Condition]:
    """The last thing that befell the history file since the start, e.g. that it was found corrupt and set aside."""
    if not incidents:
        return []
    params: Params = {"what": incidents[-1]}
    return [
        Condition(
            code="history_incident",
            subject="store",
            severity=Severity.WARNING,
            since_s=now_s,
            cause=Message(code="history_incident.cause", text=incidents[-1], params=params),
            remedy=Message(
                code="history_incident.remedy",
                text="restore older history from a backup if it is needed; new samples are stored",
            ),
            source="store",
        )
    ]


class Publisher:
    """What the rooms know, put on the bus for the process that serves people."""

    def __init__(
        self,
        clock: ScaledClock,
        live: LiveTable,
        board: ConditionBoard,
        bus: BusServer,
        collector: Collector,
        forwarder: Forwarder,
        store: SiteStore,
        actuator: Actuator,
    ) -> None:
        self._clock, self._table, self._board, self._bus = clock, live, board, bus
        self._collector, self._forwarder, self._store, self._actuator = collector, forwarder, store, actuator
        self._sent: dict[str, tuple[float, int]] = {}
        self._link_log = LinkLog()

    async def run(self) -> None:
        """Publish the live table's changes and the slower records, twice a real second."""
        await self._bus.publish("clock", self._clock.spec())
        while True:
            await self._live()
            await self._records()
            await asyncio.sleep(PUBLISH_REAL_S)

    async def _live(self) -> None:
        rows = []
        for point, reading in self._table.snapshot().readings.items():
            code = int(reading.quality) | int(reading.reason) << 2
            if self._sent.get(point) != (reading.time_s, code):
                self._sent[point] = (reading.time_s, code)
                value = reading.value if reading.value == reading.value else None
                rows.append([point, value, reading.time_s, code])
        if rows:
            await self._bus.publish("live", rows)

    async def _records(self) -> None:
        board = self._board
        board.publish("collector", [*self._collector.conditions(), *self._forwarder.conditions()])
        board.publish("actuator", self._actuator.conditions())
        board.publish("store", history_incidents(self._store.incidents, self._clock.now()))
        await self._bus.publish("conditions", board.all())
        links = self._collector.links()
        self._link_log.note(links)
        await self._bus.publish("links", links)
        await self._bus.publish("actuator", self._actuator.state())
        counters = self._collector.counters() | self._forwarder.counters()
        await self._bus.publish("counters", counters | {"live_points": len(self._table)})

"""Edge and control in one process: the rooms of floor 2 wired together. No web request comes in here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from actuator.actuator import Actuator
from alarms.board import ConditionBoard
from cli.baselines import keep_baselines
from cli.budgets import BudgetDesk
from cli.commissioned import highest_modes
from cli.control import Control
from cli.endpoints import read_endpoints
from cli.hands import bms_integrations, hands
from cli.jobs import JobDesk
from cli.link_log import LinkLog
from cli.model_memory import keep_model, recall_model
from cli.outcomes import OutcomeDesk
from cli.switchback import Switchback, load_plan
from collector.collector import Collector
from collector.forwarder import Forwarder
from collector.spool import Spool
from collector.wiring import wires
from controller.worker import StepWorker
from devices.modbus import ModbusEndpoint
from devices.modbus_options import modbus_endpoint
from plant.clock import ScaledClock
from plant.errors import StoreError
from plant.live import LiveTable
from plant.records import Condition, Message, Params, Severity
from plant.topology import Site
from sites import load_site
from store.audit import AuditLog
from store.bus import BusServer
from store.commissioning import read_commissioning
from store.open import SiteStore, open_store, store_url
from store.state import StateDir

log = logging.getLogger("coldplate.edge")

PUBLISH_REAL_S = 0.5
MAINTAIN_S = 900.0
SPOOL_MAX_BYTES = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class EdgeOptions:
    """What a run needs to know.

    endpoints: a JSON file {link: [host, port]}; store: as `store.open.store_url`; jobs: a job list's file;
    switchback: a sealed plan's file.
    """

    site_path: Path
    state: Path
    clock: ScaledClock
    endpoints: Path | None = None
    store: str | None = None
    jobs: Path | None = None
    switchback: Path | None = None


def modbus_endpoints(site: Site, site_path: Path) -> dict[str, ModbusEndpoint]:
    """One for every Modbus link."""
    return {
        link.id: modbus_endpoint(
            *(link.host, link.port, link.options),
            profiles=[wire.profile for wire in wires(site, link.id)],
            where=f"{site_path}: link {link.id}",
        )
        for link in site.links.values()
        if link.transport == "modbus-tcp"
    }


class Edge:
    """One site's edge and control, over one state directory."""

    def __init__(self, options: EdgeOptions) -> None:
        self.options = options
        self.clock = options.clock
        self._store_url = store_url(options.store)
        self.site = load_site(options.site_path, read_endpoints(options.endpoints))
        self.state = StateDir(options.state)
        self.epoch = self.state.acquire()
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.board = ConditionBoard()
        self._endpoints = modbus_endpoints(self.site, options.site_path)
        self._plan = load_plan(options.switchback) if options.switchback is not None else None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then let go of every lease in an orderly way."""
        site, clock, state = self.site, self.clock, self.state
        store = open_store(self._store_url, state.path, site.retention, clock=clock)
        spool = Spool(state.path / "spool", SPOOL_MAX_BYTES, clock)
        collector = Collector(site, self._endpoints, self.live, spool, clock)
        forwarder = Forwarder(spool, store, clock)
        audit = AuditLog(state.path / "audit", "edge")
        commissioned = read_commissioning(state)
        if commissioned.fault:
            log.error("nothing is written to devices: %s", commissioned.fault)
        highest = highest_modes(site, commissioned)
        writable = frozenset(highest)
        integrations = bms_integrations(site, clock) if writable else {}
        devices = hands(site, self._endpoints, integrations, clock)
        actuator = Actuator(site, devices, self.live, clock, audit, self.epoch, writable)
        worker = StepWorker(self.site)
        recall_model(worker, state)
        desk = JobDesk(site, clock, state, audit, self.board, self.options.jobs)
        budgets = BudgetDesk(site, clock, state, audit, self.board, self.live)
        outcomes = OutcomeDesk(clock, state, audit)
        control = Control(
            site,
            clock,
            state,
            self.live,
            actuator,
            worker,
            audit,
            self.board,
            highest,
            self.epoch,
            desk.outlook,
            budgets.follow,
            None if self._plan is None else Switchback(self._plan, site, state, audit, clock, self.board),
        )
        bus = BusServer(state.path / "bus.sock", control.intent, desk.take, budgets.take, outcomes.take)
        control.publish_to(bus, store)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            stack.push_async_callback(worker.close)
            await bus.start()
            await outcomes.start(bus)
            stack.push_async_callback(bus.close)
            publish = Publisher(self, bus, collector, forwarder, store, actuator)
            jobs: list[Callable[[], Awaitable[None]]] = [
                collector.run,
                forwarder.run,
                actuator.run,
                *(bms.run for bms in integrations.values()),
                control.run,
                control.run_holds,
                publish.run,
                lambda: desk.run(bus),
                lambda: budgets.run(bus),
                lambda: maintain(store, clock),
                lambda: keep_baselines(collector.balances, state, clock),
                lambda: keep_model(worker, state, clock),
            ]
            tasks = [asyncio.create_task(forever(job)) for job in jobs]
            await stop.wait()
            await actuator.relinquish(None, "coldplate", "coldplate stops")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def forever(job: Callable[[], Awaitable[None]]) -> None:
    """Run a room's job; one that falls over is logged and started again, the others go on."""
    while True:
        try:
            await job()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a job fell over and is started again: %r", job)
        await asyncio.sleep(1.0)


async def maintain(store: SiteStore, clock: ScaledClock) -> None:
    """Pack, roll up and retire history now and then."""
    while True:
        await asyncio.sleep(max(1.0, clock.real(MAINTAIN_S)))
        with contextlib.suppress(StoreError):
            await store.maintain(clock.now())


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
        edge: Edge,
        bus: BusServer,
        collector: Collector,
        forwarder: Forwarder,
        store: SiteStore,
        actuator: Actuator,
    ) -> None:
        self._edge, self._bus = edge, bus
        self._collector, self._forwarder, self._store, self._actuator = collector, forwarder, store, actuator
        self._sent: dict[str, tuple[float, int]] = {}
        self._link_log = LinkLog()

    async def run(self) -> None:
        """Publish the live table's changes and the slower records, twice a real second."""
        await self._bus.publish("clock", self._edge.clock.spec())
        while True:
            await self._live()
            await self._records()
            await asyncio.sleep(PUBLISH_REAL_S)

    async def _live(self) -> None:
        rows = []
        for point, reading in self._edge.live.snapshot().readings.items():
            code = int(reading.quality) | int(reading.reason) << 2
            if self._sent.get(point) != (reading.time_s, code):
                self._sent[point] = (reading.time_s, code)
                value = reading.value if reading.value == reading.value else None
                rows.append([point, value, reading.time_s, code])
        if rows:
            await self._bus.publish("live", rows)

    async def _records(self) -> None:
        board = self._edge.board
        board.publish("collector", [*self._collector.conditions(), *self._forwarder.conditions()])
        board.publish("actuator", self._actuator.conditions())
        board.publish("store", history_incidents(self._store.incidents, self._edge.clock.now()))
        await self._bus.publish("conditions", board.all())
        links = self._collector.links()
        self._link_log.note(links)
        await self._bus.publish("links", links)
        await self._bus.publish("actuator", self._actuator.state())
        counters = self._collector.counters() | self._forwarder.counters()
        await self._bus.publish("counters", counters | {"live_points": len(self._edge.live)})

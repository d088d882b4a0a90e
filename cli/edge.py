"""Edge and control in one process: the rooms of floor 2 wired together. No web request comes in here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from actuator.actuator import Actuator
from alarms.board import ConditionBoard
from cli.baselines import keep_baselines, recalibrating
from cli.budgets import BudgetDesk
from cli.commissioned import highest_modes
from cli.control import Control
from cli.endpoints import read_endpoints
from cli.hands import bms_integrations, hands
from cli.jobs import JobDesk
from cli.model_memory import keep_model, recall_model
from cli.outcomes import OutcomeDesk
from cli.publisher import Publisher
from cli.switchback import Switchback, load_plan
from collector.collector import Collector
from collector.forwarder import Forwarder
from collector.spool import Spool
from collector.wiring import wires
from controller.worker import StepWorker
from devices.dsx_integration import BmsIntegration
from devices.modbus import ModbusEndpoint
from devices.modbus_options import modbus_endpoint
from plant.clock import ScaledClock
from plant.errors import StoreError
from plant.intents import Mode
from plant.live import LiveTable
from plant.topology import Site
from sites import load_site
from store.audit import AuditLog
from store.bus import BusServer
from store.commissioning import read_commissioning
from store.open import SiteStore, open_store, store_url
from store.state import StateDir

log = logging.getLogger("coldplate.edge")

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


@dataclass(frozen=True, kw_only=True)
class _Ways:
    """From devices to the store."""

    store: SiteStore
    collector: Collector
    forwarder: Forwarder


@dataclass(frozen=True, kw_only=True)
class _Driving:
    """What plans and what writes. highest: how far the mode of each device that may be driven goes."""

    audit: AuditLog
    highest: Mapping[str, Mode]
    integrations: Mapping[str, BmsIntegration]
    actuator: Actuator
    worker: StepWorker


@dataclass(frozen=True, kw_only=True)
class _Desks:
    """Where people, schedulers and the grid are heard."""

    jobs: JobDesk
    budgets: BudgetDesk
    outcomes: OutcomeDesk


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
        ways = self._ways()
        driving = self._driving()
        desks = self._desks(driving.audit)
        control = self._control(driving, desks)
        intents = recalibrating(ways.collector.balances, self.state, driving.audit, self.clock, control.intent)
        bus = BusServer(self.state.path / "bus.sock", intents, desks.jobs.take, desks.budgets.take, desks.outcomes.take)
        control.publish_to(bus, ways.store)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(ways.store.close)
            stack.push_async_callback(driving.worker.close)
            await bus.start()
            await desks.outcomes.start(bus)
            stack.push_async_callback(bus.close)
            rooms = (ways.collector, ways.forwarder, ways.store, driving.actuator)
            publish = Publisher(self.clock, self.live, self.board, bus, *rooms)
            jobs = [publish.run, *self._jobs(ways, driving, desks, control, bus)]
            tasks = [asyncio.create_task(forever(job)) for job in jobs]
            await stop.wait()
            await driving.actuator.relinquish(None, "coldplate", "coldplate stops")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ways(self) -> _Ways:
        """From devices to the store."""
        store = open_store(self._store_url, self.state.path, self.site.retention, clock=self.clock)
        spool = Spool(self.state.path / "spool", SPOOL_MAX_BYTES, self.clock)
        collector = Collector(self.site, self._endpoints, self.live, spool, self.clock)
        return _Ways(store=store, collector=collector, forwarder=Forwarder(spool, store, self.clock))

    def _driving(self) -> _Driving:
        """What may be written, the hands for it, and the worker that plans."""
        audit = AuditLog(self.state.path / "audit", "edge")
        commissioned = read_commissioning(self.state)
        if commissioned.fault:
            log.error("nothing is written to devices: %s", commissioned.fault)
        highest = highest_modes(self.site, commissioned)
        writable = frozenset(highest)
        integrations = bms_integrations(self.site, self.clock) if writable else {}
        devices = hands(self.site, self._endpoints, integrations, self.clock)
        actuator = Actuator(self.site, devices, self.live, self.clock, audit, self.epoch, writable)
        worker = StepWorker(self.site)
        recall_model(worker, self.state)
        return _Driving(audit=audit, highest=highest, integrations=integrations, actuator=actuator, worker=worker)

    def _desks(self, audit: AuditLog) -> _Desks:
        """Where people, schedulers and the grid are heard."""
        site, clock, state, board = self.site, self.clock, self.state, self.board
        return _Desks(
            jobs=JobDesk(site, clock, state, audit, board, self.options.jobs),
            budgets=BudgetDesk(site, clock, state, audit, board, self.live),
            outcomes=OutcomeDesk(clock, state, audit),
        )

    def _control(self, driving: _Driving, desks: _Desks) -> Control:
        site, clock, state, audit, board = self.site, self.clock, self.state, driving.audit, self.board
        return Control(
            site,
            clock,
            state,
            self.live,
            driving.actuator,
            driving.worker,
            audit,
            board,
            driving.highest,
            self.epoch,
            desks.jobs.outlook,
            desks.budgets.follow,
            None if self._plan is None else Switchback(self._plan, site, state, audit, clock, board),
        )

    def _jobs(
        self, ways: _Ways, driving: _Driving, desks: _Desks, control: Control, bus: BusServer
    ) -> list[Callable[[], Awaitable[None]]]:
        """All that goes on beside one another for ever."""
        return [
            ways.collector.run,
            ways.forwarder.run,
            driving.actuator.run,
            *(bms.run for bms in driving.integrations.values()),
            control.run,
            control.run_holds,
            lambda: desks.jobs.run(bus),
            lambda: desks.budgets.run(bus),
            lambda: maintain(ways.store, self.clock),
            lambda: keep_baselines(ways.collector.balances, self.state, self.clock),
            lambda: keep_model(driving.worker, self.state, self.clock),
        ]


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

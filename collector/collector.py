"""The collector: one task per link; a dead device stalls nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from collector import wiring
from collector.balance_watch import TICK_S, BalanceWatch
from collector.checks import Checked
from collector.conditions import Ledger
from collector.device_alarms import DeviceAlarms
from collector.intake import Intake
from collector.memory import settle
from collector.modbus_link import ModbusLink
from collector.mqtt_link import MqttLink
from collector.out_of_service import ServiceBook
from collector.spool import Spool
from collector.spool_writer import SpoolWriter
from devices.modbus import ModbusEndpoint
from plant.clock import Clock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.points import Point
from plant.records import Condition
from plant.running import LinkState
from plant.samples import SampleBatch
from plant.topology import Link, Site

RESTART_AFTER_S = 1.0
STEADY_S = 60.0
"""Real seconds that a link must run until its faults before are forgotten."""
LEAST_TICK_S = 0.05
"""Real seconds between looks at the balances, however fast the site's clock runs."""

_log = logging.getLogger(__name__)


class _LinkTask(Protocol):
    link: str

    async def run(self) -> None: ...

    def state(self) -> LinkState: ...

    def excuses(self, _equipment: str, /) -> bool: ...


class _CountingTask(_LinkTask, Protocol):
    """A link that counts and judges what it could not read or place."""

    def counters(self) -> dict[str, int]: ...

    def judge(self) -> None: ...


def _nobody(_batch: SampleBatch) -> None:
    return None


def _words(error: Exception) -> str:
    """What fell over, out of the groups that it came in."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


class Collector:
    """Reads the whole site into the live table and the spool.

    endpoints: link id -> the Modbus endpoint that the actuator shares; on_batch: told of every judged batch.
    """

    def __init__(
        self,
        site: Site,
        endpoints: Mapping[str, ModbusEndpoint],
        live: LiveTable,
        spool: Spool,
        clock: Clock,
        on_batch: Callable[[SampleBatch], None] = _nobody,
    ) -> None:
        self._site, self._live, self._spool, self._clock = site, live, spool, clock
        self._ledger = Ledger()
        self._writer = SpoolWriter(spool, clock, self._ledger)
        self._alarms, self._on_batch = DeviceAlarms(site, clock, self._ledger), on_batch
        self._service = ServiceBook(site, clock, self._ledger)
        self.balances = BalanceWatch(site, live, clock, self._ledger)
        rules, self._only_said = wiring.rules(site), wiring.only_said(site)
        self._intake = Intake(live, self._writer, rules, clock, self._ledger, self._judged, self._mark)
        self._started_s = clock.monotonic()
        self._modbus: list[ModbusLink] = []
        self._counting: list[_CountingTask] = []
        for link in site.links.values():
            self._add(link, endpoints)
        self._by_link: dict[str, _LinkTask] = {task.link: task for task in self._tasks()}
        self._ending = False

    async def run(self) -> None:
        """Collect until cancelled."""
        async with asyncio.TaskGroup() as around:
            writing = around.create_task(self._writer.run())
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._weigh())
                    tasks.create_task(settle())
                    for task in self._tasks():
                        tasks.create_task(self._keep_running(task), name=f"link {task.link}")
                    await self._end()
            finally:
                self._intake.flush()  # before the writer's last commit
                writing.cancel()

    async def _end(self) -> None:
        """Wait for the end, which comes here before it comes to the links."""
        try:
            await asyncio.Event().wait()
        finally:
            self._ending = True

    def links(self) -> list[LinkState]:
        """Every link's state, in the site file's order."""
        return [self._by_link[link].state() for link in self._site.links if link in self._by_link]

    def conditions(self) -> list[Condition]:
        """What is wrong now."""
        self._intake.judge(self._site.points, self._excused)
        for link in self._counting:
            link.judge()
        self._service.judge()
        return [c for c in self._ledger.all() if not self._service.excuses(c)]

    def counters(self) -> dict[str, float]:
        """Running totals since the start; times in seconds."""
        totals = {
            "samples": self._intake.samples,
            "bad_samples": self._intake.bad_samples,
            "live_points": len(self._live),
            "spooled_samples": self._spool.accepted_samples,
            **self._writer.counters(),
            "modbus_reads": sum(link.state().reads for link in self._modbus),
            "modbus_failures": sum(link.state().failures for link in self._modbus),
        }
        for link in self._counting:
            for name, count in link.counters().items():
                totals[name] = totals.get(name, 0) + count
        return totals

    def _add(self, link: Link, endpoints: Mapping[str, ModbusEndpoint]) -> None:
        wires = wiring.wires(self._site, link.id)
        if not wires and not link.options.get("discover"):
            return
        if link.transport == "mqtt":
            self._counting.append(MqttLink(self._site, link, wires, self._intake, self._clock, self._ledger))
            return
        if link.transport == "http":
            from collector.http_link import HttpLink  # noqa: PLC0415 - its library takes 0.3 s to import

            self._counting.append(HttpLink(self._site, link, wires, self._intake, self._clock, self._ledger))
            return
        if link.id not in endpoints:
            raise ConfigError(f"link {link.id} has no endpoint", remedy="give one for each modbus-tcp link")
        self._modbus.append(ModbusLink(link.id, endpoints[link.id], wires, self._intake, self._clock, self._ledger))

    def _mark(self, checked: Checked) -> Checked:
        return self._service.mark(self.balances.mark(checked))

    async def _weigh(self) -> None:
        while True:
            await asyncio.sleep(max(self._clock.real(TICK_S), LEAST_TICK_S))
            try:
                self.balances.tick()
            except Exception:  # noqa: BLE001 - collecting goes on without balances
                _log.exception("the balances could not be judged")

    def _judged(self, batch: SampleBatch) -> None:
        self._alarms.take(batch)
        self._on_batch(batch)

    def _tasks(self) -> list[_LinkTask]:
        return [*self._modbus, *self._counting]

    async def _keep_running(self, task: _LinkTask) -> None:
        """A fault in one link's code must not end the others; one that comes again is told."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began_s = loop.time()
            steady = loop.call_later(STEADY_S, self._ledger.clear, "link_failing", task.link)
            try:
                return await task.run()
            except Exception as error:  # noqa: BLE001 - logged with its trace, and this link starts again
                if self._ending:  # a link that falls while it is cancelled has swallowed the cancellation
                    return None
                _log.exception("link %s failed, starting it again", task.link)
                failures = failures + 1 if loop.time() - began_s < STEADY_S else 1
                if failures > 1:
                    params: dict[str, str | float] = {"link": task.link, "count": failures, "error": _words(error)}
                    self._ledger.raise_("link_failing", task.link, self._clock.now(), params)
            finally:
                steady.cancel()
            await asyncio.sleep(RESTART_AFTER_S)

    def _excused(self, point: Point) -> bool:
        """Points that are new, out of service, only written, or whose device or broker is known to be silent."""
        if self._service.covers(point.id) or point.id in self._only_said:
            return True
        if self._clock.monotonic() - self._started_s < point.max_age_s:
            return True
        task = self._by_link.get(point.link)
        return task is not None and task.excuses(point.equipment)

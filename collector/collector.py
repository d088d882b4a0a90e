"""The collector: one task per link; a dead device stalls nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from collector import wiring
from collector.conditions import Ledger
from collector.intake import Intake
from collector.modbus_link import ModbusLink
from collector.mqtt_link import MqttLink
from collector.spool import Spool
from collector.spool_writer import SpoolWriter
from devices.modbus import ModbusEndpoint
from plant.clock import Clock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.points import Point
from plant.records import Condition, LinkState
from plant.samples import SampleBatch
from plant.topology import Link, Site

RESTART_AFTER_S = 1.0

_log = logging.getLogger(__name__)


class _LinkTask(Protocol):
    link: str

    async def run(self) -> None: ...

    def state(self) -> LinkState: ...

    def excuses(self, _equipment: str, /) -> bool: ...


def _nobody(_batch: SampleBatch) -> None:
    return None


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
        self._intake = Intake(live, self._writer, wiring.rules(site), clock, self._ledger, on_batch)
        self._started_s = clock.monotonic()
        self._modbus: list[ModbusLink] = []
        self._mqtt: list[MqttLink] = []
        for link in site.links.values():
            self._add(link, endpoints)
        self._by_link: dict[str, _LinkTask] = {task.link: task for task in self._tasks()}

    async def run(self) -> None:
        """Collect until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writer.run())
            for task in self._tasks():
                tasks.create_task(self._keep_running(task), name=f"link {task.link}")

    def links(self) -> list[LinkState]:
        """Every link's state, in the site file's order."""
        return [self._by_link[link].state() for link in self._site.links if link in self._by_link]

    def conditions(self) -> list[Condition]:
        """What is wrong now."""
        self._intake.judge(self._site.points, self._excused)
        for link in self._mqtt:
            link.judge()
        return self._ledger.all()

    def counters(self) -> dict[str, int]:
        """Running totals since the start."""
        totals = {
            "samples": self._intake.samples,
            "bad_samples": self._intake.bad_samples,
            "live_points": len(self._live),
            "spooled_samples": self._spool.accepted_samples,
            "spool_lost_samples": self._writer.lost_samples,
            "modbus_reads": sum(link.state().reads for link in self._modbus),
            "modbus_failures": sum(link.state().failures for link in self._modbus),
        }
        for link in self._mqtt:
            for name, count in link.counters().items():
                totals[name] = totals.get(name, 0) + count
        return totals

    def _add(self, link: Link, endpoints: Mapping[str, ModbusEndpoint]) -> None:
        wires = wiring.wires(self._site, link.id)
        if not wires and not link.options.get("discover"):
            return
        if link.transport == "mqtt":
            self._mqtt.append(MqttLink(self._site, link, wires, self._intake, self._writer, self._clock, self._ledger))
            return
        if link.id not in endpoints:
            raise ConfigError(f"link {link.id} has no endpoint", remedy="give one for each modbus-tcp link")
        self._modbus.append(ModbusLink(link.id, endpoints[link.id], wires, self._intake, self._clock, self._ledger))

    def _tasks(self) -> list[_LinkTask]:
        return [*self._modbus, *self._mqtt]

    async def _keep_running(self, task: _LinkTask) -> None:
        """A fault in one link's code must not end the others."""
        while True:
            try:
                return await task.run()
            except Exception:  # noqa: BLE001 - logged with its trace, and this link starts again
                _log.exception("link %s failed, starting it again", task.link)
            await asyncio.sleep(RESTART_AFTER_S)

    def _excused(self, point: Point) -> bool:
        """Points that are new, or whose device or broker is known to be silent."""
        if self._clock.monotonic() - self._started_s < point.max_age_s:
            return True
        task = self._by_link.get(point.link)
        return task is not None and task.excuses(point.equipment)

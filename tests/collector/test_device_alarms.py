"""Alarm bits of a device become one condition with their names."""

from __future__ import annotations

from contextlib import asynccontextmanager

import numpy as np

from collector.collector import Collector
from collector.conditions import Ledger
from collector.device_alarms import DeviceAlarms
from collector.spool import Spool
from devices.modbus import ModbusEndpoint
from devices.profiles import load_profile
from plant.clock import ManualClock, ScaledClock
from plant.live import LiveTable
from plant.samples import Quality, Reason, SampleBatch, quality_code
from plant.topology import Equipment, Link, Source
from simulator.profile_device import ProfileDevice
from simulator.wire import ModbusServer

RPU = Equipment(id="rpu", kind="sidecar", sources=(Source(profile="aalc-rpu", link="a", unit=12),))


@asynccontextmanager
async def collecting(make_site, tmp_path, peers, speed=40.0):
    """A collector of one simulated RPU: (device, collector)."""
    device = ProfileDevice(load_profile("aalc-rpu"))
    server = ModbusServer({12: device}, lambda _: False)
    host, port = await server.start("127.0.0.1", 0)
    site = make_site([Link(id="a", transport="modbus-tcp", host=host, port=port)], [RPU])
    clock, endpoint = ScaledClock(speed), ModbusEndpoint(host, port, timeout_s=2.0)
    spool = Spool(tmp_path / "spool", 10_000_000, clock)
    collector = Collector(site, {"a": endpoint}, LiveTable(site.points.values(), clock), spool, clock)
    async with peers.running(collector.run()):
        yield device, collector
    await endpoint.close()
    await server.close()
    spool.close()


def alarm(collector):
    """The standing alarm's text, or nothing."""
    return next((c.cause.text for c in collector.conditions() if c.code == "device_alarm"), "")


async def test_set_bits_are_told_by_name_until_they_are_cleared(make_site, tmp_path, peers):
    """Two bits of two registers are named in one condition; one goes, then the condition does."""
    async with collecting(make_site, tmp_path, peers) as (device, collector):
        await peers.until(lambda: collector.counters()["samples"] > 200)
        assert alarm(collector) == ""
        device.set_alarm("leakage", 4)
        device.set_alarm("status_alarms", 7)
        await peers.until(lambda: "2 alarms" in alarm(collector))
        assert "rpu reports" in alarm(collector)
        assert "RPU_Internal_Leakage_Abnormal" in alarm(collector)
        assert "Coolant_Loop_Blocked" in alarm(collector)
        device.set_alarm("leakage")
        await peers.until(lambda: "1 alarms of its own: Coolant_Loop_Blocked" in alarm(collector))
        device.set_alarm("status_alarms")
        await peers.until(lambda: alarm(collector) == "")


def batch(value, code=0):
    """One reading of the leakage register, among points that have no alarms."""
    return SampleBatch.of([("rpu/tcs_flow", 0.0, 0.0, 1e-3, 0), ("rpu/leakage", 0.0, 0.0, value, code)])


def test_an_unreadable_register_leaves_its_alarms_standing(make_site):
    """Silence is no all-clear; out of service is; an unnamed bit is told by its number."""
    site = make_site([Link(id="a", transport="modbus-tcp", host="h", port=1)], [RPU])
    ledger = Ledger()
    alarms = DeviceAlarms(site, ManualClock(), ledger)
    alarms.take(batch(1 << 15))
    assert [c.cause.params["alarms"] for c in ledger.all()] == ["leakage bit 15"]
    alarms.take(batch(np.nan, quality_code(Quality.BAD, Reason.NO_COMM)))
    assert ledger.has("device_alarm", "rpu")
    alarms.take(batch(1 << 15, quality_code(Quality.BAD, Reason.OUT_OF_SERVICE)))
    assert ledger.all() == []


def test_a_reading_from_the_past_neither_sets_nor_clears_an_alarm(make_site):
    """A broker's backlog is history: what stands now is told by what is read now."""
    site = make_site([Link(id="a", transport="modbus-tcp", host="h", port=1)], [RPU])
    ledger, late = Ledger(), quality_code(Quality.GOOD, Reason.BACKFILL)
    alarms = DeviceAlarms(site, ManualClock(), ledger)
    alarms.take(batch(1 << 4, late))
    assert ledger.all() == []
    alarms.take(batch(1 << 4))
    for value in (0, 1 << 4):
        alarms.take(batch(value, late))
        assert ledger.has("device_alarm", "rpu")


def test_many_alarms_are_shortened(make_site):
    """More than eight names are counted, not listed."""
    site = make_site([Link(id="a", transport="modbus-tcp", host="h", port=1)], [RPU])
    ledger = Ledger()
    DeviceAlarms(site, ManualClock(), ledger).take(batch(0x3FFF))
    assert ledger.all()[0].cause.text.endswith(" and 6 more")

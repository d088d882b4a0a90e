"""What people took out of service: kept, marked, never used, not complained of, and back at its time."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from collector.collector import Collector
from collector.conditions import Ledger
from collector.judge import Judge
from collector.out_of_service import ServiceBook
from collector.rules import Rule
from collector.spool import Spool
from devices.modbus import ModbusEndpoint
from plant.clock import ManualClock, ScaledClock
from plant.errors import StaleError
from plant.live import LiveTable
from plant.samples import Quality, Reason, SampleBatch, split_code
from plant.topology import Equipment, Link, OutOfService, Source
from simulator.profile_device import ProfileDevice
from simulator.wire import ModbusServer
from store.rollups import Samples, of_samples

METERS = [
    Equipment(id=f"m{u}", kind="meter", sources=(Source(profile="generic-power-meter", link="a", unit=u),))
    for u in (1, 2)
]
END_S = 1000.0


@pytest.fixture
def book(make_site):
    """Make a book with entries of some subjects that end at END_S: (book, clock, ledger)."""

    def make(*subjects):
        site = make_site([Link(id="a", transport="modbus-tcp", host="h", port=1)], METERS)
        entries = tuple(OutOfService(subject=s, reason="being calibrated", until_s=END_S) for s in subjects)
        clock, ledger = ManualClock(epoch_s=0.0), Ledger()
        return ServiceBook(dataclasses.replace(site, out_of_service=entries), clock, ledger), clock, ledger

    return make


def judged(*rows):
    """Rows (point, value) through the checks: below -1 is out of range, NaN is no number."""
    batch = SampleBatch.of([(point, 0.0, 0.0, value, 0) for point, value in rows])
    rules = {point: Rule(minimum=-1.0) for point, _ in rows}
    return Judge(rules, rules).judge(batch)


def test_rows_keep_their_value_and_are_bad(book):
    """A point out of service is BAD with its reason, keeps what was read, and counts no more as bad; others are untouched."""
    service, *_ = book("m1/voltage", "m2")
    rows = judged(("m1/voltage", -5.0), ("m1/active_power", -5.0), ("m2/active_power", 7.0), ("m2/voltage", math.nan))
    marked = service.mark(rows)
    assert marked.bad.tolist() == [False, True, False, False]
    assert marked.batch.value.tolist()[::2] == [-5.0, 7.0]
    assert np.isnan(marked.batch.value[[1, 3]]).all()
    verdicts = [split_code(int(code)) for code in marked.batch.code]
    assert [quality for quality, _ in verdicts] == [Quality.BAD] * 4
    assert [bool(reason & Reason.OUT_OF_SERVICE) for _, reason in verdicts] == [True, False, True, True]


def test_at_its_end_a_point_counts_again_and_people_are_told(book):
    """Before the end one condition says until when and why, after it another says that it is over."""
    service, clock, ledger = book("m1/voltage")
    service.judge()
    assert [c.code for c in ledger.all()] == ["out_of_service"]
    text = ledger.all()[0].cause.text
    assert text == "m1/voltage is out of service until 1970-01-01 00:16+00:00: being calibrated"
    assert service.covers("m1/voltage")
    assert not service.covers("m1/current")
    clock.advance(END_S)
    service.judge()
    assert [c.code for c in ledger.all()] == ["out_of_service_expired"]
    assert not service.covers("m1/voltage")
    rows = judged(("m1/voltage", 400.0))
    assert service.mark(rows) is rows


def test_nothing_out_of_service_costs_nothing(book):
    """Without entries the judged batch is passed on as it is."""
    rows = judged(("m1/voltage", 400.0))
    assert book()[0].mark(rows) is rows


def test_rollups_leave_out_what_is_out_of_service():
    """The sample keeps its value; no mean of a minute contains it."""
    code = np.array([0, int(Quality.BAD) | int(Reason.OUT_OF_SERVICE) << 2])
    rollup = of_samples(Samples(np.array([0, 1000]), np.array([5.0, 99.0]), code))
    assert rollup.n.tolist() == [1, 0]
    assert np.isnan(rollup.mean[1])
    assert rollup.good_ms[1] == 0


async def test_a_device_in_the_workshop_troubles_nobody(make_site, tmp_path, peers):
    """An equipment out of service may be silent: no alarm but its own notice, while its neighbour's silence is told."""
    from devices.profiles import load_profile

    devices = {u: ProfileDevice(load_profile("generic-power-meter"), f"m{u}") for u in (1, 2)}
    silent = set()
    server = ModbusServer(devices, silent.__contains__)
    host, port = await server.start("127.0.0.1", 0)
    clock = ScaledClock(40.0)
    site = make_site([Link(id="a", transport="modbus-tcp", host=host, port=port)], METERS)
    entry = OutOfService(subject="m1", reason="in the workshop", until_s=clock.now() + 1e6)
    site = dataclasses.replace(site, out_of_service=(entry,))
    live, endpoint = LiveTable(site.points.values(), clock), ModbusEndpoint(host, port, timeout_s=0.2)
    spool = Spool(tmp_path / "spool", 10_000_000, clock)
    collector = Collector(site, {"a": endpoint}, live, spool, clock)

    def codes():
        return {(c.code, c.subject) for c in collector.conditions()}

    async with peers.running(collector.run()):
        await peers.until(lambda: len(live) == 12)
        held = live.snapshot().readings["m1/active_power"]
        assert held.value == pytest.approx(devices[1].values["active_power"])
        assert (held.quality, held.reason) == (Quality.BAD, Reason.OUT_OF_SERVICE)
        with pytest.raises(StaleError, match="OUT_OF_SERVICE"):
            live.snapshot().value("m1/active_power")
        assert live.snapshot().value("m2/active_power") > 0
        assert codes() == {("out_of_service", "m1")}
        assert collector.counters()["bad_samples"] == 0
        silent |= {"m1", "m2"}
        await peers.until(lambda: ("device_silent", "m2") in codes())
        await peers.until(lambda: collector.links()[0].state == "silent")
        assert codes() == {("out_of_service", "m1"), ("device_silent", "m2")}
    await endpoint.close()
    await server.close()
    spool.close()

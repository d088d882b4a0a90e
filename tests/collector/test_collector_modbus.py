"""The collector on Modbus links: real sockets, real faults."""

from __future__ import annotations

import asyncio
import math
import struct
import time

import pytest

from collector.collector import Collector
from collector.spool import Spool
from devices.modbus import ModbusEndpoint
from plant.clock import ScaledClock
from plant.errors import ConfigError, StaleError
from plant.live import LiveTable
from plant.samples import Quality, Reason
from plant.topology import Equipment, Link, Source

SPEED = 20.0


def f32(value):
    """The two words of a float."""
    return list(struct.unpack(">HH", struct.pack(">f", value)))


def meter_words(power_w=1000.0):
    """The input registers of a generic power meter."""
    words = [*f32(power_w), 0, 0, 0, 3600, *f32(power_w), *f32(50.0), *f32(400.0), 0, 7]
    return {"input": dict(enumerate(words))}


def meters(link, units):
    """Meters behind one link."""
    return [
        Equipment(id=f"{link}-m{u}", kind="meter", sources=(Source(profile="generic-power-meter", link=link, unit=u),))
        for u in units
    ]


class Rig:
    """A collector over given Modbus peers."""

    def __init__(self, make_site, tmp_path, peers_by_link, equipment, speed=SPEED):
        links = [Link(id=i, transport="modbus-tcp", host="127.0.0.1", port=p.port) for i, p in peers_by_link.items()]
        self.site = make_site(links, equipment)
        self.clock = ScaledClock(speed)
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.spool = Spool(tmp_path / "spool", 10_000_000, self.clock)
        self.endpoints = {i: ModbusEndpoint("127.0.0.1", p.port, timeout_s=0.3) for i, p in peers_by_link.items()}
        self.collector = Collector(self.site, self.endpoints, self.live, self.spool, self.clock)

    def reading(self, point):
        """A point as it is live."""
        return self.live.snapshot().readings.get(point)

    def codes(self):
        """Standing conditions by code and subject."""
        return {(c.code, c.subject): c for c in self.collector.conditions()}

    def state(self, link):
        """A link's state."""
        return next(s for s in self.collector.links() if s.link == link)

    async def close(self):
        """Let go of sockets and files."""
        for endpoint in self.endpoints.values():
            await endpoint.close()
        self.spool.close()


async def test_values_are_live_and_spooled(peers, make_site, tmp_path):
    """Registers become SI values in the live table, and the same samples are in the spool."""
    async with peers.serving(peers.Peer({1: meter_words(1234.5)})) as peer:
        rig = Rig(make_site, tmp_path, {"a": peer}, meters("a", [1]))
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: len(rig.live) == 6)
            assert rig.live.snapshot().value("a-m1/active_power") == 1234.5
            assert rig.live.snapshot().value("a-m1/energy_import") == 3600 * 3600.0
            assert rig.state("a").state == "up"
            assert rig.codes() == {}
        spooled = rig.spool.read().batch
        assert "a-m1/active_power" in spooled.points
        assert rig.collector.counters()["samples"] == rig.spool.accepted_samples
        await rig.close()


async def test_polling_keeps_the_site_clocks_pace(peers, make_site, tmp_path):
    """A 5 s group on a clock 20 times as fast is read about four times a second, and no block is read twice."""
    async with peers.serving(peers.Peer({1: meter_words()})) as peer:
        rig = Rig(make_site, tmp_path, {"a": peer}, meters("a", [1]))
        begin_s = time.monotonic()
        async with peers.running(rig.collector.run()):
            await asyncio.sleep(2.0)
        most = 4 * (time.monotonic() - begin_s) + 1  # a busy computer sleeps longer
        fast = [r for r in peer.requests if r[2] == 0]
        assert 7 <= len(fast) <= most
        await rig.close()


async def test_a_dead_device_is_told_and_stalls_no_other_link(peers, make_site, tmp_path):
    """A device that stops answering is named with its remedy, marked once, and others keep their pace; it comes back by itself."""
    alive = peers.Peer({1: meter_words()})
    dying = peers.Peer({1: meter_words()})
    async with peers.serving(alive), peers.serving(dying):
        rig = Rig(make_site, tmp_path, {"a": alive, "b": dying}, [*meters("a", [1]), *meters("b", [1])])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: len(rig.live) == 12)
            dying.silent.add(1)
            await peers.until(lambda: ("device_silent", "b-m1") in rig.codes())
            condition = rig.codes()["device_silent", "b-m1"]
            assert f"127.0.0.1:{dying.port} unit 1" in condition.cause.text
            assert "check its power" in condition.remedy.text
            assert rig.reading("b-m1/active_power").reason & Reason.NO_COMM
            with pytest.raises(StaleError, match="NO_COMM"):
                rig.live.snapshot().value("b-m1/active_power")
            assert rig.state("b").state == "silent"
            before = len(alive.requests)
            await asyncio.sleep(2.0)
            assert len(alive.requests) - before >= 8
            assert set(rig.codes()) == {("device_silent", "b-m1")}
            dying.silent.clear()
            await peers.until(lambda: rig.codes() == {}, 10)
            assert rig.reading("b-m1/active_power").good
            # "slow" first, where this computer was too busy to poll in time
            await peers.until(lambda: rig.state("b").state == "up", 10)
        marks = 0
        while (spooled := rig.spool.read()) is not None:
            reasons = spooled.batch.code >> 2 & int(Reason.NO_COMM)
            marks += sum(
                p == "b-m1/active_power" and bool(r) for p, r in zip(spooled.batch.points, reasons, strict=True)
            )
            rig.spool.commit(spooled.end)
        assert marks == 1
        await rig.close()


async def test_a_silent_unit_behind_a_gateway_leaves_the_others_their_turns(peers, make_site, tmp_path):
    """One dead unit of eight costs its neighbours no more than its time-outs, which become rarer."""
    gateway = peers.Peer({u: meter_words() for u in range(1, 9)}, silent={4})
    async with peers.serving(gateway):
        rig = Rig(make_site, tmp_path, {"g": gateway}, meters("g", range(1, 9)), speed=5.0)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: len(rig.live) == 48)
            await asyncio.sleep(3.0)
            good = {p for p, r in rig.live.snapshot().readings.items() if r.good}
            assert len(good) == 42
            assert set(rig.codes()) == {("device_silent", "g-m4")}
            assert rig.state("g").state in {"up", "slow"}
        assert sum(r[0] == 4 for r in gateway.requests) <= 6
        await rig.close()


async def test_nobody_listening_is_told(peers, make_site, tmp_path):
    """A closed port is a condition with host and port, not a crash."""
    peer = peers.Peer({})
    peer.port = peers.free_port()
    rig = Rig(make_site, tmp_path, {"a": peer}, meters("a", [1]))
    async with peers.running(rig.collector.run()):
        await peers.until(lambda: ("device_silent", "a-m1") in rig.codes())
        assert f"127.0.0.1:{peer.port}" in rig.codes()["device_silent", "a-m1"].cause.text
        assert rig.state("a").state == "silent"
        assert rig.state("a").last_error
    await rig.close()


async def test_a_refused_register_is_a_mismatch_and_the_rest_flows(peers, make_site, tmp_path):
    """Exception 2 in a gap names the missing point; every other point is good."""
    words = meter_words()
    for address in (8, 9):
        del words["input"][address]
    async with peers.serving(peers.Peer({1: words})) as peer:
        rig = Rig(make_site, tmp_path, {"a": peer}, meters("a", [1]))
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: len(rig.live) == 5)
            await peers.until(lambda: rig.state("a").state == "mismatch")
            assert "frequency" in rig.codes()["profile_mismatch", "a-m1"].cause.text
            assert rig.state("a").last_error
        await rig.close()


async def test_not_a_number_and_all_ones_are_bad_values(peers, make_site, tmp_path):
    """NaN and 0xFFFF registers never look like measurements, one condition says which; it goes when they heal."""
    words = meter_words()
    words["input"].update({0: 0x7FC0, 1: 0, 2: 0xFFFF, 3: 0xFFFF, 4: 0xFFFF, 5: 0xFFFF, 8: 0x447A, 9: 0})
    async with peers.serving(peers.Peer({1: words})) as peer:
        rig = Rig(make_site, tmp_path, {"a": peer}, meters("a", [1]))
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: len(rig.live) == 6)
            for point, reason in (
                ("active_power", Reason.NOT_A_NUMBER),
                ("energy_import", Reason.NOT_A_NUMBER),
                ("frequency", Reason.RANGE),
            ):
                reading = rig.reading(f"a-m1/{point}")
                assert (reading.quality, reading.reason) == (Quality.BAD, reason)
                assert math.isnan(reading.value)
            assert "3 points of a-m1" in rig.codes()["bad_values", "a-m1"].cause.text
            assert "a-m1/frequency = 1000" in rig.codes()["bad_values", "a-m1"].cause.text
            words["input"].update(meter_words()["input"])
            await peers.until(lambda: rig.codes() == {})
        await rig.close()


async def test_points_that_stop_coming_are_stale(peers, make_site, tmp_path):
    """When polling hangs, the ages run and a condition per equipment says so."""
    async with peers.serving(peers.Peer({1: meter_words()})) as peer:
        rig = Rig(make_site, tmp_path, {"a": peer}, meters("a", [1]), speed=100.0)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: len(rig.live) == 6)
        await asyncio.sleep(0.5)
        assert "of 6 points of a-m1" in rig.codes()["stale_points", "a-m1"].cause.text
        await rig.close()


def test_a_link_without_endpoint_is_a_config_error(make_site, tmp_path):
    """A missing endpoint is named at the start."""
    clock = ScaledClock()
    site = make_site([Link(id="a", transport="modbus-tcp", host="h", port=1)], meters("a", [1]))
    with pytest.raises(ConfigError, match="link a has no endpoint"):
        Collector(site, {}, LiveTable([], clock), Spool(tmp_path, 1000, clock), clock)

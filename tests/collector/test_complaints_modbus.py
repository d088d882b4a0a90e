"""What users of other collectors complain about on Modbus, one test each (threads are named in the docstrings)."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from benchmarks.modbus_faults import OwnClient, hammer
from collector.conditions import Ledger
from collector.modbus_link import ModbusLink
from collector.wiring import Wire
from devices.links import ModbusDevice
from devices.modbus_options import modbus_endpoint
from devices.profiles import Fallback, Profile, ProfilePoint
from plant.clock import ScaledClock

PERIOD_S = 0.2


class Watch:
    """Takes readings as the intake does."""

    def __init__(self):
        self.values, self.silences = [], []

    def take_values(self, points, values):
        """Values read just now."""
        self.values.append(dict(zip(points, values.tolist(), strict=True)))

    def take_silence(self, points):
        """Points whose device is silent."""
        self.silences.append(list(points))


def profile(count=2, period_s=PERIOD_S, **fields):
    """A meter with `count` registers from 0 on."""
    points = tuple(
        ProfilePoint(
            name=f"r{a}", quantity="count", unit="1", period_s=period_s, table="holding", address=a, writable=True
        )
        for a in range(count)
    )
    given = {"profile": "meter", "kind": "meter", "transport": "modbus-tcp", "revision": "1", "source": "a test"}
    return Profile(**(given | {"fallback": Fallback(kind="none"), "points": points} | fields))


def table(count=2):
    """Registers that say their address."""
    return {"holding": {a: a + 100 for a in range(count)}}


class Polled:
    """A link that is polled, what it brought, and what it says of itself."""

    def __init__(self, port, plan, units=(1,), **options):
        self.endpoint = modbus_endpoint("127.0.0.1", port, {"timeout_s": 0.15} | options, [plan], "link")
        self.watch, self.ledger = Watch(), Ledger()
        wires = [Wire(f"m{unit}", plan, unit, f"m{unit}") for unit in units]
        self.link = ModbusLink("link", self.endpoint, wires, self.watch, ScaledClock(1.0), self.ledger)

    @asynccontextmanager
    async def running(self):
        """Polling."""
        task = asyncio.create_task(self.link.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.endpoint.close()

    @property
    def state(self):
        """What the link says of itself."""
        return self.link.state()


async def test_one_dead_device_stalls_the_rest(peers):
    """HA core #51326, edgex #666, telegraf #11782: one of twenty devices is silent; nobody else misses a turn."""
    devices = [peers.Peer({1: table()}, silent={1} if number == 7 else set()) for number in range(20)]
    async with AsyncExitStack() as stack:
        for device in devices:
            await stack.enter_async_context(peers.serving(device))
        polled = [await stack.enter_async_context(Polled(d.port, profile()).running()) for d in devices]
        await peers.until(lambda: all(len(p.watch.values) >= 8 for p in polled if p is not polled[7]))
        reads = [len(p.watch.values) for p in polled]
        assert reads[7] == 0
        assert max(reads) - min(r for n, r in enumerate(reads) if n != 7) <= 2
        assert sum(p.state.failures for n, p in enumerate(polled) if n != 7) == 0


async def test_reconnect_never_happens(peers):
    """Libmodbus #735, HA #142658, edgex #606: a device restarts again and again; two reads later it brings data."""
    device = peers.Peer({1: table()})
    async with peers.serving(device):
        port = device.port
        polled = Polled(port, profile(period_s=0.5))
        stack = AsyncExitStack()
        await stack.enter_async_context(polled.running())
        await peers.until(lambda: polled.watch.values)
    async with stack:
        for _ in range(3):
            await polled.endpoint.close()  # nobody listens now, and what was open is gone too
            failed = polled.state.failures
            await peers.until(lambda failed=failed: polled.state.failures >= failed + 3)
            server = await asyncio.start_server(device.serve, "127.0.0.1", port)
            failed, came = polled.state.failures, len(polled.watch.values)
            await peers.until(lambda came=came: len(polled.watch.values) > came)
            assert polled.state.failures - failed <= 2
            server.close()


@pytest.mark.parametrize("zero_tid", [False, True])
async def test_off_by_one_answers_forever_after_a_timeout(peers, zero_tid):
    """grid-x/modbus #78, pymodbus #538, tmodbus #88: answers at 1.3 timeouts are delivered, never to the wrong read."""
    device = peers.Peer({1: table(), 2: {"holding": {0: 900, 1: 901}}}, zero_tid=zero_tid, delay=lambda _: 0.195)
    async with peers.serving(device):
        async with Polled(device.port, profile(), units=(1, 2)).running() as polled:
            await peers.until(lambda: len(polled.watch.values) >= 8)
            await peers.until(lambda: polled.state.state == "slow")
            assert not polled.ledger.has("device_silent", "m1")
        right = ({"m1/r0": 100, "m1/r1": 101}, {"m2/r0": 900, "m2/r1": 901})
        assert all(values in right for values in polled.watch.values)
        assert all(values in polled.watch.values for values in right)


async def test_a_wrong_answer_passes_for_a_value():
    """The same class of faults, many at once: short, long, foreign, late, cancelled; no wrong value ever."""
    tally = await hammer(1_500, 5, OwnClient)
    assert tally.answered > 700
    assert tally.wrong == 0


async def test_a_busy_device_is_stored_as_0(peers):
    """HA #51103, #54345: exception 6 is the absence of a value; the cause names it, and data go on when it is free."""
    busy = True

    class Device(peers.Peer):
        def answer(self, unit, pdu):
            return bytes([pdu[0] | 0x80, 6]) if busy else super().answer(unit, pdu)

    device = Device({1: table()})
    async with peers.serving(device), Polled(device.port, profile()).running() as polled:
        await peers.until(lambda: polled.ledger.has("device_silent", "m1"))
        assert polled.watch.values == []
        assert "busy" in polled.state.last_error
        busy = False
        await peers.until(lambda: polled.watch.values)
        assert polled.watch.values[0] == {"m1/r0": 100, "m1/r1": 101}
        assert device.connections == 1


async def test_word_and_byte_order(peers):
    """Telegraf #8855, thingsboard #614, Neuron #361: the four orders by their ABCD names, in 32 and 64 bits."""
    octets = struct.pack(">f", 21.5)
    swaps = {"ABCD": "0123", "CDAB": "2301", "BADC": "1032", "DCBA": "3210"}
    words, points = {}, []
    for number, (order, places) in enumerate(swaps.items()):
        mixed = bytes(octets[int(place)] for place in places)
        words |= dict(enumerate(struct.unpack(">HH", mixed), start=2 * number))
        points.append(
            ProfilePoint(
                name=order,
                quantity="count",
                unit="1",
                period_s=PERIOD_S,
                table="holding",
                address=2 * number,
                type="f32",
                order=order,
            )
        )
    device = peers.Peer({1: {"holding": words}})
    async with peers.serving(device), Polled(device.port, profile(points=tuple(points))).running() as polled:
        await peers.until(lambda: polled.watch.values)
        assert polled.watch.values[0] == {f"m1/{order}": 21.5 for order in swaps}


async def test_a_gap_in_the_map_kills_the_block(peers):
    """Telegraf #13630, #14671, VOLTTRON #956: the hole is found once and told; everything else flows on."""
    words = table(40)
    del words["holding"][17]
    device = peers.Peer({1: words})
    async with peers.serving(device), Polled(device.port, profile(40)).running() as polled:
        await peers.until(lambda: len(polled.watch.values) >= 3)
        assert polled.ledger.has("profile_mismatch", "m1")
        assert polled.state.state == "mismatch"
        assert all(len(values) == 39 and "m1/r17" not in values for values in polled.watch.values)
        refused = sum(first <= 17 < first + count for _, _, first, count in device.requests)
        await peers.until(lambda: len(polled.watch.values) >= 6)
        assert refused == sum(first <= 17 < first + count for _, _, first, count in device.requests), "asked once"


async def test_a_gateway_allows_one_connection(peers):
    """Edgex #356, #14: units behind one gateway, and the actuator, share one connection with one request in flight."""
    open_now, most = 0, 0

    class Gateway(peers.Peer):
        async def serve(self, reader, writer):
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            if open_now > 1:
                writer.close()
            else:
                await super().serve(reader, writer)
            open_now -= 1

    gateway = Gateway({unit: table() for unit in range(1, 6)})
    async with peers.serving(gateway), Polled(gateway.port, profile(), units=range(1, 6)).running() as polled:
        hands = ModbusDevice(polled.endpoint, "m3", profile(), 3)
        for value in range(10):
            assert await hands.write("m3/r1", value) == value
            assert await hands.read_back("m3/r1") == value
        await peers.until(lambda: {k for v in polled.watch.values for k in v} >= {f"m{u}/r0" for u in range(1, 6)})
        assert most == 1
        assert polled.state.failures == 0


async def test_a_set_of_every_minute_is_not_pulled_each_second(peers):
    """Ldms #1584: how often a register is read is the profile's, not the fastest one's of its device."""
    points = tuple(
        ProfilePoint(name=f"r{a}", quantity="count", unit="1", period_s=period_s, table="holding", address=a)
        for a, period_s in ((0, 0.1), (50, 1.0))
    )
    device = peers.Peer({1: {"holding": dict.fromkeys((0, 50), 7)}})
    async with peers.serving(device), Polled(device.port, profile(points=points)).running() as polled:
        await peers.until(lambda: sum(r[2] == 0 for r in device.requests) >= 25)
        assert polled.state.failures == 0
        assert 2 <= sum(r[2] == 50 for r in device.requests) <= 5


async def test_a_device_needs_a_pause(peers):
    """modbus_exporter PR #83, #66: a device that loses what comes within 40 ms of its last answer loses nothing."""
    last = 0.0
    lost = 0

    class Slow(peers.Peer):
        async def reply(self, writer, tid, unit, pdu, number):
            nonlocal last, lost
            now = asyncio.get_running_loop().time()
            if now - last < 0.04:
                lost += 1
                return
            await super().reply(writer, tid, unit, pdu, number)
            last = asyncio.get_running_loop().time()

    device = Slow({unit: table() for unit in (1, 2, 3)})
    plan = profile(pause_s=0.045)
    async with peers.serving(device), Polled(device.port, plan, units=(1, 2, 3), timeout_s=1.0).running() as polled:
        await peers.until(lambda: len(polled.watch.values) >= 9)
        assert lost == 0
        assert polled.state.failures == 0


async def test_a_unit_that_the_gateway_does_not_reach_silences_nobody_else(peers):
    """modbus_exporter #66: exception 11 is about one unit; it is asked again at its own pace and comes back by itself."""
    absent = True

    class Gateway(peers.Peer):
        def answer(self, unit, pdu):
            return bytes([pdu[0] | 0x80, 11]) if unit == 2 and absent else super().answer(unit, pdu)

    gateway = Gateway({1: table(), 2: table()})
    async with peers.serving(gateway), Polled(gateway.port, profile(), units=(1, 2)).running() as polled:
        await peers.until(lambda: polled.ledger.has("device_silent", "m2"))
        await peers.until(lambda: sum("m1/r0" in values for values in polled.watch.values) >= 6)
        assert polled.watch.silences == [["m2/r0", "m2/r1"]]
        assert not polled.ledger.has("device_silent", "m1")
        absent = False
        await peers.until(lambda: any("m2/r0" in values for values in polled.watch.values))
        await peers.until(lambda: not polled.ledger.has("device_silent", "m2"))
        assert gateway.connections == 1


async def test_a_dead_unit_among_live_ones_is_back_within_two_intervals(peers):
    """Its neighbours lose no turn to it, and it is asked at its own pace all the same."""
    gateway = peers.Peer({unit: table() for unit in range(1, 5)}, silent={2})
    async with (
        peers.serving(gateway),
        Polled(gateway.port, profile(period_s=0.5), units=range(1, 5)).running() as polled,
    ):
        await peers.until(lambda: polled.ledger.has("device_silent", "m2"))
        live = sum("m1/r0" in values for values in polled.watch.values)
        await asyncio.sleep(10 * 0.5)
        assert sum("m1/r0" in values for values in polled.watch.values) - live >= 9
        gateway.silent.clear()
        await asyncio.sleep(2 * 0.5)
        assert any("m2/r0" in values for values in polled.watch.values)


async def test_a_gateway_that_heals_brings_every_unit_back(peers):
    """A link that was silent as a whole is asked at its own pace; the first answer gives every unit its turn again."""
    gateway = peers.Peer({unit: table() for unit in range(1, 5)}, silent={1, 2, 3, 4})
    async with peers.serving(gateway), Polled(gateway.port, profile(), units=range(1, 5)).running() as polled:
        await peers.until(lambda: all(polled.ledger.has("device_silent", f"m{unit}") for unit in range(1, 5)))
        await peers.until(lambda: polled.state.failures >= 12)
        gateway.silent.clear()
        failed = polled.state.failures
        await peers.until(lambda: {k for v in polled.watch.values for k in v} >= {f"m{u}/r0" for u in range(1, 5)})
        assert polled.state.failures - failed <= 2
        await peers.until(lambda: not any(polled.ledger.has("device_silent", f"m{unit}") for unit in range(1, 5)))


def two_groups(**fields):
    """A meter with a fast and a slow polling group, 100 registers apart."""
    points = tuple(
        ProfilePoint(name=f"r{a}", quantity="count", unit="1", period_s=period_s, table="holding", address=a)
        for a, period_s in ((0, 0.1), (100, 0.3))
    )
    return profile(points=points, **fields)


async def test_a_dead_device_is_told_though_one_of_its_groups_has_nothing_to_ask_for(peers):
    """A group that was refused as a whole makes no request; its turns do not count as answers."""
    device = peers.Peer({1: {"holding": {100: 7}}})
    async with peers.serving(device), Polled(device.port, two_groups()).running() as polled:
        await peers.until(lambda: polled.watch.values and polled.ledger.has("profile_mismatch", "m1"))
        await peers.until(lambda: not polled.ledger.has("device_refused", "m1"))
        device.silent.add(1)
        await peers.until(lambda: polled.ledger.has("device_silent", "m1"))
        assert polled.watch.silences == [["m1/r0", "m1/r100"]]
        for _ in range(50):
            await asyncio.sleep(0.02)
            assert polled.ledger.has("device_silent", "m1")
        assert polled.state.state == "silent"


async def test_a_group_that_is_refused_stays_told_while_the_other_is_read(peers):
    """Exception 4 for one group: the condition stands, the link is a mismatch with that reason, the rest flows."""

    class Device(peers.Peer):
        def answer(self, unit, pdu):
            return bytes([pdu[0] | 0x80, 4]) if pdu[2] == 100 else super().answer(unit, pdu)

    device = Device({1: {"holding": {0: 5, 100: 7}}})
    async with peers.serving(device), Polled(device.port, two_groups()).running() as polled:
        await peers.until(lambda: polled.ledger.has("device_refused", "m1") and len(polled.watch.values) > 2)
        came = len(polled.watch.values)
        for _ in range(50):
            await asyncio.sleep(0.02)
            assert polled.ledger.has("device_refused", "m1")
        assert len(polled.watch.values) >= came + 5
        assert polled.state.state == "mismatch"


async def test_a_silent_device_that_comes_back_with_exceptions_is_told_as_what_it_is(peers):
    """It answers, so it is not silent; what it answers is told, and it is asked at its pace."""
    refuses = False

    class Device(peers.Peer):
        def answer(self, unit, pdu):
            return bytes([pdu[0] | 0x80, 4]) if refuses else super().answer(unit, pdu)

    device = Device({1: table()})
    async with peers.serving(device), Polled(device.port, profile()).running() as polled:
        await peers.until(lambda: polled.watch.values)
        device.silent.add(1)
        await peers.until(lambda: polled.ledger.has("device_silent", "m1"))
        refuses = True
        device.silent.clear()
        await peers.until(lambda: polled.ledger.has("device_refused", "m1"))
        assert not polled.ledger.has("device_silent", "m1")
        assert not polled.link._units[0].health.silent


async def test_a_device_behind_two_links_is_silent_on_the_one_that_is_dead(peers):
    """What the living link hears does not withdraw what the dead one tells of the same equipment."""
    alive, dead = peers.Peer({1: table()}), peers.Peer({1: table()}, silent={1})
    async with peers.serving(alive), peers.serving(dead):
        one, other = Polled(alive.port, profile()), Polled(dead.port, profile())
        ledger = Ledger()
        for name, polled in (("a", one), ("b", other)):
            wires = [Wire("m1", profile(), 1, "m1")]
            polled.link = ModbusLink(name, polled.endpoint, wires, polled.watch, ScaledClock(1.0), ledger)
        async with one.running(), other.running():
            await peers.until(lambda: ledger.has("device_silent", "m1"))
            came = len(one.watch.values)
            while len(one.watch.values) < came + 5:
                await asyncio.sleep(0.01)
                assert ledger.has("device_silent", "m1")


async def test_what_a_device_lacks_is_withdrawn_when_it_has_it(peers):
    """A register that a device did not have yet is read without a restart, and the mismatch goes."""
    device = peers.Peer({1: {"holding": {0: 5}}})
    clock = ScaledClock(1000.0)
    async with peers.serving(device):
        polled = Polled(device.port, profile(period_s=100.0))
        wires = [Wire("m1", profile(period_s=100.0), 1, "m1")]
        polled.link = ModbusLink("link", polled.endpoint, wires, polled.watch, clock, polled.ledger)
        async with polled.running():
            await peers.until(lambda: polled.ledger.has("profile_mismatch", "m1"))
            device.registers[1]["holding"][1] = 6
            await peers.until(lambda: not polled.ledger.has("profile_mismatch", "m1"))
            assert polled.watch.values[-1] == {"m1/r0": 5, "m1/r1": 6}
            assert polled.state.state in {"up", "slow"}

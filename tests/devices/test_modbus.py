"""Modbus TCP against raw peers with the faults of real ones."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from devices.links import ModbusDevice
from devices.modbus import ModbusEndpoint, ModbusRefusedError
from devices.profiles import Profile, load_profile
from devices.readplan import RELEARN_AFTER_S, UnitReader, plan_blocks
from plant.errors import RefusedError, SilentError


def holding(**words):
    """Unit 1 with holding registers: `a5=7` is 7 at address 5."""
    return {1: {"holding": {int(k[1:]): v for k, v in words.items()}}}


def endpoint(peer, **options):
    """An impatient endpoint on a peer."""
    return ModbusEndpoint("127.0.0.1", peer.port, **({"timeout_s": 0.3, "jitter": lambda: 0.0} | options))


async def test_reads_and_writes_go_over_the_wire(peers):
    """What is written to a device is what is read back from it, one word or several."""
    async with peers.serving(peers.Peer(holding(a0=7, a1=8, a2=9))) as peer:
        link = endpoint(peer)
        assert await link.read(1, "holding", 0, 3) == [7, 8, 9]
        await link.write(1, 1, [80])
        await link.write(1, 1, [81, 91])
        assert await link.read(1, "holding", 0, 3) == [7, 81, 91]
        await link.close()
    assert [request[1] for request in peer.requests] == [3, 6, 16, 3]


@pytest.mark.parametrize("zero_tid", [True, False])
async def test_a_late_answer_is_never_taken_for_the_next(peers, zero_tid):
    """After a timeout the next read returns its own register, though the device answers late and without transaction ids."""
    peer = peers.Peer(holding(a0=111, a5=555), zero_tid=zero_tid, delay=lambda n: 0.45 if n == 0 else 0.25)
    async with peers.serving(peer):
        link = endpoint(peer)
        with pytest.raises(SilentError, match="no valid answer within"):
            await link.read(1, "holding", 0, 1)
        assert await link.read(1, "holding", 5, 1) == [555]
        await link.close()
    assert peer.connections == 2


async def test_a_cancelled_read_leaves_nothing_behind(peers):
    """A read that is cancelled half-way can't answer the next one."""
    peer = peers.Peer(holding(a0=111, a5=555), zero_tid=True, delay=lambda n: 0.15)
    async with peers.serving(peer):
        link = endpoint(peer)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.read(1, "holding", 0, 1), 0.05)
        assert await link.read(1, "holding", 5, 1) == [555]
        await link.close()


async def test_a_wrong_transaction_id_is_no_answer(peers):
    """An answer to another request is not taken."""
    async with peers.serving(peers.Peer(holding(a0=1), wrong_tid=True)) as peer:
        link = endpoint(peer)
        with pytest.raises(SilentError):
            await link.read(1, "holding", 0, 1)
        assert not link.connected
        await link.close()


async def test_an_exception_code_is_told_in_words(peers):
    """A refusal carries its code and keeps the connection."""
    async with peers.serving(peers.Peer(holding(a0=1))) as peer:
        link = endpoint(peer)
        with pytest.raises(ModbusRefusedError, match="illegal data address") as caught:
            await link.read(1, "holding", 9, 1)
        assert caught.value.code == 2
        assert link.connected
        await link.close()


async def test_a_dead_endpoint_is_told_at_once_while_backing_off(peers):
    """Nobody waits for a connection that just failed, and why it failed is said until it is tried again."""
    link = ModbusEndpoint("127.0.0.1", peers.free_port(), timeout_s=0.3)
    with pytest.raises(SilentError, match=r"cannot connect, .*refused.*, check power"):
        await link.read(1, "holding", 0, 1)
    with pytest.raises(SilentError, match=r"cannot connect, .*refused.*, check power.*; next attempt in"):
        await link.read(1, "holding", 0, 1)
    await link.close()


@pytest.mark.parametrize("host", ["a" * 70 + ".example", ".."])
async def test_what_can_be_no_host_name_is_silence_with_its_reason(host):
    """A name that can't even be asked for does not end the link's task."""
    link = ModbusEndpoint(host, 502, timeout_s=30.0)
    with pytest.raises(SilentError, match=r"cannot connect, .*label.*host and port"):
        await link.read(1, "holding", 0, 1)
    await link.close()


async def test_one_request_at_a_time(peers):
    """Two rooms that share an endpoint never have two requests in flight."""
    peer = peers.Peer(holding(a0=1, a1=2), delay=lambda n: 0.05)
    async with peers.serving(peer):
        link = endpoint(peer)
        answers = await asyncio.gather(*(link.read(1, "holding", i % 2, 1) for i in range(6)))
        assert answers == [[1], [2]] * 3
        await link.close()
    assert peer.connections == 1


def test_a_cdu_takes_three_kinds_of_block():
    """The generic CDU's fast input registers come in one read, its slow ones do not cost extra fast ones."""
    blocks = plan_blocks(load_profile("generic-cdu"))
    assert [(b.table, b.address, b.count) for b in blocks[5]] == [("input", 0, 24)]
    assert {b.table for b in blocks[10]} == {"input", "holding"}


def test_no_block_is_longer_than_the_protocol_allows():
    """Blocks stay within readable ranges and 125 words."""
    for name in ("generic-cdu", "generic-power-meter", "aalc-rpu", "generic-dry-cooler"):
        profile = load_profile(name)
        for block in (b for group in plan_blocks(profile).values() for b in group):
            assert block.count <= 125
            assert any(
                r.table == block.table and r.first <= block.address and block.address + block.count - 1 <= r.last
                for r in profile.readable
            )


async def test_a_refused_gap_is_learned_once(peers):
    """A hole in the register map costs one bisection; then the rest flows without a refused request."""
    profile = load_profile("generic-power-meter")
    table = {a: 0 for a in range(14) if a not in (8, 9)}
    async with peers.serving(peers.Peer({1: {"input": table}})) as peer:
        reader = UnitReader(endpoint(peer), profile, 1)
        first = await reader.read(10)
        assert [p.name for p in reader.unreadable] == ["frequency"]
        assert [p.name for p in first.points] == ["energy_import", "voltage"]
        asked = len(peer.requests)
        again = await reader.read(10)
        assert len(again.values) == 2
        assert len(peer.requests) - asked <= 2
        await reader.endpoint.close()


class Refusing:
    """A meter of one unit whose input registers can be refused with a code, and a clock of its own."""

    def __init__(self, peers):
        self.now_s, self.refused, self.code = 0.0, set(), 2
        refusing = self

        class Peer(peers.Peer):
            def answer(self, unit, pdu):
                first, count = pdu[1] << 8 | pdu[2], pdu[3] << 8 | pdu[4]
                hit = pdu[0] == 4 and refusing.refused & set(range(first, first + count))
                return bytes([0x84, refusing.code]) if hit else super().answer(unit, pdu)

        self.peer = Peer({1: {"input": dict.fromkeys(range(14), 0), "holding": {0: 5}}})

    def reader(self, profile):
        """A reader of it."""
        return UnitReader(endpoint(self.peer), profile, 1, lambda: self.now_s)


async def test_what_was_refused_is_asked_for_again_and_read_when_it_is_there(peers):
    """A register that was refused while a device started is back after five minutes, not after a restart."""
    device = Refusing(peers)
    device.refused = {8}
    async with peers.serving(device.peer):
        reader = device.reader(load_profile("generic-power-meter"))
        await reader.read(10)
        device.refused = set()
        device.now_s = RELEARN_AFTER_S - 1
        assert len((await reader.read(10)).points) == 2
        device.now_s = RELEARN_AFTER_S
        assert [p.name for p in (await reader.read(10)).points] == ["energy_import", "frequency", "voltage"]
        assert reader.unreadable == ()
        await reader.endpoint.close()


async def test_asking_again_in_vain_costs_one_poll(peers):
    """Where the device then answers otherwise than before, the next polls bring what they did."""
    device = Refusing(peers)
    device.refused = {8}
    async with peers.serving(device.peer):
        reader = device.reader(load_profile("generic-power-meter"))
        await reader.read(10)
        device.code, device.now_s = 4, RELEARN_AFTER_S
        with pytest.raises(RefusedError, match="exception 4"):
            await reader.read(10)
        assert len((await reader.read(10)).points) == 2
        device.code, device.now_s = 2, 2 * RELEARN_AFTER_S
        assert len((await reader.read(10)).points) == 2
        assert [p.name for p in reader.unreadable] == ["frequency"]
        await reader.endpoint.close()


async def test_a_table_that_a_device_does_not_know_leaves_the_others(peers):
    """Exception 1 for the input registers: the holding registers of the same group are read."""
    device = Refusing(peers)
    device.refused, device.code = {0}, 1
    place = {"quantity": "power", "unit": "W", "period_s": 1, "address": 0}
    points = [place | {"name": name, "table": table} for name, table in (("a", "holding"), ("b", "input"))]
    common = {"profile": "x", "kind": "meter", "transport": "modbus-tcp", "revision": "1", "source": "a test"}
    plan = Profile.model_validate(common | {"fallback": {"kind": "none"}, "points": points})
    async with peers.serving(device.peer):
        reader = device.reader(plan)
        reading = await reader.read(1)
        assert ([p.name for p in reading.points], reading.values.tolist()) == (["a"], [5.0])
        assert [p.name for p in reader.unreadable] == ["b"]
        await reader.endpoint.close()


async def test_reads_are_what_was_answered(peers):
    """A device that never answers has no reads, however often it was asked."""
    async with peers.serving(peers.Peer({1: {"input": dict.fromkeys(range(14), 0)}}, silent={1})) as peer:
        reader = UnitReader(endpoint(peer, timeout_s=0.05), load_profile("generic-power-meter"), 1)
        for _ in range(2):
            with pytest.raises(SilentError):
                await reader.read(10)
        assert reader.reads == 0
        peer.silent.clear()
        await reader.read(10)
        assert reader.reads == 1
        await reader.endpoint.close()


async def test_the_actuator_gets_back_what_really_left(peers):
    """A write returns the value on the device's grid, and the register holds just that."""
    async with peers.serving(peers.Peer(holding(a103=3200))) as peer:
        device = ModbusDevice(endpoint(peer), "cdu-1", load_profile("generic-cdu"), 1)
        assert await device.write("cdu-1/supply_temperature_setpoint", 33.337) == pytest.approx(33.34)
        assert peer.registers[1]["holding"][103] == 3334
        assert await device.read_back("cdu-1/supply_temperature_setpoint") == pytest.approx(33.34)
        for point in ("cdu-1/tcs_supply_temperature", "cdu-2/heartbeat", "cdu-1/default_supply_temperature_setpoint"):
            with pytest.raises(RefusedError):
                await device.write(point, 1.0)
        await device.endpoint.close()


async def test_a_cancelled_read_ends_its_task() -> None:
    """A task that is cancelled while a device keeps silent really ends, also inside a loop that bears silence."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    endpoint = ModbusEndpoint("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=30)

    async def poll() -> None:
        while True:
            with contextlib.suppress(SilentError):
                await endpoint.read(1, "input", 0, 2)

    task = asyncio.create_task(poll())
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task], timeout=2)
    assert task.cancelled()
    await endpoint.close()
    server.close()

"""Modbus TCP against raw peers with the faults of real ones."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from devices.links import ModbusDevice
from devices.modbus import ModbusEndpoint, ModbusRefusedError
from devices.profiles import load_profile
from devices.readplan import UnitReader, plan_blocks
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
    """Nobody waits for a connection that just failed."""
    link = ModbusEndpoint("127.0.0.1", peers.free_port(), timeout_s=0.3)
    with pytest.raises(SilentError, match="cannot connect"):
        await link.read(1, "holding", 0, 1)
    with pytest.raises(SilentError, match="next attempt in"):
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

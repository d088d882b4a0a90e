"""The subscriber against a real mosquitto."""

from __future__ import annotations

import asyncio

import pytest

from devices.mqtt import Subscriber

pytestmark = pytest.mark.real


class StoreGoneError(Exception):
    """The handler's store is gone."""


@pytest.mark.parametrize("protocol", [4, 5])
async def test_what_was_not_stored_comes_again(peers, broker, protocol):
    """Messages whose handler failed are delivered again to the next run; stored ones are not."""

    async def nothing(_batch):
        return

    first = Subscriber("127.0.0.1", broker.port, "edge", ["t/#"], protocol=protocol)
    async with peers.running(first.run(nothing)):
        await peers.until(lambda: first.connected)
    await asyncio.to_thread(broker.publish, [(f"t/{i}", b"x", False) for i in range(50)])

    async def failing(_batch):
        await asyncio.sleep(0.3)  # time for a wrong early acknowledgement to reach the broker
        raise StoreGoneError

    with pytest.raises(StoreGoneError):
        await Subscriber("127.0.0.1", broker.port, "edge", ["t/#"], protocol=protocol).run(failing)

    got = []

    async def keeping(batch):
        got.extend(m.topic for m in batch)

    third = Subscriber("127.0.0.1", broker.port, "edge", ["t/#"], protocol=protocol)
    async with peers.running(third.run(keeping)):
        await peers.until(lambda: len(got) >= 50)
        await asyncio.sleep(0.3)
    assert sorted(got) == sorted(f"t/{i}" for i in range(50))

    fourth = Subscriber("127.0.0.1", broker.port, "edge", ["t/#"], protocol=protocol)
    async with peers.running(fourth.run(keeping)):
        await peers.until(lambda: fourth.connected)
        await asyncio.sleep(0.3)
    assert len(got) == 50


async def test_it_comes_back_after_the_broker_did(peers, broker):
    """A broker that goes and comes is told as down and up, and messages flow again."""
    got = []

    async def keeping(batch):
        got.extend(batch)

    subscriber = Subscriber("127.0.0.1", broker.port, "edge", ["t/#"])
    async with peers.running(subscriber.run(keeping)):
        await peers.until(lambda: subscriber.connected)
        await asyncio.to_thread(broker.stop)
        await peers.until(lambda: not subscriber.connected)
        assert subscriber.last_error
        await asyncio.to_thread(broker.start)
        await peers.until(lambda: subscriber.connected, 15)
        await asyncio.to_thread(broker.publish, [("t/1", b"again", False)])
        await peers.until(lambda: len(got) == 1)


async def test_a_slow_handler_fills_no_memory(peers, broker):
    """No more than the capacity waits here, however much the broker has."""
    gate = asyncio.Event()
    got = []

    async def slow(batch):
        await gate.wait()
        got.extend(batch)

    subscriber = Subscriber("127.0.0.1", broker.port, "edge", ["t/#"], protocol=5, capacity=10)
    async with peers.running(subscriber.run(slow)):
        await peers.until(lambda: subscriber.connected)
        await asyncio.to_thread(broker.publish, [("t/1", b"x", False)] * 100)
        await asyncio.sleep(0.3)
        assert subscriber.received <= 10
        gate.set()
        await peers.until(lambda: len(got) == 100)

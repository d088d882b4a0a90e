"""Modbus clients against a device with the faults of real ones: wrong values, recovery, and what a request costs.

Every register says its own address, so an answer that is taken for another one shows. pymodbus is the peer: the same
device, the same faults, fewer exchanges.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from benchmarks.modbus_peer import FAULTS, FaultyPeer, words_at
from collector.conditions import Ledger
from collector.modbus_link import ModbusLink
from collector.wiring import Wire
from devices.modbus import ModbusEndpoint
from devices.profiles import Fallback, Profile, ProfilePoint
from plant.clock import ScaledClock
from plant.errors import RefusedError, SilentError
from plant.points import PointId
from plant.quantities import Quantity

SEED = 20_261_103
CONNECTIONS = 48
PER_PEER = 8
FAULTY_SHARE = 0.25
CANCELLED_SHARE = 0.02
REST_S = 0.005
TIMEOUT_S = 0.06
INTERVAL_S = 0.5
FAULT_INTERVALS = 4
RECOVERY_LIMIT_S = 20.0
GATEWAY_UNITS = 8
"""Of which one is silent for a while among live neighbours."""
COST_WORDS = 125
COST_TURNS = 6
"""Of which the cheapest counts: what else the machine does only adds."""
Figures = dict[str, float | str]


def run(quick: bool, data: Path | None) -> Figures:  # noqa: ARG001 - every benchmark is given both
    """Wrong values (own client and pymodbus), intervals until data resume, CPU time of a request."""
    return asyncio.run(_run(12_000 if quick else 110_000, 3_000 if quick else 12_000, rounds=2 if quick else 6))


async def _run(exchanges: int, peer_exchanges: int, rounds: int) -> Figures:
    own = await hammer(exchanges, SEED, OwnClient)
    peer = await hammer(peer_exchanges, SEED, PymodbusClient)
    slowest = [await _recoveries(SEED + number) for number in range(rounds)]
    behind = [await _recovery("silent", random.Random(SEED + number), units=GATEWAY_UNITS) for number in range(rounds)]
    worst = {fault: max(found[fault] for found in slowest) for fault in slowest[0]}
    cost_s, peer_cost_s = await _cost(3_000 if rounds <= 2 else 20_000)
    return {
        "exchanges": own.exchanges,
        "answered": own.answered,
        "wrong_values": own.wrong,
        "pymodbus_exchanges": peer.exchanges,
        "pymodbus_answered": peer.answered,
        "pymodbus_wrong_values": peer.wrong,
        "recoveries": len(worst) * rounds,
        "recovery_intervals_max": max(worst.values()),
        "recovery_slowest_fault": max(worst, key=lambda fault: worst[fault]),
        "gateway_units": GATEWAY_UNITS,
        "gateway_recovery_intervals_max": max(behind),
        "cpu_us_per_request": cost_s * 1e6,
        "pymodbus_cpu_us_per_request": peer_cost_s * 1e6,
        "pymodbus_to_own_cpu_ratio": peer_cost_s / cost_s,
    }


@dataclass
class Tally:
    """What came of many exchanges: requests that reached a device, and the answers that a client took."""

    exchanges: int = 0
    answered: int = 0
    wrong: int = 0


class OwnClient:
    """The collector's endpoint."""

    def __init__(self, port: int) -> None:
        self._endpoint = ModbusEndpoint("127.0.0.1", port, timeout_s=TIMEOUT_S)

    async def read(self, unit: int, address: int, count: int, *, holding: bool) -> Sequence[int] | None:
        """Words, None where there was no answer."""
        try:
            return await self._endpoint.read(unit, "holding" if holding else "input", address, count)
        except (SilentError, RefusedError):
            return None

    async def close(self) -> None:
        """Hang up."""
        await self._endpoint.close()


class PymodbusClient:
    """The library as its documentation uses it, connecting again whenever it has lost the connection."""

    def __init__(self, port: int) -> None:
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL + 1)
        self._client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=TIMEOUT_S, retries=0, reconnect_delay=0)

    async def read(self, unit: int, address: int, count: int, *, holding: bool) -> Sequence[int] | None:
        """Words, None where there was no answer."""
        if not self._client.connected and not await self._client.connect():
            return None
        read = self._client.read_holding_registers if holding else self._client.read_input_registers
        try:
            answer = await read(address, count=count, device_id=unit)
        except (ModbusException, asyncio.CancelledError):
            # It also turns cancellations into exceptions of its own
            return None
        return None if answer.isError() else answer.registers

    async def close(self) -> None:
        """Hang up."""
        self._client.close()


async def hammer(exchanges: int, seed: int, client: type[OwnClient | PymodbusClient]) -> Tally:
    """Random reads against faulty devices over many connections at once, some of them cancelled half-way."""
    chance, tally = random.Random(seed), Tally()
    peers = [_faulty(random.Random(chance.random())) for _ in range(CONNECTIONS // PER_PEER)]
    ports = [await peer.start() for peer in peers] * PER_PEER

    def more() -> bool:
        return sum(peer.requests for peer in peers) < exchanges

    try:
        await asyncio.gather(*(_one(client(port), more, random.Random(chance.random()), tally) for port in ports))
    finally:
        for peer in peers:
            await peer.close()
    tally.exchanges = sum(peer.requests for peer in peers)
    return tally


def _faulty(chance: random.Random) -> FaultyPeer:
    return FaultyPeer(
        choose=lambda _: chance.choice(FAULTS) if chance.random() < FAULTY_SHARE else "",
        late_s=lambda: TIMEOUT_S * chance.choice((0.5, 1.3, 1.3, 3.0)),
        chance=chance,
    )


async def _one(
    client: OwnClient | PymodbusClient, more: Callable[[], bool], chance: random.Random, tally: Tally
) -> None:
    while more():
        unit, count = chance.randrange(1, 4), chance.choice((1, 2, 2, 8, 40))
        address, holding = chance.randrange(0, 60_000), chance.random() < 0.5
        asked = client.read(unit, address, count, holding=holding)
        words = await (_cut_short(asked, chance) if chance.random() < CANCELLED_SHARE else asked)
        if words is None:
            await asyncio.sleep(REST_S)
        else:
            tally.answered += 1
            tally.wrong += list(words) != words_at(unit, address, count)
    await client.close()


async def _cut_short(asked: Awaitable[Sequence[int] | None], chance: random.Random) -> Sequence[int] | None:
    try:
        async with asyncio.timeout(chance.random() * TIMEOUT_S):
            return await asked
    except TimeoutError:
        return None


@dataclass
class _Watch:
    """Takes readings as the collector's intake does, and notes when they came."""

    came_at: list[float] = field(default_factory=list)
    wrong: int = 0

    def take_values(self, points: Sequence[PointId], values: npt.NDArray[np.float64]) -> None:
        """Values read just now; the faults are unit 1's."""
        if not points[0].startswith("m1/"):
            return
        self.came_at.append(time.monotonic())
        self.wrong += values.tolist() != words_at(1, 10, len(points))

    def take_silence(self, points: Sequence[PointId]) -> None:
        """Nothing came."""


def _profile() -> Profile:
    points = tuple(
        ProfilePoint(
            name=f"r{address}", quantity=Quantity.COUNT, unit="1", period_s=INTERVAL_S, table="holding", address=address
        )
        for address in range(10, 18)
    )
    return Profile(
        profile="faulty",
        kind="meter",
        transport="modbus-tcp",
        revision="1",
        source="benchmark",
        fallback=Fallback(kind="none"),
        points=points,
    )


async def _recoveries(seed: int) -> dict[str, float]:
    """Fault -> intervals from its end until data come again, all faults at the same time on a device each."""
    chance = random.Random(seed)
    faults = [*FAULTS, "refuses connections"]
    found = await asyncio.gather(*(_recovery(fault, random.Random(chance.random())) for fault in faults))
    return dict(zip(faults, found, strict=True))


async def _recovery(fault: str, chance: random.Random, units: int = 1) -> float:
    """Intervals until unit 1 brings data after its fault; the other units of its link have none."""
    state = {"fault": ""}
    timeout_s = INTERVAL_S / 4
    peer = FaultyPeer(
        choose=lambda unit: state["fault"] if unit == 1 else "", late_s=lambda: 1.3 * timeout_s, chance=chance
    )
    port = await peer.start()
    watch, clock = _Watch(), ScaledClock(1.0)
    endpoint = ModbusEndpoint("127.0.0.1", port, timeout_s=timeout_s)
    wires = [Wire(f"m{unit}", _profile(), unit, f"m{unit}") for unit in range(1, units + 1)]
    link = ModbusLink("link", endpoint, wires, watch, clock, Ledger())
    task = asyncio.create_task(link.run())
    try:
        await asyncio.sleep(INTERVAL_S * (2 + chance.random()))
        state["fault"] = fault
        if fault not in FAULTS:
            await peer.close()
        await asyncio.sleep(INTERVAL_S * (FAULT_INTERVALS + chance.random()))
        state["fault"] = ""
        if fault not in FAULTS:
            await peer.start(port)
        waited_s = await _next(watch, time.monotonic())
    finally:
        task.cancel()
        await asyncio.wait([task])
        await endpoint.close()
        await peer.close()
    return float("inf") if watch.wrong else waited_s / INTERVAL_S


async def _next(watch: _Watch, since: float) -> float:
    """Seconds until data came again."""
    while time.monotonic() < since + RECOVERY_LIMIT_S:
        if watch.came_at and watch.came_at[-1] > since:
            return next(at for at in watch.came_at if at > since) - since
        await asyncio.sleep(0.005)
    return float("inf")


async def _cost(requests: int) -> tuple[float, float]:
    """CPU time of a request with its answer [s], of the own client and of pymodbus, against a device elsewhere."""
    device = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.modbus_peer", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert device.stdout is not None
        port = int(await device.stdout.readline())
        endpoint, client = ModbusEndpoint("127.0.0.1", port), AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        pairs = [
            (
                await _spent(lambda: endpoint.read_octets(1, "holding", 0, COST_WORDS), requests // COST_TURNS),
                await _spent(
                    lambda: client.read_holding_registers(0, count=COST_WORDS, device_id=1), requests // COST_TURNS
                ),
            )
            for _ in range(COST_TURNS)
        ]
        client.close()
        await endpoint.close()
    finally:
        device.kill()
        await device.wait()
    return min(own for own, _ in pairs), min(library for _, library in pairs)


async def _spent(read: Callable[[], Awaitable[object]], requests: int) -> float:
    await read()
    before = time.process_time()
    for _ in range(requests):
        await read()
    return (time.process_time() - before) / requests

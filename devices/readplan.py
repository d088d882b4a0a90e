"""Read plans: a device's points coalesced into as few block reads as its readable ranges allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from devices.decode import BlockDecoder, compile_block
from devices.modbus import ILLEGAL_ADDRESS, MAX_WORDS, ModbusEndpoint, ModbusRefusedError
from devices.profiles import Profile, ProfilePoint, ReadableRange, Table


@dataclass(frozen=True)
class Block:
    """One read request and the points that it brings, by ascending address."""

    table: Table
    address: int
    count: int
    points: tuple[ProfilePoint, ...]

    @cached_property
    def decoder(self) -> BlockDecoder:
        """Words of this block to SI values."""
        return compile_block(self.points, self.address)

    def split(self) -> tuple[Block, ...]:
        """Two smaller blocks without the gap between them; a single point can't be split."""
        middle = len(self.points) // 2
        return (_block(self.points[:middle]), _block(self.points[middle:])) if middle else ()


def plan_blocks(profile: Profile) -> dict[float, list[Block]]:
    """Period [s] -> the blocks to read that often; points that lie in no table (MQTT) are left out."""
    periods: dict[float, list[Block]] = {}
    for period_s in sorted({p.period_s for p in profile.points}):
        due = [p for p in profile.points if p.period_s == period_s and p.table and p.address is not None]
        if due:
            periods[period_s] = list(_coalesce(due, profile.readable))
    return periods


@dataclass(frozen=True)
class GroupReading:
    """What one polling group brought: points and their values [SI] in the same order."""

    points: tuple[ProfilePoint, ...]
    values: npt.NDArray[np.float64]


class UnitReader:
    """Reads one Modbus unit by its plan, and learns once what it refuses."""

    def __init__(self, endpoint: ModbusEndpoint, profile: Profile, unit: int) -> None:
        self.endpoint, self.profile, self.unit = endpoint, profile, unit
        self._blocks = plan_blocks(profile)
        self.unreadable: list[ProfilePoint] = []
        self.reads = 0

    @property
    def periods(self) -> tuple[float, ...]:
        """Polling periods [s], fastest first."""
        return tuple(self._blocks)

    async def read(self, period_s: float) -> GroupReading:
        """All points of one period.

        Raises:
            SilentError: no answer; the rest of the group was not asked.
            RefusedError: the unit refused for another reason than an unknown address.
        """
        learned: list[Block] = []
        values: list[npt.NDArray[np.float64]] = []
        for block in self._blocks[period_s]:
            for part, words in await self._read_block(block):
                learned.append(part)
                values.append(part.decoder.decode(words))
        self._blocks[period_s] = learned
        points = tuple(p for block in learned for p in block.points)
        return GroupReading(points, np.concatenate(values) if values else np.empty(0))

    async def _read_block(self, block: Block) -> list[tuple[Block, list[int]]]:
        try:
            self.reads += 1
            return [(block, await self.endpoint.read(self.unit, block.table, block.address, block.count))]
        except ModbusRefusedError as refusal:
            if refusal.code != ILLEGAL_ADDRESS:
                raise
        if len(block.points) == 1:
            self._forbid(block.points[0])
        return [found for half in block.split() for found in await self._read_block(half)]

    def _forbid(self, point: ProfilePoint) -> None:
        if point not in self.unreadable:
            self.unreadable.append(point)


def _coalesce(points: Sequence[ProfilePoint], readable: Sequence[ReadableRange]) -> Iterable[Block]:
    pending: list[ProfilePoint] = []
    for point in sorted(points, key=lambda p: (p.table or "", p.address or 0)):
        if pending and not _joinable(pending, point, readable):
            yield _block(pending)
            pending = []
        pending.append(point)
    if pending:
        yield _block(pending)


def _joinable(pending: Sequence[ProfilePoint], point: ProfilePoint, readable: Sequence[ReadableRange]) -> bool:
    first, end = _start(pending[0]), max(_end(p) for p in pending)
    if point.table != pending[0].table or _end(point) - first > MAX_WORDS:
        return False
    inside = any(r.table == point.table and r.first <= first and _end(point) <= r.last + 1 for r in readable)
    return inside or _start(point) <= end


def _block(points: Sequence[ProfilePoint]) -> Block:
    table, first = points[0].table, _start(points[0])
    if table is None:
        raise ValueError(f"{points[0].name} has no table")
    return Block(table, first, max(_end(p) for p in points) - first, tuple(points))


def _start(point: ProfilePoint) -> int:
    return point.address or 0


def _end(point: ProfilePoint) -> int:
    return _start(point) + point.words

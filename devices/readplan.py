"""Read plans: a device's points coalesced into as few block reads as its readable ranges allow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.decode import BlockDecoder, compile_points
from devices.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, ModbusEndpoint, ModbusRefusedError
from devices.profiles import Profile, ProfilePoint, Table
from devices.sunspec import find_model
from plant.errors import RefusedError

RELEARN_AFTER_S = 300.0
"""What was refused is asked for again after so long [s, site time]: a device starts, is set up, gets new firmware."""
_NOT_THERE = frozenset({ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE})
"""Codes by which devices say that they lack an address, or a whole table."""


@dataclass(frozen=True)
class Block:
    """One read request and the points that it brings, by ascending address."""

    table: Table
    address: int
    count: int
    points: tuple[ProfilePoint, ...]

    def split(self) -> tuple[Block, ...]:
        """Two smaller blocks without the gap between them; one register can't be split, whatever its bit fields."""
        ends = np.maximum.accumulate([_end(p) for p in self.points])
        cuts = [i for i in range(1, len(self.points)) if _start(self.points[i]) >= ends[i - 1]]
        if not cuts:
            return ()
        cut = min(cuts, key=lambda i: abs(2 * i - len(self.points)))
        return _block(self.points[:cut]), _block(self.points[cut:])


def plan_blocks(profile: Profile) -> dict[float, list[Block]]:
    """Period [s] -> the blocks to read that often; points that lie in no table (MQTT) are left out.

    A scale factor (`scale_from`) is read together with each group that needs it.
    """
    placed = [p for p in profile.points if p.table and p.address is not None]
    plan = {}
    for period_s in sorted({p.period_s for p in placed}):
        due = [p for p in placed if p.period_s == period_s]
        names = {p.name for p in due}
        factors = {p.scale_from for p in due} - names
        plan[period_s] = list(_coalesce([*due, *(p for p in placed if p.name in factors)], profile))
    return plan


@dataclass(frozen=True)
class GroupReading:
    """What one polling group brought: points and their values [SI] in the same order.

    points: the same tuple as last time unless the plan has changed.
    """

    points: tuple[ProfilePoint, ...]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Group:
    """One period's blocks, and the decoder for all of them in a row."""

    blocks: tuple[Block, ...]
    points: tuple[ProfilePoint, ...]
    decoder: BlockDecoder

    @classmethod
    def of(cls, blocks: Iterable[Block], *, sunspec: bool) -> _Group:
        blocks = tuple(blocks)
        points: list[ProfilePoint] = []
        words: list[int] = []
        before = 0
        for block in blocks:
            points += block.points
            words += [before + _start(p) - block.address for p in block.points]
            before += block.count
        return cls(blocks, tuple(points), compile_points(points, words, sunspec=sunspec))


class UnitReader:
    """Reads one Modbus unit by its plan, and learns what it refuses. now: monotonic time [s, site].

    unreadable: points that it refuses, the same tuple until that changes; reads: requests answered with values.
    """

    def __init__(
        self, endpoint: ModbusEndpoint, profile: Profile, unit: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.endpoint, self.profile, self.unit = endpoint, profile, unit
        self._now = now
        self._sunspec = bool(profile.sunspec_models)
        self._plan = {
            period_s: _Group.of(blocks, sunspec=self._sunspec) for period_s, blocks in plan_blocks(profile).items()
        }
        self._learnt: dict[float, _Group] = {}
        self._planned_at: dict[float, float] = {}
        self._lost: dict[float, list[ProfilePoint]] = {}
        self.unreadable: tuple[ProfilePoint, ...] = ()
        self._base: int | None = None if self._sunspec else 0
        self._read: set[float] = set()
        self.reads = 0

    @property
    def periods(self) -> tuple[float, ...]:
        """Polling periods [s], fastest first."""
        return tuple(self._plan)

    async def read(self, period_s: float) -> GroupReading:
        """All points of one period that the unit has; none of them may mean that it was not asked.

        Raises:
            SilentError: no answer; the rest of the group was not asked.
            RefusedError: the unit refused for another reason than an unknown address, or everything it was asked for.
        """
        group, base = self._due(period_s) if self._learnt else self._plan[period_s], self._base
        if base is None:
            base = self._base = await find_model(self.endpoint, self.unit, self.profile.sunspec_models)
        read, unit, parts = self.endpoint.read_octets, self.unit, []
        for block in group.blocks:
            try:
                parts.append(await read(unit, block.table, base + block.address, block.count))
            except ModbusRefusedError as refusal:
                if refusal.code not in _NOT_THERE:
                    raise
                group, parts = await self._learn(period_s, base, refusal)
                break
            self.reads += 1
        else:
            if self._learnt and group is self._plan[period_s]:
                self._note(period_s, None, [])
        if parts:
            self._read.add(period_s)
        return GroupReading(group.points, group.decoder.decode(b"".join(parts)))

    def _due(self, period_s: float) -> _Group:
        """What is known to be readable, now and then the whole plan; if that fails, not again at once."""
        learnt = self._learnt.get(period_s)
        if learnt is None:
            return self._plan[period_s]
        if self._now() - self._planned_at[period_s] < RELEARN_AFTER_S:
            return learnt
        self._planned_at[period_s] = self._now()
        return self._plan[period_s]

    def _note(self, period_s: float, group: _Group | None, lost: list[ProfilePoint]) -> None:
        """What is asked for from now on instead of the plan, and what is left out of it."""
        self._lost[period_s] = lost
        self._planned_at[period_s] = self._now()
        if group is None:
            self._learnt.pop(period_s, None)
        else:
            self._learnt[period_s] = group
        unreadable = tuple({p.name: p for points in self._lost.values() for p in points}.values())
        if unreadable != self.unreadable:
            self.unreadable = unreadable

    async def _learn(self, period_s: float, base: int, refusal: ModbusRefusedError) -> tuple[_Group, list[bytes]]:
        """Read a group's plan anew, halving what is refused; what is left of it is asked for from now on."""
        plan = self._plan[period_s]
        found = [part for block in plan.blocks for part in await self._halve(block, base)]
        blocks = [block for block, _ in found]
        if not found and (not self._read or period_s in self._read):
            # Another device, or one that is starting: nothing to be learned from
            self._base = None if self._sunspec else 0
            raise RefusedError(f"{refusal}; it knows none of the profile's addresses") from refusal
        group = _Group.of(blocks, sunspec=self._sunspec)
        self._note(period_s, group, [p for p in plan.points if not any(p in block.points for block in blocks)])
        return group, [octets for _, octets in found]

    async def _halve(self, block: Block, base: int) -> list[tuple[Block, bytes]]:
        try:
            octets = await self.endpoint.read_octets(self.unit, block.table, base + block.address, block.count)
        except ModbusRefusedError as refusal:
            if refusal.code not in _NOT_THERE:
                raise
            return [found for half in block.split() for found in await self._halve(half, base)]
        self.reads += 1
        return [(block, octets)]


def _coalesce(points: Sequence[ProfilePoint], profile: Profile) -> Iterable[Block]:
    pending: list[ProfilePoint] = []
    for point in sorted(points, key=lambda p: (p.table or "", p.address or 0)):
        if pending and not _joinable(pending, point, profile):
            yield _block(pending)
            pending = []
        pending.append(point)
    if pending:
        yield _block(pending)


def _joinable(pending: Sequence[ProfilePoint], point: ProfilePoint, profile: Profile) -> bool:
    first, end = _start(pending[0]), max(_end(p) for p in pending)
    if point.table != pending[0].table or max(_end(point), end) - first > profile.max_words:
        return False
    hole = _start(point) - end
    if hole <= 0:
        return True
    return hole <= profile.max_gap and any(
        r.table == point.table and r.first <= first and _end(point) <= r.last + 1 for r in profile.readable
    )


def _block(points: Sequence[ProfilePoint]) -> Block:
    table, first = points[0].table, _start(points[0])
    if table is None:
        raise ValueError(f"{points[0].name} has no table")
    return Block(table, first, max(_end(p) for p in points) - first, tuple(points))


def _start(point: ProfilePoint) -> int:
    return point.address or 0


def _end(point: ProfilePoint) -> int:
    return _start(point) + point.words

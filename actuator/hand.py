"""The hold on one device: what is leased, what was written, and the wire underneath, each call bounded in time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

from actuator.priority import resolve
from plant.errors import ColdplateError, SilentError
from plant.leases import Lease
from plant.points import PointId
from plant.ports import DeviceLink, FrameCheck
from plant.topology import Drive

T = TypeVar("T")
EPOCHS = 65536
"""The owner register has 16 bits."""


class FaultError(ColdplateError):
    """Something that ends our hold on a device; `code` is a fault's code."""

    def __init__(self, code: str, subject: str, text: str, params: dict[str, str | float] | None = None) -> None:
        self.code, self.subject, self.text, self.params = code, subject, text, params or {}
        super().__init__(text)


class WithdrawnError(ColdplateError):
    """The hold was given up while a write was on its way."""


@dataclass(slots=True)
class Driven:
    """One setpoint that we wrote.

    lease: the newest that holds it, as asked; value: what the device was told [SI]; written_s [s since 1970];
    off_since_mono_s: since when the device has not followed [s], None while it does.
    """

    lease: Lease
    value: float
    written_s: float
    off_since_mono_s: float | None
    rewrites: int = 0
    poll_strikes: int = 0
    polled_s: float = 0.0


@dataclass(slots=True)
class Hand:
    """Our hold on one device; name: its drive's in the site.

    `generation` grows when it is given up, so that a write under way can tell; given_up_mono_s: when somebody last
    wanted it given up, so that a lease from before that can tell, too; outdated_mono_s: the same where a mode was
    changed and what is held stays; asked_mono_s: when a lease was last asked for.
    """

    name: str
    drive: Drive
    link: DeviceLink
    setpoints: tuple[PointId, ...]
    call_timeout_s: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    leases: dict[tuple[PointId, str], Lease] = field(default_factory=dict)
    driven: dict[PointId, Driven] = field(default_factory=dict)
    changed_mono_s: dict[PointId, float] = field(default_factory=dict)
    taken: bool = False
    taken_s: float = 0.0
    release_due: bool = False
    generation: int = 0
    given_up_mono_s: float = -math.inf
    outdated_mono_s: float = -math.inf
    asked_mono_s: float = -math.inf
    beat: int = 0
    beat_mono_s: float = -math.inf
    locked_until_mono_s: float = -math.inf
    mode_strikes: int = 0
    mode_polled_s: float = 0.0

    @property
    def equipment(self) -> str:
        """The device."""
        return self.drive.equipment

    def winner(self, point: PointId, mono_s: float) -> Lease | None:
        """The lease that holds a point at `mono_s` [s]."""
        return resolve((lease for (held, _), lease in self.leases.items() if held == point), mono_s)

    def held_until_mono_s(self) -> float:
        """The earliest end [s] among the leases that the device follows now."""
        return min((d.lease.expires_mono_s for d in self.driven.values()), default=-math.inf)

    def lapsed(self, mono_s: float) -> bool:
        """Whether the device's own timeout has ended our hold already."""
        return mono_s >= self.beat_mono_s + self.drive.timeout_s

    def drop(self) -> list[PointId]:
        """Forget every lease, at once and without waiting; says which points were driven."""
        points = list(self.driven)
        self.leases.clear()
        self.driven.clear()
        self.generation += 1
        self.release_due = self.release_due or self.taken
        self.taken = False
        self.mode_strikes = 0
        return points

    def outdate(self, mono_s: float) -> None:
        """Leases from before `mono_s` [s] may be written no more; those that the device follows already stay."""
        self.outdated_mono_s = mono_s
        self.leases = {(point, d.lease.holder): d.lease for point, d in self.driven.items()}

    def must_be_current(self, lease: Lease) -> None:
        """Raises: WithdrawnError where it was asked for before somebody changed what may be asked for."""
        if lease.issued_mono_s < self.outdated_mono_s:
            raise WithdrawnError(f"{lease.point}: asked for before the mode of {self.equipment} was changed")

    def put_back(self, lease: Lease, before: Lease | None) -> None:
        """A lease that was not written leaves the one before it in place, unless all were dropped meanwhile."""
        if self.leases.pop((lease.point, lease.holder), None) is not None and before is not None:
            self.leases[lease.point, lease.holder] = before

    async def write(self, point: PointId, value: float, generation: int, check: FrameCheck) -> float:
        """Write [SI] if the hold is still the same one; gives the frame's decoded value [SI], which `check` allowed.

        Raises: WithdrawnError, RefusedError, SilentError, what `check` raises.
        """
        if generation != self.generation:
            raise WithdrawnError(f"{point}: the hold on {self.equipment} was given up meanwhile")
        return await self.bounded(point, self.link.write(point, value, check))

    async def read_back(self, point: PointId) -> float:
        """The register's value now [SI]. Raises: RefusedError, SilentError."""
        return await self.bounded(point, self.link.read_back(point))

    async def bounded(self, point: PointId, call: Coroutine[object, object, T], limit_s: float = math.inf) -> T:
        """A call that ends in time [real s], whatever the wire does. Raises: SilentError."""
        try:
            async with asyncio.timeout(min(self.call_timeout_s, limit_s)):
                return await call
        except TimeoutError as error:
            raise SilentError(f"{point}: no answer within {self.call_timeout_s:g} s") from error

    async def owner(self) -> int | None:
        """The epoch in the device's owner register, None if it has none."""
        return int(await self.read_back(self.drive.owner)) % EPOCHS if self.drive.owner else None

    async def beat_now(self, mono_s: float, generation: int) -> None:
        """Change the heartbeat register; the hold counts from `mono_s` [s], before the frame leaves."""
        self.beat = (self.beat + 1) % EPOCHS
        await self.put_number(self.drive.heartbeat, self.beat, generation)
        self.beat_mono_s = mono_s

    async def put_number(self, point: PointId, number: int, generation: int) -> None:
        """Write a count or a state, which has no envelope: the frame must say exactly that.

        Raises: FaultError `frame_mismatch`, WithdrawnError, RefusedError, SilentError.
        """

        def check(said: float) -> None:
            if said != number:
                text = f"{point}: {number} was meant, the frame said {said:g}; it was not sent"
                raise FaultError("frame_mismatch", point, text, {"meant": float(number), "sent": said})

        await self.write(point, float(number), generation, check)

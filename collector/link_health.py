"""How a link and what hangs on it are doing, and what is told of it: the same for every wire that is polled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from collector.conditions import Ledger
from collector.wiring import Wire
from plant.clock import Clock
from plant.points import PointId
from plant.records import Params
from plant.running import LinkState

SILENT_AFTER = 2
"""Missed answers in a row until a device counts as silent: one lost packet alarms nobody."""
MAX_BACKOFF_S = 8.0
"""Real seconds between attempts to reach what is silent, at most."""
_REMEMBERED = 20
"""Polls by which a link is called slow."""


class Taker(Protocol):
    """Where readings go: `collector.intake.Intake`."""

    def take_values(self, points: Sequence[PointId], values: npt.NDArray[np.float64]) -> None:
        """Values [SI] read just now."""
        ...

    def take_silence(self, points: Sequence[PointId]) -> None:
        """Mark points whose device no longer answers."""
        ...


def site_seconds(clock: Clock, real_s: float) -> float:
    """How much site time passes in `real_s`: waits for a wire are real, and site time may run faster."""
    return real_s / (clock.real(1.0) or 1.0)


async def sleep(clock: Clock, site_s: float) -> None:
    """Wait for site time to pass; not at all for what is over."""
    await asyncio.sleep(max(clock.real(site_s), 0.0))


class LinkHealth:
    """A link's state, since when and why. unit_of: what a wire's device is called there in conditions."""

    def __init__(
        self, link: str, endpoint: str, clock: Clock, ledger: Ledger, unit_of: Callable[[Wire], str | float]
    ) -> None:
        self.link, self.endpoint, self.clock, self.ledger, self.unit_of = link, endpoint, clock, ledger, unit_of
        self.error = "not read yet"
        self.members: list[Health] = []
        self._late: deque[bool] = deque(maxlen=_REMEMBERED)
        self._state, self._since_s = "silent", clock.now()

    def served(self, *, late: bool) -> None:
        """Note whether a poll ended after the next one was due."""
        self._late.append(late)

    def update(self, *, all_silent: bool, slow: bool = False) -> None:
        """Draw the conclusion. slow: known to be, besides being late."""
        if all_silent:
            state = "silent"
        elif mismatch := next((member.mismatch for member in self.members if member.mismatch), ""):
            state, self.error = "mismatch", self.error or mismatch
        else:
            state = "slow" if slow or sum(self._late) > len(self._late) // 2 else "up"
        if state != self._state:
            self._state, self._since_s = state, self.clock.now()

    def state(self, reads: int) -> LinkState:
        """How the link is doing. reads: requests that were answered."""
        return LinkState(
            link=self.link,
            endpoint=self.endpoint,
            state=self._state,
            since_s=self._since_s,
            last_error=self.error,
            reads=reads,
            failures=sum(member.failures for member in self.members),
        )


class Health:
    """One device on a link (or a page that speaks of several), and what it says on its equipment.

    Its parts, such as polling groups, may be refused one by one; missed answers are the whole device's. `owed` gives
    all points of a wire. mismatch: what it refuses or lacks, in words; empty if nothing.
    """

    def __init__(
        self, link: LinkHealth, wires: Sequence[Wire], owed: Callable[[Wire], list[PointId]], intake: Taker
    ) -> None:
        self._link, self._wires, self._owed, self._intake = link, wires, owed, intake
        self.missed = 0
        self.failures = 0
        self.refused: dict[object, str] = {}
        self.mismatch = ""
        self._lacking = ""
        self._by = f"{link.link} {len(link.members)}"
        link.members.append(self)

    @property
    def silent(self) -> bool:
        """Whether it has missed too many answers."""
        return self.missed >= SILENT_AFTER

    def answered(self, part: object) -> None:
        """A part of it brought values."""
        self._link.error = ""
        if self.missed:
            self._heard()
        if self.refused:
            self.left_out(part)

    def left_out(self, part: object) -> None:
        """A part of it is not asked for any more; that it was refused counts no longer."""
        if self.refused.pop(part, ""):
            self._judge()
            if not self.refused:
                self._clear("device_refused")

    def unanswered(self, error: str) -> None:
        """It did not answer; its points are marked once it counts as silent."""
        self.failures += 1
        self.missed += 1
        self._link.error = error
        if self.silent:
            self._raise("device_silent", {"error": error})
        if self.missed == SILENT_AFTER:
            self.mark_silent()

    def refused_by(self, part: object, error: str) -> bool:
        """A part of it answers, but not with values; returns whether that is new."""
        self.failures += 1
        self._link.error = error
        self._heard()
        newly = part not in self.refused
        self.refused[part] = error
        self._judge()
        self._raise("device_refused", {"error": error})
        return newly

    def lacks(self, points: str) -> None:
        """What its profile names and it does not have, in words; empty if nothing."""
        if points == self._lacking:
            return
        self._lacking = points
        self._judge()
        if points:
            self._raise("profile_mismatch", {"points": points})
        else:
            self._clear("profile_mismatch")

    def mark_silent(self) -> None:
        """No values of it are to be had now."""
        for wire in self._wires:
            self._intake.take_silence(self._owed(wire))

    def _judge(self) -> None:
        lacking = "the device lacks points of its profile" if self._lacking else ""
        self.mismatch = next(iter(self.refused.values()), lacking)

    def _heard(self) -> None:
        self.missed = 0
        self._clear("device_silent")

    def _clear(self, code: str) -> None:
        for wire in self._wires:
            self._link.ledger.clear(code, wire.equipment, by=self._by)

    def _raise(self, code: str, params: Params) -> None:
        link = self._link
        for wire in self._wires:
            where: Params = {"equipment": wire.equipment, "endpoint": link.endpoint, "unit": link.unit_of(wire)}
            told = where | {"profile": wire.profile.profile} | params
            link.ledger.raise_(code, wire.equipment, link.clock.now(), told, by=self._by)

"""A device's hands over the DSX bus: setpoints are requests to the BMS, which stays the authority and confirms them."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from fractions import Fraction

from devices import dsx
from devices.dsx_integration import BmsIntegration, Offer
from devices.profiles import Profile, ProfilePoint
from devices.second_opinion import in_si, said_on_bus
from plant.clock import Clock
from plant.errors import RefusedError, SilentError
from plant.points import PointId
from plant.ports import FrameCheck, any_frame

ECHO_S = 1.5
"""How long the broker may take to show us our own request [real s]."""
LOOKS = 30
REPEAT_S = dsx.REPUBLISH_S / 2
"""A request that stands is said again so often [s]: the bus repeats every value, and a BMS may have missed one."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that stands: where, its number in the offer's unit, what it says [SI], as which message, when [s]."""

    offer: Offer
    shown: float
    said: float
    number: int
    mono_s: float


class DsxDevice:
    """One object of the BMS as `plant.ports.DeviceLink`: points by full id, values in SI.

    A request that is written is read back as the bus carried it, whoever published it last; before there is one, as the
    setpoint that the BMS itself has in force.
    """

    def __init__(self, bms: BmsIntegration, equipment: str, profile: Profile, name: str, clock: Clock) -> None:
        self.bms, self.equipment, self.profile, self.name, self._clock = bms, equipment, profile, name, clock
        self._points: dict[PointId, ProfilePoint] = {f"{equipment}/{p.name}": p for p in profile.points}
        self._asked: dict[str, _Asked] = {}
        self._beats = 0

    async def write(self, point: PointId, value: float, check: FrameCheck = any_frame) -> float:
        """Ask for a setpoint, vouch for the heartbeat, or let requests stand (1) or fall (0); see `plant.ports`.

        Raises:
            RefusedError: not writable, not offered, or the BMS is not there.
            SilentError: the broker did not acknowledge.
        """
        wanted = self._writable(point)
        self.bms.silent = False
        if wanted.name == self.profile.fallback.heartbeat:
            check(value)  # no frame says it: what leaves is the integration's own time
            self.bms.must_be_alive()
            await self._repeat()
            await self.bms.vouch(self.equipment)
            self._beats = int(value)
            return value
        if wanted.name == self.profile.fallback.enable:
            check(value)
            if value == 0:
                await self._withdraw()
                self.bms.forget(self.equipment)
            return value
        return await self._ask(wanted, value, check)

    async def read_back(self, point: PointId) -> float:
        """A request as the bus carried it, our count of heartbeats, or whether requests stand [SI].

        Raises:
            RefusedError: not writable, or not offered.
            SilentError: the broker did not show the request in time.
        """
        wanted = self._writable(point)
        if wanted.name == self.profile.fallback.heartbeat:
            return float(self._beats)
        if wanted.name == self.profile.fallback.enable:
            return float(self.bms.stands(self.equipment))
        if wanted.name not in self._asked:
            return await self.look(f"{self.equipment}/effective_{wanted.name}")
        return await self._echo(wanted)

    async def look(self, point: PointId) -> float:
        """What the BMS shows of any point of the profile now [SI]; NaN if it shows none.

        Raises:
            RefusedError: not a point of this profile.
        """
        wanted = self._points.get(point)
        if wanted is None:
            raise RefusedError(f"{point}: not a point of profile {self.profile.profile}")
        return self.bms.shown(self.profile, wanted, self.name)

    def fall_silent(self) -> None:
        """Neither heartbeat nor withdrawal until the next write: what the BMS then does is its own."""
        self.bms.silent = True

    async def _ask(self, point: ProfilePoint, value: float, check: FrameCheck) -> float:
        self.bms.must_be_alive()
        offer = self.bms.offer(point.object, point.point, self.name)
        if not offer.unit:
            raise RefusedError(
                f"{self.equipment}/{point.name}: the BMS does not say in which unit it reads the request"
            )
        return await self._say(point.name, offer, (value - point.offset) / point.factor, check)

    async def _say(self, name: str, offer: Offer, shown: float, check: FrameCheck) -> float:
        payload = dsx.encode_value(shown, self._clock.now())
        said = said_on_bus(payload, name, offer.unit)
        check(said)
        count, _ = self.bms.passed(offer.topic)
        self._asked[name] = _Asked(offer, shown, said, count + 1, self._clock.monotonic())
        self.bms.stand(self.equipment, self._withdraw)
        await self.bms.send(offer.topic, payload)
        return said

    async def _repeat(self) -> None:
        """Say what stands again, unless somebody else spoke since: that has to be seen, and not to be drowned."""
        for name, asked in list(self._asked.items()):
            alone = self.bms.passed(asked.offer.topic)[0] == asked.number
            if alone and self._clock.monotonic() - asked.mono_s >= REPEAT_S:
                point = self.profile.point(name)
                offer = self.bms.offer(point.object, point.point, self.name)
                await self._say(name, offer, asked.shown, _only(asked.said))

    async def _echo(self, point: ProfilePoint) -> float:
        asked = self._asked[point.name]
        for _ in range(LOOKS):
            count, last = self.bms.passed(asked.offer.topic)
            if count >= asked.number and last is not None:
                whole = last.good and math.isfinite(last.value)
                return float(in_si(Fraction(last.value), asked.offer.unit)) if whole else math.nan
            await asyncio.sleep(ECHO_S / LOOKS)
        raise SilentError(f"{self.equipment}/{point.name}: the bus did not show the request within {ECHO_S:g} s")

    async def _withdraw(self) -> None:
        """Take back every request that was made; each acknowledged by the broker before it is forgotten."""
        for name, asked in list(self._asked.items()):
            await self.bms.send(asked.offer.topic, dsx.encode_withdrawal(self._clock.now()))
            self._asked.pop(name, None)

    def _writable(self, point: PointId) -> ProfilePoint:
        wanted = self._points.get(point)
        if wanted is None or not wanted.writable:
            raise RefusedError(f"{point}: not a writable point of profile {self.profile.profile}")
        return wanted


def _only(meant: float) -> FrameCheck:
    def check(said: float) -> None:
        if said != meant:
            raise RefusedError(f"{meant:g} would be repeated as {said:g}; not sent")

    return check

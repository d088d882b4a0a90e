"""Taking a device, writing a setpoint, renewing, beating and letting go: the only code that writes to devices."""

from __future__ import annotations

import math
from collections.abc import Mapping

from actuator.guard import guard_frame, guard_register
from actuator.hand import EPOCHS, Driven, FaultError, Hand, WithdrawnError
from actuator.ledger import Detail, Ledger
from actuator.watch import foreign_write, resolution, tolerance
from plant.clock import Clock
from plant.errors import RefusedError, SilentError
from plant.leases import Lease
from plant.points import PointId
from plant.ports import FrameCheck
from plant.topology import Site

BEATS_PER_TIMEOUT = 3
MAX_REWRITES = 1
LEAST_BEAT_S = 0.2
"""A beat that can't surely arrive within this [real s] is not sent: it might arrive too late and outlive its lease."""


class Grip:
    """The wire side of the actuator. Every method expects the hand's lock to be held."""

    def __init__(self, site: Site, clock: Clock, ledger: Ledger, epoch: int) -> None:
        self._site, self._clock, self._ledger, self._epoch = site, clock, ledger, epoch

    async def actuals(self, hand: Hand, effective: Mapping[PointId, float]) -> dict[PointId, float]:
        """What the device follows now [SI] for each of its setpoints: as polled, or its register if it reports none."""
        return {
            point: effective[point] if point in effective else await hand.read_back(point) for point in hand.setpoints
        }

    async def take(
        self, hand: Hand, lease: Lease, actuals: Mapping[PointId, float], *, remote: bool, generation: int
    ) -> None:
        """Make the device ours without a jump: every setpoint register first gets what the device follows already.

        Raises: FaultError `foreign_owner`, `register_implausible` or `frame_mismatch`, WithdrawnError, RefusedError,
            SilentError.
        """
        for point, actual in actuals.items():
            await self._check_register(hand, point, actual)
        await self._claim(hand, remote=remote, generation=generation)
        for point, actual in actuals.items():
            await hand.write(point, actual, generation, self._frame_check(point, actual))
        hand.beat = int(await hand.read_back(hand.drive.heartbeat))
        mono_s = self._clock.monotonic()
        if mono_s + hand.drive.timeout_s > lease.expires_mono_s:
            raise WithdrawnError(f"{hand.equipment}: taking it took so long that its timeout would outlive the lease")
        hand.taken = True
        await hand.beat_now(mono_s, generation)
        if hand.drive.enable:
            await hand.put_number(hand.drive.enable, 1, generation)
        if generation != hand.generation:
            raise WithdrawnError(f"{hand.equipment}: given up while it was taken")
        hand.taken_s, hand.release_due, hand.mode_strikes = self._clock.now(), False, 0

    async def _claim(self, hand: Hand, *, remote: bool, generation: int) -> None:
        """Put our epoch in the owner register; a newer owner is left alone while it drives."""
        if remote:
            await self.refuse_foreign(hand)
        if hand.drive.owner:
            await hand.put_number(hand.drive.owner, self._epoch % EPOCHS, generation)

    async def refuse_foreign(self, hand: Hand) -> None:
        """Where a newer owner (serial arithmetic) drives the device. Raises: FaultError `foreign_owner`."""
        owner = await hand.owner()
        if owner is not None and 0 < (owner - self._epoch) % EPOCHS < EPOCHS // 2:
            text = f"{hand.equipment}: epoch {owner} drives it, this process has {self._epoch}"
            raise FaultError("foreign_owner", hand.equipment, text, {"ours": self._epoch, "found": owner})

    async def _check_register(self, hand: Hand, point: PointId, actual: float) -> None:
        """Before the first write of a hold: both what a register holds and what its device follows must be possible.

        With a wrong scale, unit or word order in the profile they are not: a frame made by the same profile would
        decode to what was meant, and tell the device something else.
        """
        found = await hand.read_back(point)
        for value in (found, actual):
            verdict = guard_register(value, self._site.envelopes[point])
            if not verdict.allowed:
                raise FaultError("register_implausible", point, verdict.text, {"found": value})

    def _frame_check(self, point: PointId, meant: float) -> FrameCheck:
        """What the guard says to a frame before it leaves."""
        envelope, within = self._site.envelopes[point], resolution(self._site, point)

        def check(said: float) -> None:
            verdict = guard_frame(meant, said, envelope, within)
            if not verdict.allowed:
                raise FaultError("frame_mismatch", point, verdict.text, {"meant": meant, "sent": said})

        return check

    async def put(self, hand: Hand, lease: Lease, value: float, actual: float, generation: int) -> float:
        """Write one setpoint [SI] and read it back; the device follows the lease from here on.

        Raises: FaultError, WithdrawnError, RefusedError, SilentError.
        """
        point, within = lease.point, tolerance(self._site, lease.point)
        if not lease.live(self._clock.monotonic()):
            raise WithdrawnError(f"{point}: the lease expired before it could be written")
        hand.must_be_current(lease)
        sent = await hand.write(point, value, generation, self._frame_check(point, value))
        found = await self._settled(hand, point, sent, within)
        if not abs(found - sent) <= within:
            raise foreign_write(point, sent, found)
        if generation != hand.generation:
            raise WithdrawnError(f"{point}: the hold on {hand.equipment} was given up meanwhile")
        mono_s = self._clock.monotonic()
        if not abs(value - actual) <= within:
            hand.changed_mono_s[point] = mono_s
        rewrites = hand.driven[point].rewrites if point in hand.driven else 0
        hand.leases[point, lease.holder] = lease  # written before it was outdated: it is what is held
        hand.driven[point] = Driven(lease, sent, self._clock.now(), off_since_mono_s=mono_s, rewrites=rewrites)
        return found

    async def _settled(self, hand: Hand, point: PointId, sent: float, within: float) -> float:
        """Read back, twice if the first differs."""
        found = await hand.read_back(point)
        return found if abs(found - sent) <= within else await hand.read_back(point)

    async def renewed(self, hand: Hand, lease: Lease) -> bool:
        """Prolong without a write; False if the register has changed and one rewrite is due.

        Raises: FaultError `foreign_write` the second time, RefusedError, SilentError.
        """
        driven = hand.driven[lease.point]
        generation = hand.generation
        found = await hand.read_back(lease.point)
        if generation != hand.generation:
            raise WithdrawnError(f"{lease.point}: the hold on {hand.equipment} was given up meanwhile")
        hand.must_be_current(lease)
        if abs(found - driven.value) <= tolerance(self._site, lease.point):
            driven.lease = lease
            return True
        driven.rewrites += 1
        if driven.rewrites > MAX_REWRITES:
            raise foreign_write(lease.point, driven.value, found)
        return False

    async def beat(self, hand: Hand) -> None:
        """Beat if due, and only while the device's timeout ends before every lease that it follows.

        Raises: FaultError `foreign_write` (another owner), WithdrawnError, RefusedError, SilentError.
        """
        mono_s = self._clock.monotonic()
        if mono_s - hand.beat_mono_s < hand.drive.timeout_s / BEATS_PER_TIMEOUT:
            return
        if hand.held_until_mono_s() < mono_s + hand.drive.timeout_s:
            return
        generation = hand.generation
        owner = await hand.owner()
        if owner is not None and owner != self._epoch % EPOCHS:
            text = f"{hand.equipment}: epoch {owner} took it over, this process has {self._epoch}"
            raise FaultError("foreign_write", hand.equipment, text, {"ours": self._epoch, "found": owner})
        mono_s = self._clock.monotonic()
        slack_s = hand.held_until_mono_s() - mono_s - hand.drive.timeout_s
        limit_s = self._clock.real(slack_s) if self._clock.real(1.0) > 0 else math.inf
        if slack_s < 0 or limit_s < LEAST_BEAT_S:
            return
        await hand.bounded(hand.drive.heartbeat, hand.beat_now(mono_s, generation), limit_s)

    async def release(self, hand: Hand, *, force: bool) -> bool:
        """Switch remote off; the device goes to its default by its own ramp. False if it was not confirmed.

        Unless forced, a device that another epoch owns is left alone.
        """
        try:
            if not force and await hand.owner() not in {None, self._epoch % EPOCHS}:
                hand.release_due = False
                return True
            if hand.drive.enable:
                await hand.put_number(hand.drive.enable, 0, hand.generation)
        except (SilentError, RefusedError) as error:
            self._unconfirmed(hand, str(error))
            return False
        hand.release_due = False
        self._ledger.withdraw(hand.name, "release_unconfirmed")
        detail: Detail = {"forced": force, "confirmed": True}
        self._ledger.keep("actuator", "released", hand.equipment, detail)
        return True

    def _unconfirmed(self, hand: Hand, why: str) -> None:
        """It does not answer: its own timeout does the work, and until then a person should know."""
        if hand.lapsed(self._clock.monotonic()):
            hand.release_due = False
        text = f"{hand.equipment} did not confirm that it lets go ({why})"
        self._ledger.raise_condition(hand.name, "release_unconfirmed", hand.equipment, text, {})

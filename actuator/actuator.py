"""The actuator: leases in, guarded writes out, heartbeats while leases live, and letting go when they end."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Mapping

import msgspec

from actuator.admission import Admission
from actuator.drives import drivable, setpoints_of, why_advisory
from actuator.faults import LOCKING, code_of
from actuator.grip import Grip
from actuator.guard import GuardVerdict
from actuator.hand import FaultError, Hand, WithdrawnError
from actuator.ledger import Audit, Detail, Ledger
from actuator.watch import check
from plant.clock import Clock
from plant.intents import Answer
from plant.leases import Lease
from plant.live import LiveTable
from plant.points import PointId
from plant.ports import DeviceLink
from plant.records import Condition
from plant.running import ActuatorState
from plant.topology import Site

log = logging.getLogger(__name__)
TICKS_PER_TIMEOUT = 12
LEAST_REAL_WAIT_S = 0.05


class Actuator:
    """Owns every driven device of one process.

    devices: by the name of their drive. A device has one remote switch for all setpoints of one drive, so its leases
    live and die together: when one driven setpoint is let go, all of that drive go to their defaults.
    call_timeout_s, release_timeout_s: bounds of one call and of one device's release [real s]; follow_s: how long a
    device may take to follow [s]; lockout_s: how long a controller stays away from a device that somebody else wanted
    otherwise [s].
    """

    def __init__(
        self,
        site: Site,
        devices: Mapping[str, DeviceLink],
        live: LiveTable,
        clock: Clock,
        audit: Audit,
        epoch: int,
        writable: frozenset[str],
        *,
        call_timeout_s: float = 3.0,
        release_timeout_s: float = 8.0,
        follow_s: float = 300.0,
        lockout_s: float = 900.0,
    ) -> None:
        self._site, self._clock, self._epoch = site, clock, epoch
        self._release_timeout_s, self._follow_s, self._lockout_s = release_timeout_s, follow_s, lockout_s
        self._ledger = Ledger(audit, clock)
        self._grip = Grip(site, clock, self._ledger, epoch)
        self._admission = Admission(site, live, clock, epoch)
        self._hands = {
            name: Hand(name, drive, devices[name], setpoints_of(site, drive), call_timeout_s)
            for name, drive in site.drives.items()
            if name in devices and drive.equipment in writable and drivable(drive)
        }
        self._hand_of = {point: hand for hand in self._hands.values() for point in hand.setpoints}

    async def request(self, lease: Lease) -> Answer:
        """Hold a setpoint until the lease ends: guard, audit, write, read back; or a refusal in words."""
        hand = self._hand_of.get(lease.point)
        if hand is None:
            return self._refused(lease, "advisory", f"{lease.point}: {why_advisory(self._site, lease.point)}")
        hand.asked_mono_s = self._clock.monotonic()
        async with hand.lock:
            try:
                return await self._hold(hand, lease)
            except Exception as error:  # noqa: BLE001 - whatever one device does, the others go on
                await self._fail(hand, error)
                return self._refused(lease, code_of(error), str(error))

    async def relinquish(self, points: Iterable[PointId] | None, actor: str, reason: str) -> Answer:
        """Let go of these points' devices, or with None of every device, all at once and each bounded in time.

        Leases are gone when this is called, not when it ends, also those on their way: a device that hangs times out by
        itself.
        """
        everything = points is None
        wanted = None if points is None else {p.rpartition("/")[0] for p in points}
        hands = [h for h in self._hands.values() if wanted is None or h.equipment in wanted]
        for hand in hands:
            hand.drop()
            hand.given_up_mono_s = self._clock.monotonic()
        chosen = [h for h in hands if everything or h.release_due]
        subject = "all" if wanted is None else ", ".join(sorted(wanted))
        self._ledger.keep(actor, "relinquish", subject, {"reason": reason, "devices": len(chosen)})
        done = await asyncio.gather(*(self._release_in_time(hand, force=everything) for hand in chosen))
        silent = [hand.equipment for hand, ok in zip(chosen, done, strict=True) if not ok]
        self._ledger.keep(actor, "relinquished", subject, {"unconfirmed": ", ".join(silent)})
        if silent:
            text = f"not confirmed by {', '.join(silent)}: no more heartbeats, so each reverts by its own timeout"
            return Answer(accepted=False, text=text)
        return Answer(accepted=True, text=f"{len(chosen)} device(s) go to their defaults")

    def outdate(self, points: Iterable[PointId]) -> None:
        """What was asked for before now and is not written yet is not written any more; what is held stays held."""
        for hand in (self._hand_of[p] for p in points if p in self._hand_of):
            hand.outdate(self._clock.monotonic())

    async def run(self) -> None:
        """Keep every device until cancelled; each has its own loop, so one that hangs delays no other's heartbeat."""
        async with asyncio.TaskGroup() as group:
            for hand in self._hands.values():
                group.create_task(self._keep(hand))

    async def tick(self) -> None:
        """One round over all devices: expiry, watch, hand-over, heartbeat. `run` does this by itself."""
        await asyncio.gather(*(self._tick_safely(hand) for hand in self._hands.values()))

    def state(self) -> ActuatorState:
        """What is held and done."""
        mono_s = self._clock.monotonic()
        return ActuatorState(
            epoch=self._epoch,
            leases=tuple(lease for h in self._hands.values() for lease in h.leases.values() if lease.live(mono_s)),
            accepted_commands=self._ledger.accepted,
            refused_commands=self._ledger.refused,
            writable_points=tuple(p for h in self._hands.values() for p in h.setpoints),
        )

    def last_beat_mono_s(self, drive: str) -> float:
        """When the heartbeat of a drive (by its name) was last changed [s]; -inf if never."""
        return self._hands[drive].beat_mono_s

    def conditions(self) -> list[Condition]:
        """What is wrong with driven devices now."""
        return self._ledger.conditions()

    # one lease

    async def _hold(self, hand: Hand, lease: Lease) -> Answer:
        mono_s = self._clock.monotonic()
        refusal = self._admission.not_now(hand, lease, mono_s)
        if refusal:
            return self._refused(lease, *refusal)
        generation = hand.generation
        actuals = await self._grip.actuals(hand, self._admission.effective(hand))
        if generation != hand.generation:
            raise WithdrawnError(f"{lease.point}: the hold on {hand.equipment} was given up meanwhile")
        verdict = self._admission.judge(hand, lease, actuals[lease.point])
        if not verdict.allowed:
            return self._refused(lease, verdict.code, verdict.text)
        self._admission.note(lease)
        before = hand.leases.get((lease.point, lease.holder))
        hand.leases[lease.point, lease.holder] = lease
        winner = hand.winner(lease.point, mono_s + hand.drive.timeout_s)
        if winner is not None and winner is not lease:
            return Answer(accepted=True, text=f"{lease.point}: waits behind {winner.holder}")
        try:
            answer = await self._drive(hand, lease, verdict, actuals)
        except WithdrawnError:
            hand.put_back(lease, before)
            raise
        if not answer.accepted:
            hand.put_back(lease, before)
        return answer

    async def _drive(self, hand: Hand, lease: Lease, verdict: GuardVerdict, actuals: Mapping[PointId, float]) -> Answer:
        driven = hand.driven.get(lease.point)
        ours = hand.taken and not hand.lapsed(self._clock.monotonic())
        same = driven is not None and self._admission.same(lease.point, verdict.value, driven.value)
        if ours and same and await self._grip.renewed(hand, lease):
            return Answer(accepted=True, text=f"{lease.point}: renewed")
        left = [] if ours else self._admission.left_behind(hand)
        if left:
            await self._grip.refuse_foreign(hand)
            text = f"{lease.point}: waits until what an earlier hold left at {', '.join(left)} ends or is asked for too"
            return Answer(accepted=True, text=text)
        return await self._write(hand, lease, verdict, actuals, ours=ours)

    async def _write(
        self, hand: Hand, lease: Lease, verdict: GuardVerdict, actuals: Mapping[PointId, float], *, ours: bool
    ) -> Answer:
        """Audit the intent, write, audit the result. Without a durable intent there is no write."""
        actual = actuals[lease.point]
        unknown = [] if ours else [p for p, v in actuals.items() if not math.isfinite(v)]
        if unknown:
            text = f"{hand.equipment} can't be taken without a jump: {', '.join(unknown)} unknown"
            return self._refused(lease, "actual_unknown", text)
        detail: Detail = {
            "value": verdict.value, "asked": lease.value, "actual": actual, "epoch": lease.epoch, "seq": lease.seq,
            "ttl_s": lease.ttl_s, "reason": lease.reason, "verdict": verdict.code, "takes": not ours,
        }  # fmt: skip
        if lease.why is not None:
            detail |= {"reason_code": lease.why.code, "reason_params": msgspec.json.encode(lease.why.params).decode()}
        if not self._ledger.keep(lease.holder, "write", lease.point, detail):
            return self._refused(lease, "audit_failed", f"{lease.point}: not written, the audit log takes no entries")
        generation = hand.generation
        if not ours:
            await self._grip.take(hand, lease, actuals, remote=self._admission.remote(hand), generation=generation)
        found = await self._grip.put(hand, lease, verdict.value, actual, generation)
        self._ledger.accepted += 1
        self._ledger.withdraw(hand.name)
        self._ledger.keep(lease.holder, "written", lease.point, {"read_back": found, "seq": lease.seq})
        return Answer(accepted=True, text=verdict.text)

    # one device

    async def _keep(self, hand: Hand) -> None:
        wait_s = max(self._clock.real(hand.drive.timeout_s / TICKS_PER_TIMEOUT), LEAST_REAL_WAIT_S)
        while True:
            await self._tick_safely(hand)
            await asyncio.sleep(wait_s)

    async def _tick_safely(self, hand: Hand) -> None:
        async with hand.lock:
            try:
                await self._tick_device(hand)
            except Exception as error:  # noqa: BLE001 - whatever one device does, the others go on
                await self._fail(hand, error)

    async def _tick_device(self, hand: Hand) -> None:
        mono_s = self._clock.monotonic()
        hand.leases = {key: lease for key, lease in hand.leases.items() if lease.live(mono_s)}
        if hand.taken and hand.lapsed(mono_s):
            self._let_go(hand, "the device's own timeout has ended the hold")
        elif any(hand.winner(point, mono_s) is None for point in hand.driven):
            self._let_go(hand, "a lease ended")
        elif hand.taken and not hand.driven:
            self._let_go(hand, "nothing was written after it was taken")
        if hand.release_due:
            await self._grip.release(hand, force=False)
        elif not hand.taken:
            for code in self._admission.over(hand, mono_s, self._follow_s):
                self._ledger.withdraw(hand.name, code)
        await self._hand_over(hand)
        if not hand.driven:
            return
        if hand.held_until_mono_s() >= mono_s + hand.drive.timeout_s:
            check(self._site, hand, self._admission.snapshot(hand), mono_s, self._follow_s)
        await self._grip.beat(hand)

    async def _hand_over(self, hand: Hand) -> None:
        """The lease that holds a point gets it, if the guard lets it: the next in rank, or one that had to wait."""
        ahead_mono_s = self._clock.monotonic() + hand.drive.timeout_s
        for point in hand.setpoints:
            winner, driven = hand.winner(point, ahead_mono_s), hand.driven.get(point)
            if winner is None or (driven is not None and winner is driven.lease):
                continue
            generation = hand.generation
            actuals = await self._grip.actuals(hand, self._admission.effective(hand))
            if generation != hand.generation:
                return
            verdict = self._admission.judge(hand, winner, actuals[point])
            if verdict.allowed:
                await self._drive(hand, winner, verdict, actuals)

    def _let_go(self, hand: Hand, why: str) -> None:
        points = hand.drop()
        self._ledger.keep("actuator", "relinquish", hand.equipment, {"reason": why, "points": ", ".join(points)})

    async def _fail(self, hand: Hand, error: Exception) -> None:
        """Drop the device's leases, say why, and let it go to its default."""
        code = code_of(error)
        if code == "withdrawn":
            return
        subject = error.subject if isinstance(error, FaultError) else hand.equipment
        params = error.params if isinstance(error, FaultError) else {}
        if code == "actuator_fault":
            log.error("%s: unexpected error; the device is let go", hand.equipment, exc_info=error)
        self._ledger.raise_condition(hand.name, code, subject, str(error), params)
        self._let_go(hand, f"{code}: {error}")
        if code in LOCKING:
            hand.locked_until_mono_s = self._clock.monotonic() + self._lockout_s
        if hand.release_due and code != "write_silent":
            await self._release_quietly(hand)

    async def _release_quietly(self, hand: Hand) -> None:
        try:
            await self._grip.release(hand, force=False)
        except Exception:  # a second failure of a failed device; the next tick tries again
            log.exception("%s: could not be let go; its own timeout does", hand.equipment)

    async def _release_in_time(self, hand: Hand, *, force: bool) -> bool:
        try:
            async with asyncio.timeout(self._release_timeout_s), hand.lock:
                return await self._grip.release(hand, force=force)
        except Exception as error:  # noqa: BLE001 - one device must not keep the others from letting go
            text = f"{hand.equipment} did not confirm that it lets go ({error or type(error).__name__})"
            self._ledger.raise_condition(hand.name, "release_unconfirmed", hand.equipment, text, {})
            return False

    def _refused(self, lease: Lease, code: str, text: str) -> Answer:
        self._ledger.refused += 1
        detail: Detail = {"code": code, "text": text, "value": lease.value, "seq": lease.seq, "epoch": lease.epoch}
        self._ledger.keep(lease.holder, "refused", lease.point, detail)
        return Answer(accepted=False, text=f"{code}: {text}")

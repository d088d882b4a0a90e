"""Whether a lease may move its device now: what the hold and the guard say, what an earlier hold left behind."""

from __future__ import annotations

import math
from dataclasses import replace

from actuator.faults import FAULT_CODES
from actuator.guard import GuardVerdict, guard
from actuator.hand import Hand
from actuator.watch import REMOTE, effective_point, mode_point, tolerance, watched_points
from plant.clock import Clock
from plant.leases import Lease
from plant.live import LiveTable, Snapshot
from plant.points import PointId
from plant.topology import Site

LASTING = frozenset({"release_unconfirmed", "audit_failed"})
"""Faults that matter also where nobody drives."""


class Admission:
    """Judges leases by what the live table shows. It asks no device and writes nothing."""

    def __init__(self, site: Site, live: LiveTable, clock: Clock, epoch: int) -> None:
        self._site, self._live, self._clock, self._epoch = site, live, clock, epoch
        self._seen: dict[tuple[PointId, str], int] = {}
        self._began_mono_s = clock.monotonic()

    def not_now(self, hand: Hand, lease: Lease, mono_s: float) -> tuple[str, str] | None:
        """Code and text of reasons against it that lie in the hold rather than in the value."""
        point = lease.point
        if lease.epoch == self._epoch and lease.seq <= self._seen.get((point, lease.holder), -1):
            return "replayed", f"{point}: sequence {lease.seq} of {lease.holder} was seen already"
        if lease.issued_mono_s < hand.given_up_mono_s:
            return "withdrawn", f"{point}: {hand.equipment} was given up after this was asked for"
        if lease.issued_mono_s < hand.outdated_mono_s:
            return "withdrawn", f"{point}: asked for before the mode of {hand.equipment} was changed"
        if mono_s < hand.locked_until_mono_s and not lease.by_operator:
            left_s = hand.locked_until_mono_s - mono_s
            return "locked_out", f"{hand.equipment}: left alone for another {left_s:.0f} s after it was lost"
        if lease.live(mono_s) and lease.expires_mono_s < mono_s + hand.drive.timeout_s:
            timeout_s = hand.drive.timeout_s
            return "too_short", f"{point}: the lease ends before the device's own timeout of {timeout_s:.0f} s would"
        return None

    def note(self, lease: Lease) -> None:
        """It was let in: the same sequence number again is a replay."""
        self._seen[lease.point, lease.holder] = lease.seq

    def judge(self, hand: Hand, lease: Lease, actual: float) -> GuardVerdict:
        """The guard, told that repeating what is held is no step; a step cut short may be held while it dwells."""
        driven = hand.driven.get(lease.point)
        if driven is None or not math.isfinite(actual) or hand.lapsed(self._clock.monotonic()):
            return self._guard(hand, lease, actual)
        if self.same(lease.point, lease.value, driven.value):
            return self._guard(hand, lease, lease.value)
        verdict = self._guard(hand, lease, actual)
        if verdict.code == "dwell" and lease.value == driven.lease.value:
            return self._guard(hand, replace(lease, value=driven.value), driven.value)
        return verdict

    def _guard(self, hand: Hand, lease: Lease, actual: float) -> GuardVerdict:
        envelope = self._site.envelopes[lease.point]
        snapshot = self._live.select((*envelope.inputs, *envelope.dew_point_points))
        changed_mono_s = hand.changed_mono_s.get(lease.point, -math.inf)
        mono_s = self._clock.monotonic()
        return guard(lease, envelope, actual, changed_mono_s, snapshot, mono_s, epoch=self._epoch)

    def same(self, point: PointId, one: float, other: float) -> bool:
        """Whether a device can't tell the two values [SI] apart."""
        return abs(one - other) <= tolerance(self._site, point)

    def left_behind(self, hand: Hand) -> list[PointId]:
        """Setpoints of an earlier hold that the device may follow still and that no lease of ours covers.

        Whose leases these were is forgotten; our first heartbeat would keep them alive beyond their end.
        """
        mono_s = self._clock.monotonic()
        if mono_s >= max(self._began_mono_s, hand.beat_mono_s) + hand.drive.timeout_s or not self.remote(hand):
            return []
        return [point for point in hand.setpoints if hand.winner(point, mono_s) is None]

    def over(self, hand: Hand, mono_s: float, quiet_s: float) -> list[str]:
        """Faults of a device that is not held and that are over: it shows that it was let go, or nobody asks for it.

        quiet_s: for how long [s]; what hinders driving is no news where nothing is to be driven.
        """
        shown = [] if self.remote(hand) else ["release_unconfirmed"]
        return shown + [c for c in FAULT_CODES if c not in LASTING and mono_s - hand.asked_mono_s > quiet_s]

    def snapshot(self, hand: Hand) -> Snapshot:
        """What is polled of the device."""
        return self._live.select(watched_points(self._site, hand))

    def remote(self, hand: Hand) -> bool:
        """Whether the device may follow a remote writer now; one that does not say may."""
        return self.snapshot(hand).get(mode_point(self._site, hand.drive), REMOTE) == REMOTE

    def effective(self, hand: Hand) -> dict[PointId, float]:
        """The polled setpoints that the device follows [SI], NaN where not GOOD; absent if it reports none."""
        snapshot = self.snapshot(hand)
        reported = {p: effective_point(p) for p in hand.setpoints}
        return {p: snapshot.get(e) for p, e in reported.items() if e in self._site.points}

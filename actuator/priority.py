"""Who wins a point: operator over controller over nobody (the device's own default)."""

from __future__ import annotations

from collections.abc import Iterable

from plant.leases import Lease


def resolve(leases: Iterable[Lease], mono_s: float) -> Lease | None:
    """The lease that holds at `mono_s` [s], or None; among equals the newest wins."""
    live = [lease for lease in leases if lease.live(mono_s)]
    return max(live, key=lambda lease: (lease.by_operator, lease.epoch, lease.seq), default=None)

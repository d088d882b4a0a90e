"""Whether what an envelope must see is seen: each input itself, or enough others that show the same quantity. Pure."""

from __future__ import annotations

import math

from plant.leases import Envelope
from plant.live import Snapshot
from plant.points import PointId

LEAST_STAND_INS = 2
"""One neighbour alone may be wrong, and nobody would see it."""


def lost(envelope: Envelope, snapshot: Snapshot) -> tuple[PointId, ...]:
    """Its inputs that are not good."""
    return tuple(point for point in envelope.inputs if not math.isfinite(snapshot.get(point)))


def unseen(envelope: Envelope, snapshot: Snapshot) -> tuple[PointId, ...]:
    """Its inputs that are not good while too few of their stand-ins are."""
    shown = sum(math.isfinite(snapshot.get(point)) for point in envelope.stand_ins)
    return () if shown >= LEAST_STAND_INS else lost(envelope, snapshot)

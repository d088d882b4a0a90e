"""Power of pods that were let in and that no meter shows yet: without it a burst of pods would share one rack's room.

kube-scheduler asks about a hundred pods a second; rack powers are read, and rooms reckoned, once a minute. So what the
filter let pass is held back from the room of the next ones for a while: on the rack that the pod will most likely go to
(the best-scored, of equals the one with the least held), and on every budget above it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from placement.node_table import Array, NodeTable

HELD_S = 90.0
"""Until `k8s sync` has told the pod (10 s), or its power is in a rack's reading and in the next headroom (60 s) [s]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Budgeted:
    """A budget that counts: what may still start under it [W], and the part of each rack's power that counts on it."""

    scope: str
    room_w: float
    shares: Mapping[str, float]


@dataclass(slots=True)
class Promises:
    """By pod: until when [s], which rack, how much [W]. steady_s: a clock that never jumps; version: of its state."""

    steady_s: Callable[[], float]
    version: int = 0
    _held: dict[str, tuple[float, str, float]] = field(default_factory=dict)

    def hold(self, pod: str, racks: Iterable[str], power_w: float) -> None:
        """Count a pod on one of these racks, the one with the least held; what it held before is let go."""
        held = self.by_rack(pod)
        rack = min(racks, key=lambda name: held.get(name, 0.0))
        self._held[pod] = (self.steady_s() + HELD_S, rack, power_w)
        self.version += 1

    def let_go(self, pod: str) -> None:
        """It was not let in after all."""
        if self._held.pop(pod, None) is not None:
            self.version += 1

    def __contains__(self, pod: str) -> bool:
        return pod in self._held

    def by_rack(self, but: str = "") -> dict[str, float]:
        """Rack -> watts held there now, but those of one pod."""
        now_s = self.steady_s()
        over = [pod for pod, (until_s, _, _) in self._held.items() if until_s <= now_s]
        for pod in over:
            del self._held[pod]
        self.version += bool(over)
        found: dict[str, float] = {}
        for pod, (_, rack, power_w) in self._held.items():
            if pod != but:
                found[rack] = found.get(rack, 0.0) + power_w
        return found


def lessened(table: NodeTable, budgets: Sequence[Budgeted], held: Mapping[str, float]) -> NodeTable:
    """The table with what is held, rack -> [W], off its racks' rooms and off every budget."""
    if not held:
        return table
    gone_w = np.array([held.get(rack, 0.0) for rack in table.racks])
    cap_w, capped_by = table.cap_w, table.capped_by
    for budget in budgets:
        taken_w = sum(budget.shares.get(rack, 0.0) * watts for rack, watts in held.items())
        if taken_w > 0.0:
            cap_w, capped_by = _capped(table.racks, budget, taken_w, cap_w, capped_by)
    room_w = np.maximum(table.room_w - gone_w, 0.0)
    return replace(table, room_w=room_w, cap_w=cap_w, capped_by=capped_by)


def _capped(
    racks: Sequence[str], budget: Budgeted, taken_w: float, cap_w: Array, capped_by: tuple[str, ...]
) -> tuple[Array, tuple[str, ...]]:
    left_w = max(budget.room_w - taken_w, 0.0)
    by_rack = {rack: left_w / share for rack, share in budget.shares.items() if share > 0.0}
    wanted = np.array([by_rack.get(rack, math.inf) for rack in racks])
    lower = wanted < cap_w
    scopes = list(capped_by)
    for i in lower.nonzero()[0].tolist():
        scopes[i] = budget.scope
    return np.minimum(wanted, cap_w), tuple(scopes)

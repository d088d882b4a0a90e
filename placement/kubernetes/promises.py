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
    """By pod: until when [s], which rack, how much [W]. steady_s: a clock that never jumps."""

    steady_s: Callable[[], float]
    _held: dict[str, tuple[float, str, float]] = field(default_factory=dict)
    _pods: dict[str, dict[str, float]] = field(default_factory=dict)
    _sums: dict[str, float] = field(default_factory=dict)

    def hold(self, pod: str, racks: Iterable[str], power_w: float) -> None:
        """Count a pod on one of these racks, the one with the least held; what it held before is let go."""
        self.let_go(pod)
        held = self.by_rack()
        rack = min(racks, key=lambda name: held.get(name, 0.0))
        self._held[pod] = (self.steady_s() + HELD_S, rack, power_w)
        self._pods.setdefault(rack, {})[pod] = power_w
        self._sum(rack)

    def let_go(self, pod: str) -> None:
        """It was not let in after all."""
        if pod in self._held:
            _, rack, _ = self._held.pop(pod)
            del self._pods[rack][pod]
            self._sum(rack)

    def by_rack(self, but: str = "") -> dict[str, float]:
        """Rack -> watts held there now, but those of one pod."""
        now_s = self.steady_s()
        while self._held:
            oldest = next(iter(self._held))  # all are held equally long, and what is held again goes to the end
            if self._held[oldest][0] > now_s:
                break
            self.let_go(oldest)
        found = self._sums.copy()
        if but in self._held:
            rack = self._held[but][1]
            found[rack] = math.fsum(w for pod, w in self._pods[rack].items() if pod != but)
        return found

    def _sum(self, rack: str) -> None:
        """Anew from its pods: a sum that is carried on would keep the rounding of what has left it."""
        self._sums[rack] = math.fsum(self._pods[rack].values())
        if not self._pods[rack]:
            del self._pods[rack], self._sums[rack]


class Lessening:
    """Takes what is held off a table's rooms and off every budget. table: a row for each rack.

    Budgets are held as one list of (budget, rack, share), in their order: ten thousand nodes have hundreds of racks,
    and this is reckoned anew for every pod.
    """

    def __init__(self, table: NodeTable, budgets: Sequence[Budgeted]) -> None:
        number = {rack: i for i, rack in enumerate(table.racks)}
        parts = [
            (b, number[rack], share)
            for b, budget in enumerate(budgets)
            for rack, share in budget.shares.items()
            if share > 0.0 and rack in number
        ]
        self._table, self._number, self._scopes = table, number, [b.scope for b in budgets]
        self._room_w = np.array([b.room_w for b in budgets], dtype=np.float64)
        self._budget = np.array([b for b, _, _ in parts], dtype=np.intp)
        self._rack = np.array([r for _, r, _ in parts], dtype=np.intp)
        self._share = np.array([s for _, _, s in parts], dtype=np.float64)

    def by(self, held: Mapping[str, float]) -> NodeTable:
        """The table with what is held, rack -> [W], off it."""
        table = self._table
        if not held:
            return table
        gone_w = np.zeros(len(table.racks))
        for rack, watts in held.items():
            gone_w[self._number[rack]] = watts
        taken_w = np.bincount(self._budget, self._share * gone_w[self._rack], len(self._scopes))
        left_w = np.maximum(self._room_w - taken_w, 0.0)[self._budget] / self._share
        cap_w = table.cap_w.copy()
        np.minimum.at(cap_w, self._rack, left_w)
        return replace(
            table,
            room_w=np.maximum(table.room_w - gone_w, 0.0),
            cap_w=cap_w,
            capped_by=self._capped_by(cap_w, left_w),
        )

    def _capped_by(self, cap_w: Array, left_w: Array) -> tuple[str, ...]:
        """Where a budget leaves a rack less than the table says, the first of those that leave it the least."""
        least = (left_w == cap_w[self._rack]) & (left_w < self._table.cap_w[self._rack])
        scopes = list(self._table.capped_by)
        for rack, budget in zip(self._rack[least][::-1].tolist(), self._budget[least][::-1].tolist(), strict=True):
            scopes[rack] = self._scopes[budget]
        return tuple(scopes)

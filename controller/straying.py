"""How far a loop's own control lets its supply stray from the setpoint: so much each limit of it must keep.

Valves follow a load step late, and how late is no design figure: what was seen counts, the further the longer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller import inputs
from plant.live import Snapshot
from plant.topology import Site

FADES_S = 3 * 86400.0
"""What was seen counts half after three days."""
FOLLOWED_S = 600.0
"""A setpoint of so long ago may still be followed: what is between the last ones is no straying."""
BETWEEN_LOOKS = 1.5
"""A peak of minutes lies higher than what looks, a minute to ten apart, happen to see of it."""
SETTLED_K = 1.0
"""A supply further above its setpoints of late is not held: nothing is relaxed until it is."""
MOST_K = 4.0
"""More than this is a fault with a name of its own, which is not to keep a loop away from its limits for a day."""


@dataclass(frozen=True, slots=True)
class Stray:
    """Furthest below and above the setpoint [K], as remembered at at_s [s since 1970]; asked: the last setpoints.

    asked: (time [s since 1970], setpoint [°C]); now_k: how far above all of them the last look found it [K].
    """

    under_k: float = 0.0
    over_k: float = 0.0
    at_s: float = -math.inf
    asked: tuple[tuple[float, float], ...] = ()
    now_k: float = 0.0

    @property
    def unheld_k(self) -> float:
        """How far the supply stands above what was asked of the loop's own control [K]; 0 where that holds it."""
        return self.now_k if self.now_k > SETTLED_K else 0.0

    @property
    def kept_k(self) -> tuple[float, float]:
        """What limits keep of it [K]: from the lower ones, and from the upper ones."""
        under_k, over_k = (min(BETWEEN_LOOKS * k, MOST_K) for k in (self.under_k, self.over_k))
        return under_k, over_k

    def kept_beside(self, standing: Collection[str]) -> tuple[float, float]:
        """The same where units stand that nobody here can start: as far over as any, whatever was seen so far."""
        under_k, over_k = self.kept_k
        return under_k, MOST_K if standing else over_k


STEADY = Stray()


def strayed(strays: Mapping[str, Stray], site: Site, snapshot: Snapshot, now_s: float) -> dict[str, Stray]:
    """What is known after one more look, by group."""
    found = dict(strays)
    for group in site.groups.values():
        command = group.commands.get(inputs.SUPPLY)
        if command is None or inputs.FLOW in group.commands:
            continue
        asked_c = snapshot.get(inputs.effective_point(site, command))
        supply_c = inputs.supply(site, snapshot, group)
        if math.isfinite(asked_c + supply_c):
            found[group.id] = looked(strays.get(group.id, STEADY), asked_c, supply_c, now_s)
    return found


def looked(stray: Stray, asked_c: float, supply_c: float, now_s: float) -> Stray:
    """One look later: what it shows, or what is left of the furthest before."""
    asked = (*((at_s, c) for at_s, c in stray.asked if 0.0 <= now_s - at_s <= FOLLOWED_S), (now_s, asked_c))
    left = 0.5 ** (max(now_s - stray.at_s, 0.0) / FADES_S)
    now_k = supply_c - max(c for _, c in asked)
    return Stray(
        under_k=max(left * stray.under_k, min(c for _, c in asked) - supply_c),
        over_k=max(left * stray.over_k, now_k),
        at_s=now_s,
        asked=asked,
        now_k=now_k,
    )

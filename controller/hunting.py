"""Does a loop hunt? Sign changes of its error beyond a band, counted over a window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controller import inputs
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site

WINDOW_S = 1800.0
CHANGES = 6
"""So many sign changes within the window are no answer to a load step or to a move of ours: those have two."""
SUPPLY_BAND_K = 0.75
DP_BAND_SHARE = 0.06
_MEASURED = {inputs.SUPPLY: "tcs_supply_temperature", inputs.DP: "tcs_differential_pressure"}


@dataclass(frozen=True, slots=True)
class Swing:
    """The side on which an error was last seen beyond its band (-1, 0, 1), and when it changed sides [s]."""

    side: int = 0
    changes_s: tuple[float, ...] = ()

    @property
    def hunts(self) -> bool:
        """Whether it changed sides too often."""
        return len(self.changes_s) >= CHANGES


def watched(swings: Mapping[str, Swing], site: Site, snapshot: Snapshot, now_s: float) -> dict[str, Swing]:
    """The swings after one more look, by command point."""
    return {
        point: _looked(swings.get(point, Swing()), error, band, now_s)
        for group in site.groups.values()
        for point, error, band in _errors(site, snapshot, group)
    }


def hunting(swings: Mapping[str, Swing], group: CoolingGroup) -> str:
    """The command point of a group whose loop hunts; empty where none does."""
    return next((p for p in group.commands.values() if p in swings and swings[p].hunts), "")


def _errors(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Iterator[tuple[str, float, float]]:
    for role, name in _MEASURED.items():
        command = group.commands.get(role)
        if command is not None:
            asked = snapshot.get(inputs.effective_point(site, command))
            band = SUPPLY_BAND_K if role == inputs.SUPPLY else DP_BAND_SHARE * inputs.design_value(group, role)
            shown = snapshot.get(f"{group.master}/{name}")
            shown = inputs.supply(site, snapshot, group) if role == inputs.SUPPLY else shown
            yield command, shown - asked, band


def _looked(swing: Swing, error: float, band: float, now_s: float) -> Swing:
    recent = tuple(t for t in swing.changes_s if 0.0 <= now_s - t < WINDOW_S)
    if not abs(error) > band:  # NaN too
        return Swing(swing.side, recent)
    side = int(math.copysign(1, error))
    changed = side == -swing.side
    return Swing(side, (*recent, now_s) if changed else recent)

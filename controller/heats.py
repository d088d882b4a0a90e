"""Heat of a loop's members: as each measures it, or inferred from what is still told around it, and how surely."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from controller.fluids import fluid
from controller.substitutes import inferred
from plant.errors import StaleError
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site


@dataclass(frozen=True, slots=True)
class Heat:
    """Heat into one subject's liquid [W], NaN if unknown; `substitute` or unknown: `detail` says why.

    sd_w: what a substitute may be off by [W].
    """

    heat_w: float
    substitute: bool = False
    detail: str = ""
    sd_w: float = 0.0

    @property
    def known(self) -> bool:
        """Whether there is a number at all."""
        return math.isfinite(self.heat_w)


def measured_heat(site: Site, snapshot: Snapshot, equipment: str) -> float:
    """Q = rho cp flow (return - supply) [W] of a CDU or sidecar.

    Raises:
        StaleError: one of its points is not good.
    """
    flow, supply, back = (
        snapshot.value(f"{equipment}/{name}")
        for name in ("tcs_flow", "tcs_supply_temperature", "tcs_return_temperature")
    )
    return max(fluid(site.coolant, site.glycol_percent).heat_j_m3_k * flow * (back - supply), 0.0)


def cdu_heats(site: Site, snapshot: Snapshot, group: CoolingGroup) -> dict[str, Heat]:
    """Heat of each member; one that does not tell all of its own gets what its surroundings say, where they do."""
    heats: dict[str, Heat] = {}
    for member in group.members:
        try:
            heats[member] = Heat(measured_heat(site, snapshot, member))
        except StaleError as error:
            heats[member] = Heat(math.nan, detail=str(error))
    known = {m: h.heat_w for m, h in heats.items() if h.known}
    for member, told in inferred(site, snapshot, group, known).items():
        substitute = math.isfinite(told.value)
        heats[member] = Heat(told.value, substitute=substitute, detail=heats[member].detail, sd_w=told.sd)
    return heats


def total(members: Mapping[str, Heat]) -> Heat:
    """The heat of all of them: substitutes err together, as they go by the same neighbours."""
    return Heat(
        sum(h.heat_w for h in members.values()),
        substitute=any(h.substitute for h in members.values()),
        detail="; ".join(h.detail for h in members.values() if not h.known),
        sd_w=sum(h.sd_w for h in members.values() if h.known),
    )

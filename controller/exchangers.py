"""How much of its design a CDU's heat exchanger shows now."""

from __future__ import annotations

import math

from controller.facility_plant import figure
from controller.fluids import Fluid
from controller.plates import FILM_EXPONENT
from plant.live import Snapshot
from plant.topology import Site

UA_RESERVE, UNKNOWN_UA_SHARE = 0.95, 0.8
LEAST_SHOWN, LEAST_END_K = 0.15, 0.5
"""From this share of design heat, and these differences at both ends, an exchanger's UA can be told."""
_FIGURES = ("heat_w", "flow_m3_s", "facility_flow_m3_s", "ua_w_k")
_ENDS = ("tcs_supply_temperature", "tcs_return_temperature", "fws_supply_temperature", "fws_return_temperature")


def ua_share(site: Site, snapshot: Snapshot, members: list[str], coolant: Fluid) -> float:
    """Least share of its design film that a remaining exchanger shows now (fouling), with a reserve [1]."""
    shares = [shown_share(site, snapshot, member, coolant) for member in members]
    return min((UA_RESERVE * min(s, 1.0) for s in shares), default=1.0)


def shown_share(site: Site, snapshot: Snapshot, member: str, coolant: Fluid) -> float:
    """UA by heat over logarithmic mean difference against UA of design at these flows [1]; a guess where it is hidden.

    Raises:
        ConfigError: a design figure is missing.
    """
    supply, back, cold, warm = (snapshot.get(f"{member}/{name}") for name in _ENDS)
    flow, water = (snapshot.get(f"{member}/{name}") for name in ("tcs_flow", "fws_flow"))
    design = {key: figure(site.equipment[member], key) for key in _FIGURES}
    heat_w = flow * coolant.heat_j_m3_k * (back - supply)
    ends_k = back - warm, supply - cold
    if not (heat_w > LEAST_SHOWN * design["heat_w"] and min(ends_k) > LEAST_END_K and water > 0):  # NaN too
        return UNKNOWN_UA_SHARE
    films = (flow / design["flow_m3_s"]) ** -FILM_EXPONENT + (water / design["facility_flow_m3_s"]) ** -FILM_EXPONENT
    return float(heat_w / log_mean(*ends_k) * films / (2 * design["ua_w_k"]))


def log_mean(one_k: float, other_k: float) -> float:
    """Logarithmic mean temperature difference [K]."""
    if abs(one_k - other_k) < 1e-6:
        return one_k
    return (one_k - other_k) / math.log(one_k / other_k)

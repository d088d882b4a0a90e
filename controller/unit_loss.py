"""Where a loop comes to if the largest pump or tower that runs stops now, before another one runs in its place.

Setpoints in force stay; towers give what they can, and valves open until the supply is held. The coolant has mixed
within a minute; the facility water holds back what its heat rejection lacks for longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller import model
from controller.design import LoopDesign
from controller.exchange import Array
from controller.model import Load, Setpoints

_SHARES = np.array([[0.5], [0.6], [0.7], [0.8], [0.9], [1.0]])
"""Of the most facility water what is looked at: more of it takes more from the CDUs, and leaves the plates warmer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a loss leaves of a loop, and for how long [s]."""

    design: LoopDesign
    seconds: float


def reached_c(left: Left, load: Load, at: Setpoints, own_share: Array) -> tuple[Array, Array]:
    """Supply and facility water [°C], of the candidates' shape, that a loop comes to with what is left of its plant.

    The least flow that holds the supply counts, all of it where none does. own_share: of the facility water that this
    loop takes where others share the plant [1].
    """
    design, flow_m3_s = left.design.grown or left.design, model.loop_flow(left.design, at.dp_pa)
    valves_m3_s = design.plate.most_w_k / design.water.heat_j_m3_k
    own_m3_s = _SHARES * np.minimum(valves_m3_s, own_share * design.pumps.most_m3_s)
    total_m3_s = own_m3_s / own_share
    pumps_w = model.tcs_pump_w(design, at.dp_pa, flow_m3_s) + design.facility_pump_w(total_m3_s)
    heat_w = load.heat_w + load.other_heat_w + pumps_w
    settled_c = design.rejection.warmest_c(heat_w, total_m3_s, at.facility_c, at.tower_c, load.air)
    facility_c = at.facility_c + (settled_c - at.facility_c) * _passed(left, total_m3_s)
    tcs_m3_s = np.broadcast_to(flow_m3_s, own_m3_s.shape)
    per_kelvin_w = model.exchanged_w(design, tcs_m3_s, own_m3_s, np.ones_like(own_m3_s))
    supply_c = facility_c + load.heat_w / per_kelvin_w - load.heat_w / (tcs_m3_s * design.coolant.heat_j_m3_k)
    held = supply_c <= at.supply_c
    row = np.where(held.any(axis=0), held.argmax(axis=0), len(_SHARES) - 1), np.arange(len(flow_m3_s))
    return np.maximum(at.supply_c, supply_c[row]), facility_c[row]


def _passed(left: Left, flow_m3_s: Array) -> Array:
    """How much of its way to where it settles the facility water has gone [1].

    A mixed volume whose heat is taken no faster than its water passes; all of it where no volume is known.
    """
    volume_m3 = left.design.lags.facility_m3
    return -np.expm1(-left.seconds * flow_m3_s / volume_m3) if volume_m3 > 0 else np.ones_like(flow_m3_s)

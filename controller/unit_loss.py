"""Where a loop comes to if the largest pump or tower that runs stops now, before another one runs in its place.

Settled: coolant, facility water and basins hold back a loss for three or four minutes, less than it takes to be seen
and to start another one. Setpoints in force stay; valves and pumps open to the full, towers give what they can.
"""

from __future__ import annotations

import numpy as np

from controller import model
from controller.design import LoopDesign
from controller.exchange import Array
from controller.model import Load, Setpoints


def settled_c(left: LoopDesign, load: Load, at: Setpoints, own_share: Array) -> tuple[Array, Array]:
    """Supply and facility water [°C], of the candidates' shape, that a loop comes to with what is left of its plant.

    own_share: of the facility water that this loop takes where others share the plant [1].
    """
    flow_m3_s = model.loop_flow(left, at.dp_pa)
    own_m3_s = np.minimum(left.plate.most_w_k / left.water.heat_j_m3_k, own_share * left.pumps.most_m3_s)
    total_m3_s = own_m3_s / own_share
    pumps_w = model.tcs_pump_w(left, at.dp_pa, flow_m3_s) + left.facility_pump_w(total_m3_s)
    rejected_w = load.heat_w + load.other_heat_w + pumps_w
    facility_c = left.rejection.warmest_c(rejected_w, total_m3_s, at.facility_c, at.tower_c, load.air)
    per_kelvin_w = model.exchanged_w(left, flow_m3_s, own_m3_s, np.ones_like(flow_m3_s))
    reached_c = facility_c + load.heat_w / per_kelvin_w - load.heat_w / (flow_m3_s * left.coolant.heat_j_m3_k)
    return np.maximum(at.supply_c, reached_c), facility_c

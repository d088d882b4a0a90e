"""Pumps and system curves from flows, pressures and powers."""

from __future__ import annotations

import math

from controller.design import CduDesign, RackDesign
from controller.model import FILTER_EXPONENT, FLOW_EXPONENT
from plant.topology import Equipment

LEAST_SHARE = 0.2
"""Of design flow; below it pumps run far from where they are good at anything."""
LEAST_DP_PA = 5e3


def cdu_pump_log(cdu: CduDesign, flow: float, dp_pa: float, power_w: float) -> float:
    """Log of a CDU's pump efficiency over the site file's.

    Hydraulic power, its own pressure drop included, over electric; flow [m³/s], dp_pa across the manifold [Pa].
    """
    share = flow / cdu.flow_m3_s
    if share < LEAST_SHARE or min(dp_pa, power_w) <= 0:
        return math.nan
    hydraulic_w = flow * (dp_pa + cdu.internal_dp_pa * share**FILTER_EXPONENT)
    return math.log(hydraulic_w / power_w / cdu.pump_efficiency)


def facility_pump_log(pump: Equipment, flow: float, head_pa: float, power_w: float) -> float:
    """Log of the facility pumps' efficiency over the site file's."""
    if flow / pump.design["flow_m3_s"] < LEAST_SHARE or min(head_pa, power_w) <= 0:
        return math.nan
    return math.log(flow * head_pa / power_w / pump.design["efficiency"])


def rack_flow_log(rack: RackDesign, flow: float, dp_pa: float) -> float:
    """Log of a rack's flow over what the site file's system curve gives at this differential pressure."""
    if min(flow, dp_pa - LEAST_DP_PA) <= 0:
        return math.nan
    return math.log(flow / rack.flow_m3_s) - FLOW_EXPONENT * math.log(dp_pa / rack.dp_pa)

"""What the loss of the largest CDU does to the hottest case, for whole grids of setpoints.

The loss is reckoned through by `transient`: the pumps left dip, then speed up by their own loop; the valves left open;
cold plates lag. All temperatures of that reckoning may be shifted together, so its peak is a rise over the supply
that depends on flow and on how far facility water lies below the supply: a table, made once for a load.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from controller.design import CduDesign, Lags, LoopDesign, RackDesign
from controller.exchange import Array
from controller.exchangers import UA_RESERVE
from controller.fluids import Fluid
from controller.model import (
    FILTER_EXPONENT,
    FLOW_EXPONENT,
    Load,
    case_temperature,
    exchanged_w,
    facility_flow,
    loop_flow,
)
from controller.transient import Losses, highest_case_c, steady_case_c
from plant.pumping import WhenLost

PUMP_RAMPS, VALVE_STROKES = 1.0, 1.0
"""Ramps and strokes that the pumps and valves left take to where they are needed: their own loops overshoot little."""
SHUT_OFF = 1.3
"""Head without flow over head at design, usual for close-coupled centrifugal pumps."""
HEAT_RESERVE, HEAT_STEP = 1.04, 0.02
"""Pump heat and leakage come on top of the racks' heat; it is rounded up to steps of this share of design, so that a
table serves many cycles."""
TOLERANCE = 0.98
"""Of the hottest GPU's power: its tolerance has a part for uneven flow, which is reckoned through here."""
FACILITY_RESERVE_K = 0.3
"""Facility water warms by its pump's heat, and its own loop gives way a little."""
FLOW_STEP = 0.01
"""Most flow of the CDUs left is rounded down to steps of this share of their design flow."""
KEPT_SHARE = 0.97
"""Of their flow what CDUs that hold their own are counted on for: meters err, and little flow is felt most."""
RUN_OUT_SHARE = 0.95
"""And of what runs out along their curve at one speed, for the curve is that of usual pumps."""
LATE_K, LATE_SHARES, LATE_APPROACHES_K = 0.5, (0.75, 0.63), (6.0, 14.0)
"""At little flow the pumps' own loop is slow; with water far below the supply a case is hotter for it than reckoned.

All of it at the second share of the racks' flow and approach [K], nothing at the first: the simulator's excess is 0.1,
0.2 and 0.4 K at 0.61 of the flow with water 8, 10 and 14 K below the supply, 0.1 K at 0.68 with 14 K, else none.
"""
LEAST_APPROACH_K = 0.5
_FLOW_SHARES = np.geomspace(0.4, 1.3, 9)
_APPROACHES_K = np.array([LEAST_APPROACH_K, 1.5, 2.5, 3.0, 3.5, 4.0, 4.5, 5.5, 8.0, 12.0])
_STEPS_S = (*(1.0,) * 40, *(4.0,) * 30, *(20.0,) * 50)
"""Fine while pumps speed up, then while valves open, then until the loop has mixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """All that a table depends on; what was learned of powers does not count."""

    racks: tuple[tuple[RackDesign, int], ...]
    cdus: tuple[CduDesign, ...]
    coolant: Fluid
    water: Fluid
    lags: Lags
    heat_w: float
    gpu_w: float
    most_m3_s: float
    when_lost: WhenLost
    design: LoopDesign = field(compare=False)


def lost_cdu_case_c(design: LoopDesign, load: Load, supply_c: Array, dp_pa: Array, facility_c: Array) -> Array:
    """The hottest case [°C] from the moment in which the largest CDU stops, with every GPU at load.gpu_w [W].

    Whatever runs on holds its setpoints as they are, with as much flow as the CDUs left can give, or, where none makes
    up for another, with their own flow, or with what they send out at the speed that they had. A group of one CDU has
    nothing left to lose to: then only coldplate's loss counts, the supply stays and the flow is design's.
    """
    design = _as_told(design)
    if len(design.cdus) == 1:
        return _alone_case_c(design, load, supply_c, facility_c)
    facility_c = facility_c + FACILITY_RESERVE_K
    held_c, flow = np.maximum(supply_c, facility_c + LEAST_APPROACH_K), loop_flow(design, dp_pa)
    return held_c + _looked_up(_rises(_case(design, load)), _share(design, flow), held_c - facility_c)


def surely_lost_case_c(design: LoopDesign, load: Load, supply_c: Array, dp_pa: Array, facility_c: Array) -> Array:
    """The same [°C], with what pumps that regain their flow late may add to it."""
    case_c = lost_cdu_case_c(design, load, supply_c, dp_pa, facility_c)
    if len(design.cdus) == 1 or design.when_lost is not WhenLost.MAKES_UP:
        return case_c
    little = np.interp(-_share(design, loop_flow(design, dp_pa)), [-share for share in LATE_SHARES], (0.0, 1.0))
    return case_c + LATE_K * little * np.interp(supply_c - facility_c, LATE_APPROACHES_K, (0.0, 1.0))


def _alone_case_c(design: LoopDesign, load: Load, supply_c: Array, facility_c: Array) -> Array:
    own = loop_flow(design, np.full_like(supply_c, design.index_rack.dp_pa))
    flow = np.minimum(own, design.cdu_flow_m3_s)
    water = np.full_like(supply_c, design.cdu_facility_flow_m3_s)
    per_kelvin_w = exchanged_w(design, flow, water, np.ones_like(supply_c))
    reached_c = facility_c + load.heat_w / per_kelvin_w - load.heat_w / (flow * design.coolant.heat_j_m3_k)
    warm_c, share = np.maximum(supply_c, reached_c), flow / own
    heat = design.coolant.heat_j_m3_k
    cases = [case_temperature(r, warm_c, r.flow_m3_s * share, load.gpu_w, heat) for r, _ in design.racks]
    return np.asarray(np.max(np.stack(cases), axis=0), dtype=np.float64)


def _as_told(design: LoopDesign) -> LoopDesign:
    """No exchanger better than the site file's: seen at every day's flows, it has not shown what it is at a loss's.

    Before the loss, too: valves that are as far closed as a better exchanger lets them be, with a plain one behind
    them, would start from less than the heat that is carried.
    """
    return replace(design, cdus=tuple(replace(c, ua_w_k=min(c.ua_w_k, c.told_ua_w_k)) for c in design.cdus))


def _case(design: LoopDesign, load: Load) -> _Case:
    step_w, rest = HEAT_STEP * design.liquid_heat_w, design.without_largest().cdus
    step_m3_s = FLOW_STEP * sum(c.flow_m3_s for c in rest)
    most_m3_s = sum(c.most_flow_m3_s for c in rest)
    return _Case(
        racks=design.racks,
        cdus=tuple(replace(c, most_flow_m3_s=c.flow_m3_s) for c in design.cdus),
        coolant=design.coolant,
        water=design.water,
        lags=design.lags,
        heat_w=float(step_w * np.ceil(HEAT_RESERVE * load.heat_w / step_w - 1e-6)),
        gpu_w=float(5.0 * np.ceil(TOLERANCE * load.gpu_w / 5.0)),
        most_m3_s=float(step_m3_s * np.floor(most_m3_s / step_m3_s + 1e-9)),
        when_lost=design.when_lost,
        design=design,
    )


def _share(design: LoopDesign, flow_m3_s: Array) -> Array:
    return flow_m3_s / sum(n * r.flow_m3_s for r, n in design.racks)


def _looked_up(table: Array, share: Array, approach_k: Array) -> Array:
    """Between the table's rows (flow) and columns (approach), in straight lines; outside the nearer end."""
    row = np.clip(np.interp(share, _FLOW_SHARES, np.arange(len(_FLOW_SHARES))), 0, len(_FLOW_SHARES) - 1.000001)
    column = np.interp(approach_k, _APPROACHES_K, np.arange(len(_APPROACHES_K)))
    column = np.clip(column, 0, len(_APPROACHES_K) - 1.000001)
    i, j = (np.fmax(place, 0.0).astype(np.intp) for place in (row, column))  # NaN is in no place, and stays NaN
    up, right = row - i, column - j
    near = table[i, j] * (1 - right) + table[i, j + 1] * right
    far = table[i + 1, j] * (1 - right) + table[i + 1, j + 1] * right
    return np.asarray(near * (1 - up) + far * up, dtype=np.float64)


@lru_cache(maxsize=512)
def _rises(case: _Case) -> Array:
    """Peak of the hottest case over the supply [K] by flow share (rows) and approach (columns)."""
    share, approach_k = (a.ravel() for a in np.meshgrid(_FLOW_SHARES, _APPROACHES_K, indexing="ij"))
    peaks = [highest_case_c(_losses(case, rack, share, approach_k), _STEPS_S) for rack, _ in case.racks]
    highest = np.max(np.stack(peaks), axis=0).reshape(len(_FLOW_SHARES), len(_APPROACHES_K))
    return np.asarray(highest, dtype=np.float64)


def _losses(case: _Case, rack: RackDesign, share: Array, approach_k: Array) -> Losses:
    """The loss at a supply of 0 °C, one row for each flow and approach."""
    design, lags = case.design, case.lags
    rest = design.without_largest()
    left = rest.cdu_flow_m3_s / design.cdu_flow_m3_s
    zero = np.zeros_like(share)
    racks_m3_s = sum(n * r.flow_m3_s for r, n in case.racks)
    flow = share * racks_m3_s
    first, ramped_s = _pumps(case, rest, flow, share ** (1 / FLOW_EXPONENT) * design.index_rack.dp_pa, left)
    last = np.minimum(flow, case.most_m3_s)
    if case.when_lost is WhenLost.KEEPS_SPEED:
        first = last = RUN_OUT_SHARE * first
    elif case.when_lost is WhenLost.KEEPS_FLOW:
        first = last = KEPT_SHARE * left * flow
    stream_w_k = flow * case.coolant.heat_j_m3_k
    water = facility_flow(design, np.full_like(share, case.heat_w), flow, zero, -approach_k)
    water = np.minimum(np.where(np.isfinite(water), water, np.inf) * left, rest.cdu_facility_flow_m3_s)
    row = Losses(
        heat_w=zero + case.heat_w,
        supply_c=zero,
        return_c=case.heat_w / stream_w_k,
        least_supply_c=zero,
        facility_c=-approach_k,
        facility_w=zero,
        facility_w_k=zero,
        facility_j_k=zero + 1.0,
        flow_first=first,
        flow_last=np.maximum(first, last),
        flow_most=zero + case.most_m3_s,
        ramped_s=ramped_s,
        water_first=water,
        water_last=zero + rest.cdu_facility_flow_m3_s,
        opened_s=VALVE_STROKES * lags.valve_stroke_s * np.maximum(1 - water / rest.cdu_facility_flow_m3_s, 0.05),
        rest_ua_w_k=zero + UA_RESERVE * rest.cdu_ua_w_k,
        rest_flow=zero + rest.cdu_flow_m3_s,
        rest_water=zero + rest.cdu_facility_flow_m3_s,
        coolant_j_m3_k=zero + case.coolant.heat_j_m3_k,
        water_j_m3_k=zero + case.water.heat_j_m3_k,
        half_m3=zero + 0.5 * lags.volume_m3,
        gpu_w=zero + case.gpu_w,
        liquid_per_gpu=zero + rack.power_w * rack.liquid_fraction / (rack.gpu_power_w * rack.gpus),
        plate_k_w=zero + rack.case_resistance_k_w,
        plate_design_flow=zero + rack.flow_m3_s / rack.gpus,
        plate_flow=zero + rack.flow_m3_s / rack.gpus / racks_m3_s,
        plate_tau_s=zero + lags.plate_tau_s,
        case_c=zero,
        limit_c=zero,
    )
    return replace(row, case_c=steady_case_c(row, zero, flow))


def _pumps(case: _Case, rest: LoopDesign, flow: Array, dp_pa: Array, left: float) -> tuple[Array, Array]:
    """Flow of the pumps left at the speed that they had [m³/s], and how long they take to speed up [s].

    Affinity laws: head = shut-off x speed² - a x flow²; the racks' own curve, filter and exchanger stay as they are.
    """
    own_m3_s, internal_pa = rest.cdu_flow_m3_s, rest.cdu_internal_dp_pa
    design_pa = internal_pa + case.design.index_rack.dp_pa
    steep_pa = (SHUT_OFF - 1) * design_pa

    def asked_pa(through: Array) -> Array:
        """Head at no flow [Pa] that the pumps left need to send it through themselves and the racks."""
        own = through / own_m3_s
        return dp_pa * (through / flow) ** (1 / FLOW_EXPONENT) + internal_pa * own**FILTER_EXPONENT + steep_pa * own**2

    own = left * flow / own_m3_s
    had_pa = dp_pa + internal_pa * own**FILTER_EXPONENT + steep_pa * own**2
    low, high = left * flow, flow
    for _ in range(12):
        middle = 0.5 * (low + high)
        enough = asked_pa(middle) > had_pa
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    wanted_pa = asked_pa(np.minimum(flow, case.most_m3_s))
    faster = np.sqrt(wanted_pa / (SHUT_OFF * design_pa)) - np.sqrt(had_pa / (SHUT_OFF * design_pa))
    return low, PUMP_RAMPS * case.lags.pump_ramp_s * np.clip(faster, 0.05, 1.0)

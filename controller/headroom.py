"""Watts that each rack can still take at today's setpoints, and what each watt costs the facility."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from controller import inputs
from controller.design import LoopDesign, RackDesign, loop_design, rack_design
from controller.fluids import fluid
from controller.inputs import Heat
from controller.model import Load, Setpoints, case_resistance, evaluate, exchanged_w, loop_flow, rack_flow
from controller.outdoor import Outdoor
from controller.problems import limit_values
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.records import Headroom, ShedRequest
from plant.topology import CoolingGroup, Site

_CASE_RESERVE_K = 1.0
_DIFFERENCE_SHARE = 0.02


def group_headrooms(
    site: Site, snapshot: Snapshot, group: CoolingGroup, heat: Heat | None, now_s: float
) -> list[Headroom]:
    """Headroom of every rack of a group; unknown, with the reason, where an input is stale."""
    if inputs.FLOW in group.commands:
        return [_sidecar_rack(site, snapshot, group, rack, heat, now_s) for rack in group.racks]
    try:
        shared_w, marginal = _shared(site, snapshot, group, heat)
    except (StaleError, ConfigError) as error:
        return [unknown(rack, now_s, str(error)) for rack in group.racks]
    return [_rack(site, snapshot, group, rack, shared_w, marginal, now_s) for rack in group.racks]


def without_room(headrooms: Iterable[Headroom], sheds: Iterable[ShedRequest]) -> tuple[Headroom, ...]:
    """The same headrooms, with none for the racks of a loop that asks to have load taken off."""
    racks = {rack for shed in sheds for rack in shed.racks}
    return tuple(replace(h, power_w=0.0, cooling_w=0.0) if h.rack in racks else h for h in headrooms)


def unknown(rack: str, now_s: float, reason: str) -> Headroom:
    """Nothing may be promised for this rack."""
    return Headroom(rack=rack, at_s=now_s, power_w=0.0, cooling_w=0.0, marginal_w_per_w=0.0, known=False, reason=reason)


def _known_heat(heat: Heat | None) -> float:
    if heat is None or not heat.known:
        raise StaleError(heat.detail if heat is not None else "no heat is known yet")
    return heat.heat_w


def _shared(site: Site, snapshot: Snapshot, group: CoolingGroup, heat: Heat | None) -> tuple[float, float]:
    """Liquid heat that the group's CDUs can still take [W], and cooling watts per watt of IT [1]."""
    heat_w, design = _known_heat(heat), loop_design(site, group)
    now = inputs.current_setpoints(site, snapshot, group)
    at = Setpoints.of(np.array([[now[r] for r in inputs.roles(site, group)]]))
    return _spare(design, heat_w, at), _marginal(design, heat_w, inputs.outdoor(site, snapshot, group), at)


def _spare(design: LoopDesign, heat_w: float, at: Setpoints) -> float:
    """Largest heat that still holds the supply setpoint with the facility valves open, less today's [W].

    With return = supply + Q/C, Q = e Cmin (supply + Q/C - facility), hence
    Q = e Cmin (supply - facility) / (1 - e Cmin/C).
    """
    flow = loop_flow(design, at.dp_pa)
    per_kelvin = exchanged_w(design, flow, np.full_like(flow, design.cdu_facility_flow_m3_s), np.ones_like(flow))
    stream = flow * design.coolant.heat_j_m3_k
    most_w = per_kelvin * np.maximum(at.supply_c - at.facility_c, 0.0) / np.maximum(1 - per_kelvin / stream, 0.02)
    rated_w = sum(c.heat_w for c in design.cdus)
    return max(min(float(most_w[0]), rated_w) - heat_w, 0.0)


def _marginal(design: LoopDesign, heat_w: float, air: Outdoor, at: Setpoints) -> float:
    fraction = design.liquid_heat_w / design.rack_power_w
    extra_w, gpu_w = _DIFFERENCE_SHARE * design.liquid_heat_w, design.index_rack.gpu_power_w
    base_w, more_w = (
        evaluate(design, Load(heat_w=w, it_w=w / fraction, gpu_w=gpu_w, air=air), at).cooling_w[0]
        for w in (max(heat_w, extra_w), max(heat_w, extra_w) + extra_w)
    )
    return max(float(more_w - base_w), 0.0) / (extra_w / fraction)


def _rack(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    rack: str,
    shared_w: float,
    marginal: float,
    now_s: float,
) -> Headroom:
    try:
        design = rack_design(site, rack)
        power_w = inputs.rack_power(site, snapshot, rack)
        now = inputs.current_setpoints(site, snapshot, group)
        own_w = _rack_limit(site, design, now[inputs.SUPPLY], now[inputs.DP]) - power_w
    except (StaleError, ConfigError) as error:
        return unknown(rack, now_s, str(error))
    cooling_w = min(own_w, shared_w / design.liquid_fraction)
    return _known(rack, now_s, design.power_w - power_w, cooling_w, marginal)


def _rack_limit(site: Site, design: RackDesign, supply_c: float, dp_pa: float) -> float:
    """Electric power [W] at which this rack meets its case or return limit."""
    tops, _ = limit_values(site)
    flow = rack_flow(design, np.array([dp_pa]))
    coolant = fluid(site.coolant, site.glycol_percent)
    resistance = float(case_resistance(design, flow, coolant.heat_j_m3_k)[0])
    case_share = (tops["case_temperature"] - _CASE_RESERVE_K - supply_c) / (resistance * design.gpu_power_w)
    rise_k = tops.get("rack_return_temperature", np.inf) - supply_c
    return_w = rise_k * float(flow[0]) * coolant.heat_j_m3_k / design.liquid_fraction
    return float(min(case_share * design.power_w, return_w))


def _known(rack: str, now_s: float, power_w: float, cooling_w: float, marginal: float) -> Headroom:
    return Headroom(
        rack=rack,
        at_s=now_s,
        power_w=max(power_w, 0.0),
        cooling_w=max(cooling_w, 0.0),
        marginal_w_per_w=marginal,
        known=True,
    )


def _sidecar_rack(
    site: Site, snapshot: Snapshot, group: CoolingGroup, rack: str, heat: Heat | None, now_s: float
) -> Headroom:
    try:
        design, heat_w = rack_design(site, rack), _known_heat(heat)
        power_w = inputs.rack_power(site, snapshot, rack)
        now = inputs.current_setpoints(site, snapshot, group)
        share = now[inputs.FLOW] / sum(rack_design(site, r).flow_m3_s for r in group.racks)
        dp_pa = design.dp_pa * share**1.85
        own_w = _rack_limit(site, design, now[inputs.SUPPLY], dp_pa) - power_w
        sidecar = site.equipment[group.master].design
        spare_w = (sidecar["heat_w"] - heat_w) / design.liquid_fraction
    except (StaleError, ConfigError) as error:
        return unknown(rack, now_s, str(error))
    # fans by the cube law around the present point: dP/dQ = 3 P / (0.6 Q), with Q the sidecar's design heat
    marginal = 5.0 * sidecar["fan_power_w"] * (max(heat_w, 0.0) / sidecar["heat_w"]) ** 4 / sidecar["heat_w"]
    return _known(rack, now_s, design.power_w - power_w, min(own_w, spare_w), marginal * design.liquid_fraction)

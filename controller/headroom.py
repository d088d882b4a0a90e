"""Watts that each rack can still take at today's setpoints, now and over the coming hour, and what each costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller import inputs
from controller.chance import above
from controller.cold_plates import HORIZON_S, most_heat_w
from controller.design import LoopDesign, RackDesign, loop_design, rack_design
from controller.facility_plant import figure
from controller.feeds import feed_rooms_w
from controller.fluids import fluid
from controller.heats import Heat
from controller.model import Load, Setpoints, case_resistance, evaluate, exchanged_w, loop_flow, rack_flow
from controller.outdoor import Outdoor
from controller.problems import limit_values
from controller.reserve_room import has_reserve, reserve_heats_w
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.records import Forecast, Headroom, HeatForecast, ShedRequest
from plant.topology import CoolingGroup, Site

_CASE_RESERVE_K = 1.0
_DIFFERENCE_SHARE = 0.02
POWER_LIMITS = ("pdu", "feed")
"""Limits of electric power; all others are of cooling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is reckoned for all groups at once.

    feeds_w: rack -> what the feeds above it can still give [W]; reserves_w: group -> heat that N+1 allows it [W].
    """

    feeds_w: Mapping[str, float] = field(default_factory=dict)
    reserves_w: Mapping[str, float] = field(default_factory=dict)


def limits_of_all(site: Site, snapshot: Snapshot, ahead: Forecast) -> Beside:
    """Of this moment."""
    with_reserve = [g for g in site.groups.values() if has_reserve(g)]
    reserves_w = reserve_heats_w(site, snapshot, with_reserve, most_heat_w(ahead))
    return Beside(feeds_w=feed_rooms_w(site, snapshot), reserves_w=reserves_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What a loop's racks share. most_w: heat into the liquid [W] that each limit allows; heat_w: now [W].

    upper_w: the most heat within the hour by subject [W], empty where no forecast tells it; marginal: cooling watts for
    each IT watt; risk: as in `Headroom`.
    """

    heat_w: float
    most_w: Mapping[str, float]
    marginal: float
    upper_w: Mapping[str, float] = field(default_factory=dict)
    risk: float = math.nan


def group_headrooms(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heat: Heat | None,
    now_s: float,
    ahead: Forecast | None = None,
    other: Beside | None = None,
) -> list[Headroom]:
    """Headroom of every rack of a group; unknown, with the reason, where an input is stale."""
    other = other or Beside()
    try:
        sidecar = inputs.FLOW in group.commands
        shared = _of_sidecar(site, group, heat) if sidecar else _of_loop(site, snapshot, group, heat, other)
    except (StaleError, ConfigError) as error:
        return [unknown(rack, now_s, str(error)) for rack in group.racks]
    shared, feeds_w = _looking_ahead(site, shared, group, ahead), other.feeds_w
    return [_rack(site, snapshot, group, r, shared, feeds_w.get(r, math.inf), now_s) for r in group.racks]


def without_room(headrooms: Iterable[Headroom], sheds: Iterable[ShedRequest]) -> tuple[Headroom, ...]:
    """The same headrooms, with none for the racks of a loop that asks to have load taken off."""
    racks = {rack for shed in sheds for rack in shed.racks}
    none = {"power_w": 0.0, "cooling_w": 0.0, "ahead_w": 0.0, "shared_w": 0.0, "risk": 1.0}
    return tuple(replace(h, **none) if h.rack in racks else h for h in headrooms)  # type: ignore[arg-type]


def unknown(rack: str, now_s: float, reason: str) -> Headroom:
    """Nothing may be promised for this rack."""
    return Headroom(rack=rack, at_s=now_s, power_w=0.0, cooling_w=0.0, marginal_w_per_w=0.0, known=False, reason=reason)


def _known_heat(heat: Heat | None) -> float:
    if heat is None or not heat.known:
        raise StaleError(heat.detail if heat is not None else "no heat is known yet")
    return heat.heat_w


def _of_loop(site: Site, snapshot: Snapshot, group: CoolingGroup, heat: Heat | None, other: Beside) -> _Shared:
    heat_w, design = _known_heat(heat), loop_design(site, group)
    now = inputs.current_setpoints(site, snapshot, group)
    at = Setpoints.of(np.array([[now[r] for r in inputs.roles(site, group)]]))
    most_w = {"supply_temperature": _exchanged(design, at), "cdu": sum(c.heat_w for c in design.cdus)}
    if group.id in other.reserves_w:
        most_w["n+1"] = other.reserves_w[group.id]
    marginal = _marginal(design, heat_w, inputs.outdoor(site, snapshot, group), at)
    return _Shared(heat_w=heat_w, most_w=most_w, marginal=marginal)


def _of_sidecar(site: Site, group: CoolingGroup, heat: Heat | None) -> _Shared:
    heat_w, sidecar = _known_heat(heat), site.equipment[group.master]
    rated_w, fans_w = figure(sidecar, "heat_w"), figure(sidecar, "fan_power_w")
    # fans by the cube law around the present point: dP/dQ = 3 P / (0.6 Q), with Q the sidecar's design heat
    marginal = 5.0 * fans_w * (max(heat_w, 0.0) / rated_w) ** 4 / rated_w
    marginal *= max((rack_design(site, r).liquid_fraction for r in group.racks), default=1.0)
    return _Shared(heat_w=heat_w, most_w={"cdu": rated_w}, marginal=marginal)


def _looking_ahead(site: Site, shared: _Shared, group: CoolingGroup, ahead: Forecast | None) -> _Shared:
    """With the hour to come, where a forecast tells of this loop; racks never draw more than their nameplates."""
    told = next((h for h in ahead.heats if h.subject == group.id), None) if ahead is not None else None
    if ahead is None or told is None or told.cold_start:
        return shared  # a forecast that has learnt nothing says nothing
    upper_w, most_w = most_heat_w(ahead), min(shared.most_w.values())
    plates_w = sum(d.power_w * d.liquid_fraction for d in (rack_design(site, r) for r in group.racks))
    upper_w[group.id] = max(min(upper_w[group.id], plates_w), shared.heat_w)
    return replace(shared, upper_w=upper_w, risk=_risk(told, most_w, ahead.made_s + HORIZON_S))


def _risk(told: HeatForecast, most_w: float, until_s: float) -> float:
    """Chance that the heat passes most_w [W] until until_s, by the peaks of the quantiles told."""
    peaks_w = [max(w for w, t in zip(told.at(q), told.times_s, strict=True) if t <= until_s) for q in told.quantiles]
    return above(told.quantiles, peaks_w, most_w)


def _exchanged(design: LoopDesign, at: Setpoints) -> float:
    """Largest heat [W] that still holds the supply setpoint with the facility valves open.

    With return = supply + Q/C, Q = e Cmin (supply + Q/C - facility), hence
    Q = e Cmin (supply - facility) / (1 - e Cmin/C).
    """
    flow = loop_flow(design, at.dp_pa)
    per_kelvin = exchanged_w(design, flow, np.full_like(flow, design.cdu_facility_flow_m3_s), np.ones_like(flow))
    stream = flow * design.coolant.heat_j_m3_k
    most_w = per_kelvin * np.maximum(at.supply_c - at.facility_c, 0.0) / np.maximum(1 - per_kelvin / stream, 0.02)
    return float(most_w[0])


def _marginal(design: LoopDesign, heat_w: float, air: Outdoor, at: Setpoints) -> float:
    fraction = design.liquid_heat_w / design.rack_power_w
    extra_w, gpu_w = _DIFFERENCE_SHARE * design.liquid_heat_w, design.index_rack.gpu_power_w
    base_w, more_w = (
        evaluate(design, Load(heat_w=w, it_w=w / fraction, gpu_w=gpu_w, air=air), at).cooling_w[0]
        for w in (max(heat_w, extra_w), max(heat_w, extra_w) + extra_w)
    )
    return max(float(more_w - base_w), 0.0) / (extra_w / fraction)


def _rack(
    site: Site, snapshot: Snapshot, group: CoolingGroup, rack: str, shared: _Shared, feed_w: float, now_s: float
) -> Headroom:
    try:
        design = rack_design(site, rack)
        power_w = inputs.rack_power(site, snapshot, rack)
        own_w = _own_limits(site, snapshot, group, design)
    except (StaleError, ConfigError) as error:
        return unknown(rack, now_s, str(error))
    rooms = _rooms(own_w, power_w, feed_w, shared.most_w, shared.heat_w, design)
    made = Headroom(
        rack=rack,
        at_s=now_s,
        power_w=max(min(w for limit, w in rooms.items() if limit in POWER_LIMITS), 0.0),
        cooling_w=max(min(w for limit, w in rooms.items() if limit not in POWER_LIMITS), 0.0),
        marginal_w_per_w=shared.marginal,
        known=True,
        limiting=min(rooms, key=rooms.__getitem__),
        shared_w=max(min(shared.most_w.values()) - shared.heat_w, 0.0) / design.liquid_fraction,
    )
    if group.id not in shared.upper_w:
        return made
    heat_w = shared.upper_w[group.id]
    upper_w = max(shared.upper_w.get(rack, design.power_w * design.liquid_fraction) / design.liquid_fraction, power_w)
    later = _rooms(own_w, upper_w, feed_w - (upper_w - power_w), shared.most_w, heat_w, design)
    return replace(
        made,
        ahead_w=max(min(later.values()), 0.0),
        ahead_limiting=min(later, key=later.__getitem__),
        horizon_s=HORIZON_S,
        shared_w=max(min(shared.most_w.values()) - heat_w, 0.0) / design.liquid_fraction,
        risk=shared.risk,
    )


def _rooms(
    own_w: Mapping[str, float],
    power_w: float,
    feed_w: float,
    most_w: Mapping[str, float],
    heat_w: float,
    design: RackDesign,
) -> dict[str, float]:
    """What each limit leaves to a rack that draws power_w in a loop of heat_w [W]."""
    own = {limit: w - power_w for limit, w in own_w.items()}
    shared = {limit: (w - heat_w) / design.liquid_fraction for limit, w in most_w.items()}
    return {**own, "feed": feed_w, **shared}


def _own_limits(site: Site, snapshot: Snapshot, group: CoolingGroup, design: RackDesign) -> dict[str, float]:
    """Electric power [W] at which a rack meets its own limits at today's setpoints."""
    now = inputs.current_setpoints(site, snapshot, group)
    if inputs.FLOW in group.commands:
        share = now[inputs.FLOW] / sum(rack_design(site, r).flow_m3_s for r in group.racks)
        dp_pa = design.dp_pa * share**1.85
    else:
        dp_pa = now[inputs.DP]
    tops, _ = limit_values(site)
    supply_c, flow = now[inputs.SUPPLY], rack_flow(design, np.array([dp_pa]))
    coolant = fluid(site.coolant, site.glycol_percent)
    resistance = float(case_resistance(design, flow, coolant.heat_j_m3_k)[0])
    case_share = (tops.get("case_temperature", np.inf) - _CASE_RESERVE_K - supply_c) / (resistance * design.gpu_power_w)
    rise_k = tops.get("rack_return_temperature", np.inf) - supply_c
    return {
        "pdu": design.power_w,
        "case_temperature": float(case_share * design.power_w),
        "flow": float(rise_k * float(flow[0]) * coolant.heat_j_m3_k / design.liquid_fraction),
    }

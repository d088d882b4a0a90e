"""What is left of a loop when some of its members stop: from telemetry and the site file to rows of `transient`.

On the side of caution: centrifugal pumps give at least their present flow at the same speed, at full speed at least
flow over speed (affinity laws, head falls with flow); exchangers no more than they show now; no volume but the given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from controller import inputs
from controller.cold_plates import Plates
from controller.design import PUMP_RAMP_S, VALVE_STROKE_S, rack_design
from controller.device_state import stands
from controller.exchange import Array
from controller.exchangers import ua_share
from controller.facility_plant import facility_m3, upstream
from controller.fluids import fluid
from controller.heats import cdu_heats
from controller.model import rack_flow
from controller.problems import case_limit_c
from controller.transient import PUMP_RAMPS, VALVE_STROKES, Losses, steady_case_c
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.pumping import WhenLost
from plant.topology import CoolingGroup, Site

HEAT_RESERVE = 1.04
"""Pump heat, leakage up to the limit and the heat meter's own error, beside the forecast's quantile."""
LEAKAGE_PER_K = 0.001
"""GPU power grows by so much per kelvin of case temperature, where the site file says no more."""
LEAKAGE_FROM_C = 50.0
"""Case temperature of the GPU's design power [°C]."""
CASE_SENSOR_K = 0.5
FACILITY_RESERVE_K = 2.0
"""How far the facility water may swing while its own loops find the new balance."""
FACILITY_HELD_K = 1.5
"""Further above its setpoint than this, the heat rejection does not hold it any more."""
WATER_SHARE = 0.95
"""Share of a CDU's design facility flow that an open valve gives."""
RUNS_SHARE = 0.02
"""Below this share of design flow a CDU stands still."""
LEAST_SPEED = 0.1
WATER = fluid("water", 0.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What is measured of a loop now; flows [m³/s] of each member, NaN where not known."""

    flows: Mapping[str, float]
    supply_c: float
    return_c: float
    setpoint_c: float

    @property
    def flow_m3_s(self) -> float:
        """Flow of all members that tell theirs [m³/s]."""
        return float(np.nansum(list(self.flows.values())))


def stacked(rows: list[Losses]) -> Losses:
    """Losses below one another, as columns."""
    return Losses(**{f.name: np.concatenate([getattr(row, f.name) for row in rows]) for f in fields(Losses)})


def tiled(losses: Losses, times: int) -> Losses:
    """The same losses several times over."""
    return Losses(**{f.name: np.tile(getattr(losses, f.name), times) for f in fields(Losses)})


def losses_of(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    plates: Sequence[Plates],
    upper_w: Mapping[str, float],
    lost: set[str],
) -> list[Losses]:
    """The loss of some members, one row for each kind of rack; upper_w: heat into the liquid by group [W].

    Raises:
        StaleError: an input is missing.
        ConfigError: a design figure is missing.
    """
    if group.id not in upper_w:
        raise StaleError(f"{group.id}: no forecast of its heat yet")
    now = measured_loop(site, snapshot, group)
    limit_c = case_limit_c(site)
    left = [m for m in group.members if m not in lost and _runs(site, now, m)]
    base = _rest(site, snapshot, group, left, now, upper_w[group.id] * HEAT_RESERVE, master_lost=group.master in lost)
    return [_row(kind, base, now, limit_c) for kind in plates]


def scaled(row: Losses, share: float) -> Losses:
    """The same loss with a share of the load [1]."""
    facility_w = np.maximum(row.facility_w - (1.0 - share) * row.heat_w, 0.0)
    return replace(row, heat_w=share * row.heat_w, gpu_w=share * row.gpu_w, facility_w=facility_w)


def measured_loop(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Loop:
    """What is measured of a group's loop.

    Raises:
        StaleError: a setpoint, or every supply or return temperature, is not good.
    """
    flows = {m: snapshot.get(f"{m}/tcs_flow") for m in group.members}
    supplies, returns = (
        [t for m in group.members if math.isfinite(t := snapshot.get(f"{m}/{name}")) and flows[m] > 0]
        for name in ("tcs_supply_temperature", "tcs_return_temperature")
    )
    if not supplies or not returns:
        raise StaleError(f"{group.id}: no running member tells its supply and return temperature")
    asked = inputs.supply_setpoint(site, snapshot, group)
    return Loop(flows=flows, supply_c=max(supplies), return_c=max(returns), setpoint_c=asked)


def _runs(site: Site, now: Loop, member: str) -> bool:
    return now.flows[member] > RUNS_SHARE * site.equipment[member].design.get("flow_m3_s", math.inf)


def _row(plates: Plates, base: Losses, now: Loop, limit_c: float) -> Losses:
    """The loss as one kind of rack feels it. Its share of the flow is what design gives it."""
    kind = plates.kind
    leakage = 1 + max(kind.leakage_per_k, LEAKAGE_PER_K) * max(limit_c - LEAKAGE_FROM_C, 0.0)
    plate_flow = kind.flow_m3_s / kind.gpus
    row = replace(
        base,
        gpu_w=_one(plates.gpu_w * leakage),
        liquid_per_gpu=_one(kind.power_w * kind.liquid_fraction / (kind.gpu_power_w * kind.gpus)),
        plate_k_w=_one(kind.case_resistance_k_w),
        plate_design_flow=_one(plate_flow),
        plate_flow=_one(plate_flow / plates.all_racks_m3_s),
        plate_tau_s=_one(plates.tau_s),
        limit_c=_one(limit_c),
    )
    if math.isfinite(plates.case_c):
        return replace(row, case_c=_one(plates.case_c + CASE_SENSOR_K))
    return replace(row, case_c=steady_case_c(row, row.supply_c, _one(now.flow_m3_s)))


def _rest(
    site: Site, snapshot: Snapshot, group: CoolingGroup, left: list[str], now: Loop, heat_w: float, *, master_lost: bool
) -> Losses:
    """What is left of a loop, before its racks are looked at."""
    rated = _rated(site, left)
    first = sum(now.flows[m] for m in left)
    speed = min((snapshot.get(f"{m}/pump_speed", 1.0) for m in left), default=1.0)
    most = max(rated.flow_m3_s, first / max(speed, LEAST_SPEED)) if left else 0.0
    last = min(now.flow_m3_s, most, _design_flow(site, group) if master_lost else math.inf)
    if group.when_lost is not WhenLost.MAKES_UP:
        last, most = first, min(most, _asked_most(site, group, left))
    pumps = upstream(site, group.members, "pump")
    driven = not (pumps and all(stands(snapshot, p) for p in pumps))
    water = sum(snapshot.get(f"{m}/fws_flow", 0.0) for m in left)
    asked_c = max(now.setpoint_c, inputs.design_value(group, inputs.SUPPLY)) if master_lost else now.setpoint_c
    coolant = fluid(site.coolant, site.glycol_percent)
    facility_c, facility_w = _facility(site, snapshot, group, heat_w) if left else (now.supply_c, 0.0)
    nothing = _one(1.0)
    return Losses(
        heat_w=_one(heat_w),
        supply_c=_one(now.supply_c),
        return_c=_one(now.return_c),
        least_supply_c=_one(max(now.supply_c, asked_c)),
        facility_c=_one(facility_c),
        facility_w=_one(facility_w),
        facility_w_k=_one(0.0),
        facility_j_k=_one(max(facility_m3(site, group), 1e-3) * WATER.heat_j_m3_k),
        flow_first=_one(first),
        flow_last=_one(max(first, last)),
        flow_most=_one(max(first, most)),
        ramped_s=_one(PUMP_RAMPS * (1.05 - min(speed, 1.0)) * _slowest(site, left, "pump_ramp_s", PUMP_RAMP_S)),
        water_first=_one(water),
        water_last=_one(max(water, WATER_SHARE * rated.facility_flow_m3_s) if driven else water),
        opened_s=_one(VALVE_STROKES * _slowest(site, left, "valve_stroke_s", VALVE_STROKE_S)),
        rest_ua_w_k=_one(rated.ua_w_k * ua_share(site, snapshot, left, coolant)),
        rest_flow=_one(rated.flow_m3_s),
        rest_water=_one(rated.facility_flow_m3_s),
        coolant_j_m3_k=_one(coolant.heat_j_m3_k),
        water_j_m3_k=_one(WATER.heat_j_m3_k),
        half_m3=_one(0.5 * _volume_m3(site, group)),
        gpu_w=nothing,
        liquid_per_gpu=nothing,
        plate_k_w=nothing,
        plate_design_flow=nothing,
        plate_flow=nothing,
        plate_tau_s=nothing,
        case_c=nothing,
        limit_c=nothing,
    )


def _one(value: float) -> Array:
    return np.array([value], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rated:
    flow_m3_s: float = 1.0
    facility_flow_m3_s: float = 1.0
    ua_w_k: float = 1.0


def _rated(site: Site, left: list[str]) -> _Rated:
    """Design figures of the members that are left, together; ones where none is."""
    if not left:
        return _Rated()
    designs = [site.equipment[m].design for m in left]
    try:
        return _Rated(**{key: sum(d[key] for d in designs) for key in ("flow_m3_s", "facility_flow_m3_s", "ua_w_k")})
    except KeyError as error:
        remedy = "add it to the site file"
        raise ConfigError(f"design.{error.args[0]} of one of {', '.join(left)}", remedy=remedy) from None


def _design_flow(site: Site, group: CoolingGroup) -> float:
    """Flow [m³/s] at the setpoints that another master starts with: design."""
    if inputs.DP not in group.commands:
        return math.inf
    dp_pa = np.array([inputs.design_value(group, inputs.DP)])
    return sum(float(rack_flow(rack_design(site, r), dp_pa)[0]) for r in group.racks)


def _asked_most(site: Site, group: CoolingGroup, left: list[str]) -> float:
    """The most flow [m³/s] that members which hold their own may be asked for."""
    if inputs.DP not in group.commands:
        return 0.0
    dp_pa = np.array([site.envelopes[group.commands[inputs.DP]].maximum])
    racks_m3_s = sum(float(rack_flow(rack_design(site, r), dp_pa)[0]) for r in group.racks)
    return racks_m3_s * len(left) / len(group.members)


def _facility(site: Site, snapshot: Snapshot, group: CoolingGroup, heat_w: float) -> tuple[float, float]:
    """Facility water [°C] to reckon with, and heat [W] that it keeps: what comes on top where it is not held now."""
    shown = [t for m in group.members if math.isfinite(t := snapshot.get(f"{m}/fws_supply_temperature"))]
    if not shown:
        raise StaleError(f"{group.id}: no member tells its facility water's temperature")
    command = inputs.setpoint_points(site, group).get(inputs.FACILITY)
    asked_c = snapshot.value(inputs.effective_point(site, command)) if command else max(shown)
    held = max(shown) <= asked_c + FACILITY_HELD_K
    more_w = max(heat_w - _shown_heat_w(site, snapshot, group), 0.0)
    return max(*shown, asked_c) + FACILITY_RESERVE_K, 0.0 if held else more_w


def _shown_heat_w(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float:
    """Heat of the members that tell theirs [W]."""
    return sum(h.heat_w for h in cdu_heats(site, snapshot, group).values() if h.known and not h.substitute)


def _volume_m3(site: Site, group: CoolingGroup) -> float:
    """Coolant of the loop [m³] as far as the site file tells it."""
    fed = {target for member in group.members for target in site.equipment[member].feeds}
    parts = [*group.members, *(f for f in sorted(fed) if site.equipment[f].kind == "manifold")]
    return sum(site.equipment[p].design.get("volume_m3", 0.0) for p in parts)


def _slowest(site: Site, members: list[str], key: str, usual_s: float) -> float:
    return max((site.equipment[m].design.get(key, usual_s) for m in members), default=usual_s)

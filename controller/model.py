"""The controller's own lumped model of a loop, from the design figures of the site file.

Arrays go through every function: a whole grid of candidate setpoints is judged at once. Sources: OCP OAI guidelines
(cold plate), LBNL Buildings CDU_epsNTU and DryCooler (heat exchangers, fans); written apart from the simulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from controller.design import LoopDesign, RackDesign
from controller.exchange import Array
from controller.outdoor import Outdoor

FLOW_EXPONENT = 1 / 1.85
"""Rack flow ~ dp^(1/1.85), measured on OCP cold-plate loops."""
MOST_HEATED = 0.95
"""A plate lies above the coolant that leaves it: it heats the coolant by at most this share of its own rise."""
FILTER_EXPONENT = 1.76
"""Pressure drop of heat exchanger and filter inside a CDU ~ flow^1.76."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the loop must carry: heat_w into the liquid [W], it_w electric [W], gpu_w of one GPU [W], air outdoors.

    other_heat_w, other_flow_m3_s: what other loops bring to the plant that they share with this one [W, m³/s].
    """

    heat_w: float
    it_w: float
    gpu_w: float
    air: Outdoor
    other_heat_w: float = 0.0
    other_flow_m3_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setpoints:
    """Candidates: supply_c, facility_c, tower_c [°C] and dp_pa [Pa], each of shape (n,).

    tower_c: condenser water, NaN where nobody commands the tower or there is none.
    """

    supply_c: Array
    dp_pa: Array
    facility_c: Array
    tower_c: Array

    @classmethod
    def of(cls, points: Array) -> Setpoints:
        """Rows of (supply, dp, facility) or (supply, dp, facility, tower)."""
        tower_c = points[:, 3] if points.shape[1] > 3 else np.full(len(points), np.nan)
        return cls(supply_c=points[:, 0], dp_pa=points[:, 1], facility_c=points[:, 2], tower_c=tower_c)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What each candidate costs; every array has the candidates' shape, or one row of it for each load.

    rejected_w: heat that facility water brings out [W], at facility_return_c [°C]; water_m3_s: make-up of towers.
    """

    tcs_pump_w: Array
    facility_pump_w: Array
    tower_pump_w: Array
    fan_w: Array
    chiller_w: Array
    mean_case_c: Array
    rejected_w: Array
    facility_return_c: Array
    water_m3_s: Array

    def under(self, load: int) -> Outcome:
        """One load's row."""
        return Outcome(**{f.name: getattr(self, f.name)[load] for f in fields(self)})

    @property
    def cooling_w(self) -> Array:
        """Electric power of the commanded cooling plant [W]."""
        return self.tcs_pump_w + self.facility_pump_w + self.tower_pump_w + self.fan_w + self.chiller_w


def case_resistance(rack: RackDesign, rack_flow_m3_s: Array, coolant_j_m3_k: float) -> Array:
    """Case to inlet resistance [K/W] of one GPU's cold plate: OCP fit R = 0.01602 + 0.00855/V (V in l/min), scaled.

    However little flows, the case stays above the coolant that leaves the plate: R >= liquid watts per GPU watt over
    0.95 C, with C the capacity rate [W/K] of the plate's coolant (coolant_j_m3_k: its heat capacity [J/(m³ K)]).
    """
    per_gpu_l_min = rack_flow_m3_s * 60000 / rack.gpus
    design_l_min = rack.flow_m3_s * 60000 / rack.gpus
    shape = (0.01602 + 0.00855 / np.maximum(per_gpu_l_min, 0.05)) / (0.01602 + 0.00855 / design_l_min)
    liquid_per_gpu = rack.power_w * rack.liquid_fraction / (rack.gpu_power_w * rack.gpus)
    stream_w_k = np.maximum(rack_flow_m3_s / rack.gpus * coolant_j_m3_k, 1e-9)
    return np.maximum(rack.case_resistance_k_w * shape, liquid_per_gpu / (MOST_HEATED * stream_w_k))


def rack_flow(rack: RackDesign, dp_pa: Array) -> Array:
    """Flow of one rack [m³/s] at a manifold differential pressure [Pa]."""
    return rack.flow_m3_s * (dp_pa / rack.dp_pa) ** FLOW_EXPONENT


def case_temperature(
    rack: RackDesign, supply_c: Array, rack_flow_m3_s: Array, gpu_w: float, coolant_j_m3_k: float
) -> Array:
    """Case temperature [°C] of a GPU of gpu_w [W]."""
    return supply_c + case_resistance(rack, rack_flow_m3_s, coolant_j_m3_k) * gpu_w


def loop_flow(design: LoopDesign, dp_pa: Array) -> Array:
    """Flow of all racks together [m³/s]."""
    return np.asarray(sum(n * rack_flow(rack, dp_pa) for rack, n in design.racks), dtype=np.float64)


def exchanged_w(design: LoopDesign, tcs_m3_s: Array, facility_m3_s: Array, difference_k: Array) -> Array:
    """Heat through the CDUs [W] when TCS return lies difference_k [K] above facility supply."""
    streams = tcs_m3_s * design.coolant.heat_j_m3_k, facility_m3_s * design.water.heat_j_m3_k
    return design.plate.per_kelvin(*streams) * difference_k


def facility_flow(design: LoopDesign, heat_w: Array, tcs_m3_s: Array, supply_c: Array, facility_c: Array) -> Array:
    """Facility water flow [m³/s] that holds the supply temperature; inf where no flow can."""
    stream_w_k = tcs_m3_s * design.coolant.heat_j_m3_k
    wanted_w_k = heat_w / np.maximum(supply_c + heat_w / stream_w_k - facility_c, 1e-3)
    water_w_k, most_w_k = design.plate.cold_for(stream_w_k, wanted_w_k)
    return np.where(most_w_k >= wanted_w_k, water_w_k / design.water.heat_j_m3_k, np.inf)


def tcs_pump_w(design: LoopDesign, dp_pa: Array, flow_m3_s: Array) -> Array:
    """Electric power of the CDU pumps [W]."""
    internal_pa = design.cdu_internal_dp_pa * (flow_m3_s / design.cdu_flow_m3_s) ** FILTER_EXPONENT
    return flow_m3_s * (dp_pa + internal_pa) / design.cdu_pump_efficiency


@dataclass(frozen=True, slots=True, kw_only=True)
class Strain:
    """How near each candidate comes to its limits.

    facility_flow_m3_s: of this loop; pumped_m3_s: of all loops; facility_short: no flow can carry the heat;
    facility_warm: heat rejection and chillers together can't reach the setpoint; late_c: facility water [°C] until
    chillers start that stand at the least likely load and may not start at once, -inf where none does;
    rack_return_c: with a rack at full power.
    """

    rack_flow_m3_s: Array
    rack_return_c: Array
    facility_flow_m3_s: Array
    pumped_m3_s: Array
    facility_short: npt.NDArray[np.bool_]
    facility_warm: npt.NDArray[np.bool_]
    late_c: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Water:
    """Both loops, a row for each load.

    needed_m3_s [m³/s] (inf: none is enough), the same but finite, that and other loops' flow, pump powers [W], and the
    heat that facility water brings out [W]: pumps warm what they move.
    """

    needed_m3_s: Array
    own_m3_s: Array
    facility_m3_s: Array
    tcs_pump_w: Array
    facility_pump_w: Array
    rejected_w: Array

    def under(self, loads: int | slice) -> _Water:
        """Some loads' rows."""
        return _Water(**{f.name: getattr(self, f.name)[loads] for f in fields(_Water)})


def _waters(design: LoopDesign, loads: Sequence[Load], at: Setpoints) -> _Water:
    """Under all loads, solved together."""
    flow_m3_s = loop_flow(design, at.dp_pa)
    shape = len(loads), len(flow_m3_s)
    pump_w = np.broadcast_to(tcs_pump_w(design, at.dp_pa, flow_m3_s), shape)
    heat_w = np.broadcast_to([[load.heat_w] for load in loads], shape)
    needed = facility_flow(design, heat_w, np.broadcast_to(flow_m3_s, shape), at.supply_c, at.facility_c)
    own = np.where(np.isfinite(needed), needed, design.cdu_facility_flow_m3_s)
    other_m3_s, other_w = (
        np.array([[getattr(load, n)] for load in loads]) for n in ("other_flow_m3_s", "other_heat_w")
    )
    total = own + other_m3_s
    water_w = design.facility_pump_w(total)
    return _Water(
        needed_m3_s=needed,
        own_m3_s=own,
        facility_m3_s=total,
        tcs_pump_w=pump_w,
        facility_pump_w=water_w,
        rejected_w=heat_w + other_w + pump_w + water_w,
    )


def evaluate(design: LoopDesign, load: Load, at: Setpoints) -> Outcome:
    """What candidates cost."""
    return _outcome(design, (load,), at, _waters(design, (load,), at)).under(0)


def assess(design: LoopDesign, likely: Sequence[Load], upper: Load, at: Setpoints) -> tuple[Outcome, Strain]:
    """What candidates cost under likely loads, all with the same air, and how near the upper one brings them to limits.

    Outcome: arrays of shape (loads, candidates).
    """
    if design.grown is not None:
        cost, high = _waters(design, likely, at), _waters(design.grown, (upper,), at).under(-1)
    else:
        water = _waters(design, (*likely, upper), at)
        cost, high = water.under(slice(-1)), water.under(-1)
    least = cost.under(int(np.argmin([load.heat_w for load in likely])))
    return _outcome(design, likely, at, cost), _strain(design.grown or design, upper, at, high, least)


def _outcome(design: LoopDesign, loads: Sequence[Load], at: Setpoints, water: _Water) -> Outcome:
    corrections = design.corrections
    away = design.rejection.powers(water.rejected_w, water.facility_m3_s, at.facility_c, at.tower_c, loads[0].air)
    return Outcome(
        tcs_pump_w=corrections.tcs_pump(water.tcs_pump_w),
        facility_pump_w=corrections.facility_pump(water.facility_pump_w),
        tower_pump_w=corrections.tower_pump(away.tower_pump_w),
        fan_w=away.fan_w,
        chiller_w=corrections.chiller(away.chiller_w),
        mean_case_c=np.stack([mean_case_c(design, load, at.supply_c, at.dp_pa) for load in loads]),
        rejected_w=water.rejected_w,
        facility_return_c=at.facility_c + water.rejected_w / (water.facility_m3_s * design.water.heat_j_m3_k),
        water_m3_s=away.water_m3_s,
    )


def mean_case_c(design: LoopDesign, load: Load, supply_c: Array, dp_pa: Array) -> Array:
    """Case temperature [°C] of a GPU at the loop's mean load."""
    index = design.index_rack
    gpu_w = index.gpu_power_w * min(load.it_w / design.rack_power_w, 1.2)
    return case_temperature(index, supply_c, rack_flow(index, dp_pa), gpu_w, design.coolant.heat_j_m3_k)


def _strain(design: LoopDesign, load: Load, at: Setpoints, water: _Water, least: _Water) -> Strain:
    index, flow_m3_s = design.index_rack, water.facility_m3_s
    index_flow = design.least_flow_share * rack_flow(index, at.dp_pa)
    left_w = design.rejection.unreached_w(water.rejected_w, flow_m3_s, at.facility_c, at.tower_c, load.air)
    rise_k = index.power_w * index.liquid_fraction / (index_flow * design.coolant.heat_j_m3_k)
    return Strain(
        rack_flow_m3_s=index_flow,
        rack_return_c=at.supply_c + rise_k,
        facility_flow_m3_s=water.own_m3_s,
        pumped_m3_s=flow_m3_s,
        facility_short=~np.isfinite(water.needed_m3_s),
        facility_warm=left_w > 0,
        late_c=_late_c(design, load, at, water, least),
    )


def _late_c(design: LoopDesign, load: Load, at: Setpoints, water: _Water, least: _Water) -> Array:
    """Facility water [°C] if the load comes while the chillers, which the least one needs not, may not start yet."""
    alone = design.rejection.alone
    if alone is None:
        return np.full_like(at.supply_c, -np.inf)
    idle = alone.unreached_w(least.rejected_w, least.facility_m3_s, at.facility_c, at.tower_c, load.air) <= 0
    comes_c = alone.warmest_c(water.rejected_w, water.facility_m3_s, at.facility_c, at.tower_c, load.air)
    return np.where(idle, comes_c, -np.inf)


def full_load_case_c(design: LoopDesign, supply_c: Array, dp_pa: Array, gpu_w: float) -> Array:
    """Case temperature [°C] of the hottest GPU if it went to gpu_w [W] now: it may, within seconds."""
    heat, share = design.coolant.heat_j_m3_k, design.least_flow_share
    cases = [case_temperature(rack, supply_c, share * rack_flow(rack, dp_pa), gpu_w, heat) for rack, _ in design.racks]
    return np.asarray(np.max(np.stack(cases), axis=0), dtype=np.float64)


def it_extra_w(design: LoopDesign, load: Load, case_c: Array, reference_case_c: Array) -> Array:
    """What the IT side draws more [W] than with cases at reference_case_c [°C]: leakage, and its servers' fans.

    0 where the site file tells neither.
    """
    return (load.it_w * design.leakage_per_k + design.server_fan_w_per_k) * (case_c - reference_case_c)

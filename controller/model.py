"""The controller's own lumped model of a loop, from the design figures of the site file.

Arrays go through every function: a whole grid of candidate setpoints is judged at once. Sources: OCP OAI guidelines
(cold plate), LBNL Buildings CDU_epsNTU and DryCooler (heat exchangers, fans); written apart from the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.design import LoopDesign, RackDesign

Array = npt.NDArray[np.float64]

FLOW_EXPONENT = 1 / 1.85
"""Rack flow ~ dp^(1/1.85), measured on OCP cold-plate loops."""
FILM_EXPONENT = 0.8
"""hA ~ flow^0.8 on both sides of a plate heat exchanger."""
FILTER_EXPONENT = 1.76
"""Pressure drop of heat exchanger and filter inside a CDU ~ flow^1.76."""
AIR_FILM_EXPONENT = 0.6
"""hA of a finned coil ~ air flow^0.6."""
LEAKAGE_PER_K = 0.001
"""IT power grows by 0.1 % per K of case temperature."""
_BISECTIONS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the loop must carry: heat_w into the liquid [W], it_w electric [W], gpu_w of one GPU [W], outdoor_c [°C]."""

    heat_w: float
    it_w: float
    gpu_w: float
    outdoor_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What each candidate costs; every array has the candidates' shape."""

    tcs_pump_w: Array
    facility_pump_w: Array
    fan_w: Array
    chiller_w: Array
    mean_case_c: Array

    @property
    def cooling_w(self) -> Array:
        """Electric power of the commanded cooling plant [W]."""
        return self.tcs_pump_w + self.facility_pump_w + self.fan_w + self.chiller_w


def effectiveness(ntu: Array, ratio: Array) -> Array:
    """Counterflow effectiveness [1] from NTU and Cmin/Cmax (Incropera, eq. 11.29)."""
    balanced = np.abs(1 - ratio) < 1e-6
    decay = np.exp(-ntu * (1 - ratio))
    return np.where(balanced, ntu / (1 + ntu), (1 - decay) / np.where(balanced, 1.0, 1 - ratio * decay))


def case_resistance(rack: RackDesign, rack_flow_m3_s: Array) -> Array:
    """Case to inlet resistance [K/W] of one GPU's cold plate: OCP fit R = 0.01602 + 0.00855/V (V in l/min), scaled."""
    per_gpu_l_min = rack_flow_m3_s * 60000 / rack.gpus
    design_l_min = rack.flow_m3_s * 60000 / rack.gpus
    shape = (0.01602 + 0.00855 / np.maximum(per_gpu_l_min, 0.05)) / (0.01602 + 0.00855 / design_l_min)
    return rack.case_resistance_k_w * shape


def rack_flow(rack: RackDesign, dp_pa: Array) -> Array:
    """Flow of one rack [m³/s] at a manifold differential pressure [Pa]."""
    return rack.flow_m3_s * (dp_pa / rack.dp_pa) ** FLOW_EXPONENT


def case_temperature(rack: RackDesign, supply_c: Array, rack_flow_m3_s: Array, gpu_w: float) -> Array:
    """Case temperature [°C] of a GPU of gpu_w [W]."""
    return supply_c + case_resistance(rack, rack_flow_m3_s) * gpu_w


def loop_flow(design: LoopDesign, dp_pa: Array) -> Array:
    """Flow of all racks together [m³/s]."""
    return np.asarray(sum(n * rack_flow(rack, dp_pa) for rack, n in design.racks), dtype=np.float64)


def exchanger_ua(design: LoopDesign, tcs_m3_s: Array, facility_m3_s: Array) -> Array:
    """UA of the CDUs together [W/K], both films at hA ~ flow^0.8, equal at design."""
    tcs = np.maximum(tcs_m3_s / design.cdu_flow_m3_s, 1e-3) ** FILM_EXPONENT
    facility = np.maximum(facility_m3_s / design.cdu_facility_flow_m3_s, 1e-3) ** FILM_EXPONENT
    return 2 * design.cdu_ua_w_k / (1 / tcs + 1 / facility)


def exchanged_w(design: LoopDesign, tcs_m3_s: Array, facility_m3_s: Array, difference_k: Array) -> Array:
    """Heat through the CDUs [W] when TCS return lies difference_k [K] above facility supply."""
    tcs = tcs_m3_s * design.coolant.heat_j_m3_k
    facility = facility_m3_s * design.water.heat_j_m3_k
    low, high = np.minimum(tcs, facility), np.maximum(tcs, facility)
    ntu = exchanger_ua(design, tcs_m3_s, facility_m3_s) / low
    return effectiveness(ntu, low / high) * low * difference_k


def facility_flow(design: LoopDesign, heat_w: float, tcs_m3_s: Array, supply_c: Array, facility_c: Array) -> Array:
    """Facility water flow [m³/s] that holds the supply temperature; inf where no flow can. By bisection."""
    limit = design.cdu_facility_flow_m3_s * 1.02
    difference_k = supply_c + heat_w / (tcs_m3_s * design.coolant.heat_j_m3_k) - facility_c
    low, high = np.full_like(difference_k, 1e-6), np.full_like(difference_k, limit)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        enough = exchanged_w(design, tcs_m3_s, middle, difference_k) >= heat_w
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    reachable = exchanged_w(design, tcs_m3_s, np.full_like(high, limit), difference_k) >= heat_w
    return np.where(reachable, high, np.inf)


def tcs_pump_w(design: LoopDesign, dp_pa: Array, flow_m3_s: Array) -> Array:
    """Electric power of the CDU pumps [W]."""
    internal_pa = design.cdu_internal_dp_pa * (flow_m3_s / design.cdu_flow_m3_s) ** FILTER_EXPONENT
    return flow_m3_s * (dp_pa + internal_pa) / design.cdu_pump_efficiency


def cooler_w(design: LoopDesign, speed: Array, flow_m3_s: Array, difference_k: Array) -> Array:
    """Heat that the dry coolers take [W] at a fan speed [1] when water enters difference_k [K] above outdoor air."""
    air = np.maximum(speed, design.free_convection_fraction)
    water_w_k = flow_m3_s * design.water.heat_j_m3_k
    air_w_k = air * design.cooler_air_w_k
    low, high = np.minimum(water_w_k, air_w_k), np.maximum(water_w_k, air_w_k)
    ntu = design.cooler_ua_w_k * air**AIR_FILM_EXPONENT / low
    return effectiveness(ntu, low / high) * low * difference_k


def _entering_k(design: LoopDesign, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, outdoor_c: float) -> Array:
    """How far the dry cooler's entering water lies above outdoor air [K] while the setpoint is held."""
    return setpoint_c + heat_w / (flow_m3_s * design.water.heat_j_m3_k) - outdoor_c


def heat_rejection(
    design: LoopDesign, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, outdoor_c: float
) -> tuple[Array, Array]:
    """Fan power [W] and chiller power [W] that cool the facility water down to setpoint_c [°C]."""
    difference_k = _entering_k(design, heat_w, flow_m3_s, setpoint_c, outdoor_c)
    low, high = np.zeros_like(difference_k), np.ones_like(difference_k)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        enough = cooler_w(design, middle, flow_m3_s, difference_k) >= heat_w
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    full_w = np.maximum(cooler_w(design, np.ones_like(high), flow_m3_s, difference_k), 0.0)
    chilled_w = np.clip(heat_w - full_w, 0.0, design.chiller_heat_w)
    return design.fan_power_w * high**3, chilled_w / design.chiller_cop


def unreached_w(design: LoopDesign, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, outdoor_c: float) -> Array:
    """Heat [W] that dry coolers at full speed and the chiller together can't take; negative is reserve."""
    difference_k = _entering_k(design, heat_w, flow_m3_s, setpoint_c, outdoor_c)
    full_w = np.maximum(cooler_w(design, np.ones_like(difference_k), flow_m3_s, difference_k), 0.0)
    return heat_w - full_w - design.chiller_heat_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Strain:
    """How near each candidate comes to its limits.

    facility_short: no facility flow can carry the heat; facility_warm: dry cooler and chiller together can't reach the
    setpoint; rack_return_c: with a rack at full power.
    """

    rack_flow_m3_s: Array
    rack_return_c: Array
    facility_flow_m3_s: Array
    facility_short: npt.NDArray[np.bool_]
    facility_warm: npt.NDArray[np.bool_]


def _water(design: LoopDesign, load: Load, supply_c: Array, dp_pa: Array, facility_c: Array) -> tuple[Array, ...]:
    """Facility flow [m³/s] (inf: none is enough), the same but finite, CDU pump [W], facility pump [W]."""
    flow_m3_s = loop_flow(design, dp_pa)
    needed_m3_s = facility_flow(design, load.heat_w, flow_m3_s, supply_c, facility_c)
    finite_m3_s = np.where(np.isfinite(needed_m3_s), needed_m3_s, design.cdu_facility_flow_m3_s)
    facility_pump_w = finite_m3_s * design.facility_head_pa / design.facility_efficiency
    return needed_m3_s, finite_m3_s, tcs_pump_w(design, dp_pa, flow_m3_s), facility_pump_w


def evaluate(design: LoopDesign, load: Load, supply_c: Array, dp_pa: Array, facility_c: Array) -> Outcome:
    """Judge candidates: three arrays of one shape, supply_c [°C], dp_pa [Pa], facility_c [°C]."""
    _, water_m3_s, pump_w, facility_pump_w = _water(design, load, supply_c, dp_pa, facility_c)
    rejected_w = load.heat_w + pump_w + facility_pump_w
    fan_w, chiller_w = heat_rejection(design, rejected_w, water_m3_s, facility_c, load.outdoor_c)
    return Outcome(
        tcs_pump_w=pump_w,
        facility_pump_w=facility_pump_w,
        fan_w=fan_w,
        chiller_w=chiller_w,
        mean_case_c=mean_case_c(design, load, supply_c, dp_pa),
    )


def mean_case_c(design: LoopDesign, load: Load, supply_c: Array, dp_pa: Array) -> Array:
    """Case temperature [°C] of a GPU at the loop's mean load."""
    index = design.index_rack
    gpu_w = index.gpu_power_w * min(load.it_w / design.rack_power_w, 1.2)
    return case_temperature(index, supply_c, rack_flow(index, dp_pa), gpu_w)


def strain(design: LoopDesign, load: Load, supply_c: Array, dp_pa: Array, facility_c: Array) -> Strain:
    """How near candidates come to the limits of flow, return and facility water."""
    needed_m3_s, water_m3_s, pump_w, facility_pump_w = _water(design, load, supply_c, dp_pa, facility_c)
    rejected_w = load.heat_w + pump_w + facility_pump_w
    index, index_flow = design.index_rack, rack_flow(design.index_rack, dp_pa)
    return Strain(
        rack_flow_m3_s=index_flow,
        rack_return_c=supply_c + index.power_w * index.liquid_fraction / (index_flow * design.coolant.heat_j_m3_k),
        facility_flow_m3_s=water_m3_s,
        facility_short=~np.isfinite(needed_m3_s),
        facility_warm=unreached_w(design, rejected_w, water_m3_s, facility_c, load.outdoor_c) > 0,
    )


def full_load_case_c(design: LoopDesign, supply_c: Array, dp_pa: Array, gpu_w: float) -> Array:
    """Case temperature [°C] of the hottest GPU if it went to gpu_w [W] now: it may, within seconds."""
    cases = [case_temperature(rack, supply_c, rack_flow(rack, dp_pa), gpu_w) for rack, _ in design.racks]
    return np.asarray(np.max(np.stack(cases), axis=0), dtype=np.float64)


def lost_cdu_case_c(design: LoopDesign, load: Load, supply_c: Array, facility_c: Array) -> Array:
    """Case temperature [°C] with the largest CDU stopped: the rest at full flow, facility water as it is now.

    A group of one CDU has nothing left to lose to: then only coldplate's loss counts and the supply stays as it is.
    """
    rest = design.without_largest()
    flow = np.full_like(supply_c, rest.cdu_flow_m3_s)
    if rest is design:
        flow = np.minimum(loop_flow(design, np.full_like(supply_c, design.index_rack.dp_pa)), flow)
    water = np.full_like(supply_c, rest.cdu_facility_flow_m3_s)
    per_kelvin_w = exchanged_w(rest, flow, water, np.ones_like(supply_c))
    reached_c = facility_c + load.heat_w / per_kelvin_w - load.heat_w / (flow * rest.coolant.heat_j_m3_k)
    share = flow / loop_flow(design, np.full_like(supply_c, design.index_rack.dp_pa))
    warm_c = np.maximum(supply_c, reached_c)
    cases = [case_temperature(r, warm_c, r.flow_m3_s * np.minimum(share, 1.0), load.gpu_w) for r, _ in design.racks]
    return np.asarray(np.max(np.stack(cases), axis=0), dtype=np.float64)


def it_extra_w(load: Load, case_c: Array, reference_case_c: Array) -> Array:
    """Leakage power of the IT side [W] against cases at reference_case_c [°C]."""
    return load.it_w * LEAKAGE_PER_K * (case_c - reference_case_c)

"""The racks of a hall with trains and their CDUs: power, flows, cases, and the facility water that they take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.trains_machines import Wear
from benchmarks.trains_units import PlateExchanger, VariablePump
from plant.topology import Site

Array = npt.NDArray[np.float64]

COOLANT_J_M3_K = 3.96e6
FLOW_EXPONENT = 1 / 1.85
GPU_IDLE_SHARE, REST_IDLE_SHARE = 0.12, 0.5
LEAKAGE_PER_K, LEAKAGE_REFERENCE_C = 0.001, 50.0
PLATE_FIXED_K_W, PLATE_FLOW_K_L_MIN = 0.01602, 0.00855
"""Case over inlet per watt: R = 0.01602 + 0.00855 / (l/min), fitted to OCP OAI guidelines 2023, 1 kW OAM, PG25."""
HOTTEST, REST_TO_PLATES = 1.05, 0.25
"""Rise of the hottest case against the mean one; share of what is no GPU that lies on the same plates."""
VALVE_MOST = 1.02


class TrainsRacks:
    """All racks of the hall's one group and its CDUs, which share flow and heat alike."""

    def __init__(self, site: Site, wear: Wear) -> None:
        group = next(iter(site.groups.values()))
        racks = [site.equipment[rack] for rack in group.racks]
        self.names = [rack.id for rack in racks]
        self.figures = {
            key: np.array([rack.design[key] for rack in racks])
            for key in ("power_w", "liquid_fraction", "flow_m3_s", "dp_pa", "gpu_power_w")
        }
        self._gpus = site.gpus_per_rack
        self._gpu_w = site.gpus_per_rack * self.figures["gpu_power_w"]
        cdus = [site.equipment[member].design for member in group.members]
        self.cdus, self._cdu_m3_s = len(cdus), sum(c["flow_m3_s"] for c in cdus)
        self._valves_m3_s = VALVE_MOST * sum(c["facility_flow_m3_s"] for c in cdus)
        self._internal_pa, efficiency = cdus[0]["internal_dp_pa"], wear.pumps * cdus[0]["pump_efficiency"]
        head_pa = self._internal_pa + float(self.figures["dp_pa"][0])
        self._pump = VariablePump(flow_m3_s=cdus[0]["flow_m3_s"], head_pa=head_pa, efficiency=efficiency)
        self._exchanger = PlateExchanger(
            ua_w_k=wear.plates * sum(c["ua_w_k"] for c in cdus),
            hot_m3_s=self._cdu_m3_s,
            cold_m3_s=sum(c["facility_flow_m3_s"] for c in cdus),
            hot_j_m3_k=COOLANT_J_M3_K,
        )

    def draw(self, use: Array, cases_c: Array) -> tuple[Array, Array]:
        """(power of each rack, power on each of its plates) [W]: GPUs with idle power and leakage, and the rest."""
        leakage = 1.0 + LEAKAGE_PER_K * (cases_c - LEAKAGE_REFERENCE_C)
        gpus_w = self._gpu_w * (GPU_IDLE_SHARE + (1.0 - GPU_IDLE_SHARE) * use) * leakage
        rest_w = (self.figures["power_w"] - self._gpu_w) * (REST_IDLE_SHARE + (1.0 - REST_IDLE_SHARE) * use)
        return gpus_w + rest_w, (gpus_w + REST_TO_PLATES * rest_w) / self._gpus

    def liquid_w(self, power_w: Array) -> float:
        """What the coolant takes of the racks' power [W]."""
        return float(self.figures["liquid_fraction"] @ power_w)

    def flows(self, dp_pa: float) -> Array:
        """Flow of each rack [m³/s] at a differential pressure [Pa], as far as the CDUs' pumps give it."""
        flows: Array = self.figures["flow_m3_s"] * (max(dp_pa, 0.0) / self.figures["dp_pa"]) ** FLOW_EXPONENT
        return flows * min(1.0, 1.2 * self._cdu_m3_s / max(float(flows.sum()), 1e-9))

    def pumping_w(self, dp_pa: float, flow_m3_s: float) -> float:
        """Power of the CDUs' pumps [W]."""
        head_pa = dp_pa + self._internal_pa * (flow_m3_s / self._cdu_m3_s) ** 2
        return self.cdus * self._pump.power_w(flow_m3_s / self.cdus, head_pa)

    def exchange(
        self, liquid_w: float, flow_m3_s: float, supply_c: float, facility_c: float, most_m3_s: float
    ) -> tuple[float, float]:
        """Let the CDUs' valves hold their supply; (facility flow it takes [m³/s], supply that comes of it [°C])."""
        rise_k = liquid_w / (flow_m3_s * COOLANT_J_M3_K)
        most = min(self._valves_m3_s, most_m3_s)
        facility_m3_s = self._exchanger.cold_for(liquid_w, flow_m3_s, supply_c + rise_k - facility_c, most)
        carries = self._exchanger.per_kelvin(flow_m3_s, facility_m3_s)
        least_k = liquid_w / carries if carries > 0.0 else 100.0
        return facility_m3_s, max(supply_c, facility_c + least_k - rise_k)

    def rises_k(self, flows: Array, plates_w: Array) -> Array:
        """Mean case over supply of each rack [K]."""
        l_min = flows * 60000.0 / self._gpus
        rises: Array = (PLATE_FIXED_K_W + PLATE_FLOW_K_L_MIN / l_min) * plates_w
        return rises

    def seen(self, supply_c: float, flows: Array, power_w: Array, rises_k: Array) -> Mapping[str, float]:
        """What limits are held against: hottest case and return, least flow, supply."""
        liquid = self.figures["liquid_fraction"] * power_w
        return {
            "case_temperature": supply_c + HOTTEST * float(rises_k.max()),
            "rack_return_temperature": supply_c + float((liquid / (flows * COOLANT_J_M3_K)).max()),
            "rack_flow_m3_s": float(flows.min()),
            "tcs_supply_temperature": supply_c,
        }

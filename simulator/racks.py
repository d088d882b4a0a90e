"""A liquid-cooled rack: power from utilisation, leakage, cold plates, thermal mass."""

from __future__ import annotations

import random

from plant.topology import Equipment

FLOW_EXPONENT = 1.0 / 1.85  # dp ~ flow^1.85 (LBNL Buildings OCP_1kW_OAM)
PLATE_K_W = 0.01602  # R = 0.01602 + 0.00855 / V, V in l/min per plate, fitted to OCP OAI guidelines 2023
PLATE_K_L_MIN_W = 0.00855
LEAKAGE_PER_K = 0.001
LEAKAGE_REFERENCE_C = 50.0
PLATE_TAU_S = 10.0
GPU_IDLE_SHARE = 0.12
THROTTLE_FROM_C = 85.0  # GPUs clock down by themselves above this
THROTTLE_SPAN_K = 5.0


class Rack:
    """State and last step of one rack; temperatures [degC], powers [W], flow [m3/s]."""

    def __init__(self, equipment: Equipment, gpus: int, rho_cp: float, seed: int) -> None:
        design = equipment.design
        rng = random.Random(f"{seed}:{equipment.id}")
        self.id, self.gpus, self.rho_cp = equipment.id, gpus, rho_cp
        self.design_power_w = design["power_w"]
        self.liquid_fraction = design.get("liquid_fraction", 0.87)
        self.gpu_power_w = design["gpu_power_w"]
        self.design_flow_m3_s, self.design_dp_pa = design["flow_m3_s"], design["dp_pa"]
        self.leakage_per_k = design.get("leakage_per_k", LEAKAGE_PER_K)
        self.spread = rng.uniform(0.97, 1.03)
        self.gpu_factors = [_around(rng, 0.02) for _ in range(gpus)]
        self.plate_factors = [_around(rng, 0.02) for _ in range(gpus)]
        self.hottest_factor = max(a * b for a, b in zip(self.gpu_factors, self.plate_factors, strict=True))
        self._l_min_per_gpu = 60000.0 / gpus
        self._film = design["case_resistance_k_w"] / self._plate(self.design_flow_m3_s)
        # heat into the liquid for each watt of GPU: the plates carry the rest of the rack's liquid heat too
        self._liquid_per_gpu_w = self.liquid_fraction * self.design_power_w / self.gpu_power_w
        self.capacity_j_k = PLATE_TAU_S * self._liquid_per_gpu_w / design["case_resistance_k_w"]
        self.case_c, self.return_c, self.supply_c = 50.0, 40.0, 32.0
        self.flow_m3_s, self.power_w, self.gpu_mean_w = self.design_flow_m3_s, 0.0, 0.0
        self.dp_pa, self.utilisation = self.design_dp_pa, 0.0
        self.liquid_w = self.air_w = 0.0

    def _plate(self, flow_m3_s: float) -> float:
        return PLATE_K_W + PLATE_K_L_MIN_W / max(flow_m3_s * self._l_min_per_gpu, 0.02)

    @property
    def hottest_case_c(self) -> float:
        """Case temperature of its hottest GPU [degC]."""
        return self.supply_c + (self.case_c - self.supply_c) * self.hottest_factor

    def gpu_cases_c(self) -> list[float]:
        """Case temperature of each GPU [degC]."""
        rise_k = self.case_c - self.supply_c
        pairs = zip(self.gpu_factors, self.plate_factors, strict=True)
        return [self.supply_c + rise_k * a * b for a, b in pairs]

    def flow_at(self, dp_pa: float) -> float:
        """Flow [m3/s] at a manifold differential pressure [Pa]."""
        return self.design_flow_m3_s * self.spread * (dp_pa / self.design_dp_pa) ** FLOW_EXPONENT if dp_pa > 0 else 0.0

    def draw(self, utilisation: float) -> float:
        """Power [W] at a utilisation [0..1] and the present case temperature."""
        excess_k = self.hottest_case_c - THROTTLE_FROM_C
        self.utilisation = utilisation = utilisation * min(max(1.0 - excess_k / THROTTLE_SPAN_K, 0.0), 1.0)
        leakage = 1.0 + self.leakage_per_k * (self.case_c - LEAKAGE_REFERENCE_C)
        self.gpu_mean_w = self.gpu_power_w * (GPU_IDLE_SHARE + (1.0 - GPU_IDLE_SHARE) * utilisation) * leakage
        rest_w = self.design_power_w - self.gpus * self.gpu_power_w
        self.power_w = self.gpus * self.gpu_mean_w + rest_w * (0.5 + 0.5 * utilisation)
        return self.power_w

    def step(self, dt_s: float, supply_c: float, flow_m3_s: float, utilisation: float) -> None:
        """Advance dt_s [s] with coolant at supply_c [degC] and flow_m3_s [m3/s]."""
        power_w = self.draw(utilisation)
        stream_w_k = self.rho_cp * flow_m3_s
        # the plates can't heat the coolant above themselves, hence the cap
        plates_w_k = min(self._liquid_per_gpu_w / (self._film * self._plate(flow_m3_s)), 0.95 * stream_w_k)
        self.liquid_w = plates_w_k * (self.case_c - supply_c)
        self.air_w = (1.0 - self.liquid_fraction) * power_w
        self.case_c += dt_s * (self.liquid_fraction * power_w - self.liquid_w) / self.capacity_j_k
        self.supply_c, self.flow_m3_s = supply_c, flow_m3_s
        self.return_c = supply_c + (self.liquid_w / stream_w_k if stream_w_k > 0 else 0.0)


def _around(rng: random.Random, spread: float) -> float:
    return 1.0 + min(max(rng.gauss(0.0, spread), -2.5 * spread), 2.5 * spread)

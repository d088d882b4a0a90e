"""Liquid-cooled racks: power from utilisation, leakage, cold plates, thermal mass; all racks of a loop at once."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from plant.topology import Equipment
from simulator.plates import PlateCurve, plate_curve

Floats = npt.NDArray[np.float64]

FLOW_EXPONENT = 1.0 / 1.85  # dp ~ flow^1.85 (LBNL Buildings OCP_1kW_OAM)
LEAKAGE_PER_K = 0.001
LEAKAGE_REFERENCE_C = 50.0
PLATE_TAU_S = 10.0
GPU_IDLE_SHARE = 0.12
THROTTLE_FROM_C = 85.0  # GPUs clock down by themselves above this
THROTTLE_SPAN_K = 5.0
SHUTDOWN_SPAN_K = 10.0  # above the throttling span nodes switch off by themselves, and come back as they cool
FLOW_SPREAD = 0.03
GPU_SPREAD = 0.02
MOST_HEATED = 0.95  # the plates can't heat the coolant above themselves


class Rack:
    """Design of one rack, and a window on its state in the bank; temperatures [degC], powers [W], flow [m3/s]."""

    def __init__(self, equipment: Equipment, gpus: int, rho_cp: float, seed: int, coolant: str) -> None:
        design = equipment.design
        rng = random.Random(f"{seed}:{equipment.id}")
        self.id, self.gpus, self.rho_cp = equipment.id, gpus, rho_cp
        self.design_power_w = design["power_w"]
        self.liquid_fraction = design.get("liquid_fraction", 0.87)
        self.gpu_power_w = design["gpu_power_w"]
        self.idle_share = design.get("gpu_idle_share", GPU_IDLE_SHARE)
        self.design_flow_m3_s, self.design_dp_pa = design["flow_m3_s"], design["dp_pa"]
        self.leakage_per_k = design.get("leakage_per_k", LEAKAGE_PER_K)
        self.throttle_from_c = design.get("throttle_c", THROTTLE_FROM_C)
        flow_spread, gpu_spread = design.get("flow_spread", FLOW_SPREAD), design.get("gpu_spread", GPU_SPREAD)
        self.spread = rng.uniform(1.0 - flow_spread, 1.0 + flow_spread)
        self.gpu_factors = [_around(rng, gpu_spread) for _ in range(gpus)]
        self.plate_factors = [_around(rng, gpu_spread) for _ in range(gpus)]
        self.hottest_factor = max(a * b for a, b in zip(self.gpu_factors, self.plate_factors, strict=True))
        self.case_factors = np.array(self.gpu_factors) * np.array(self.plate_factors)
        self.l_min_per_plate = 60000.0 / gpus
        self.curve = plate_curve(coolant)
        at_design = float(self.curve.k_w(np.array([self.design_flow_m3_s * self.l_min_per_plate]))[0])
        self.film = design["case_resistance_k_w"] / at_design
        # heat into the liquid for each watt of GPU: the plates carry the rest of the rack's liquid heat too
        self.liquid_per_gpu_w = self.liquid_fraction * self.design_power_w / self.gpu_power_w
        tau_s = design.get("plate_tau_s", PLATE_TAU_S)
        self.capacity_j_k = tau_s * self.liquid_per_gpu_w / design["case_resistance_k_w"]
        self._bank, self._index = RackBank([self], join=False), 0

    def join(self, bank: RackBank, index: int) -> None:
        """From now on this is row `index` of `bank`."""
        self._bank, self._index = bank, index

    @property
    def case_c(self) -> float:
        """Mean case temperature [degC]."""
        return float(self._bank.case_c[self._index])

    @case_c.setter
    def case_c(self, value: float) -> None:
        self._bank.case_c[self._index] = value
        self._bank.look()

    @property
    def supply_c(self) -> float:
        """Coolant that it received [degC]."""
        return self._bank.supply_c

    @property
    def dp_pa(self) -> float:
        """Differential pressure across it [Pa]."""
        return self._bank.dp_pa

    @property
    def return_c(self) -> float:
        """Coolant that it gave back [degC]."""
        return float(self._bank.return_c[self._index])

    @property
    def flow_m3_s(self) -> float:
        """Coolant flow [m3/s]."""
        return float(self._bank.flow_m3_s[self._index])

    @property
    def power_w(self) -> float:
        """Electrical power [W]."""
        return float(self._bank.power_w[self._index])

    @property
    def gpu_mean_w(self) -> float:
        """Mean power of its GPUs [W]."""
        return float(self._bank.gpu_mean_w[self._index])

    @property
    def liquid_w(self) -> float:
        """Heat into the coolant [W]."""
        return float(self._bank.liquid_w[self._index])

    @property
    def air_w(self) -> float:
        """Heat into the room [W]."""
        return float(self._bank.air_w[self._index])

    @property
    def utilisation(self) -> float:
        """What it does after throttling [0..1]."""
        return float(self._bank.utilisation[self._index])

    @property
    def hottest_case_c(self) -> float:
        """Case temperature of its hottest GPU [degC]."""
        return self.supply_c + (self.case_c - self.supply_c) * self.hottest_factor

    def gpu_cases_c(self) -> list[float]:
        """Case temperature of each GPU [degC]."""
        rise_k = self.case_c - self.supply_c
        cases: list[float] = (self.supply_c + rise_k * self.case_factors).tolist()
        return cases

    def flow_at(self, dp_pa: float) -> float:
        """Flow [m3/s] at a manifold differential pressure [Pa]."""
        return float(self._bank.flow_at(dp_pa)[self._index])


class RackBank:
    """The racks of one manifold as columns; one step costs the same Python for two racks as for two hundred."""

    def __init__(self, racks: Sequence[Rack], *, join: bool = True) -> None:
        self.racks = list(racks)

        def column(name: str) -> Floats:
            return np.array([getattr(rack, name) for rack in racks], dtype=np.float64)

        self._gpus, self._gpu_w, self._idle = column("gpus"), column("gpu_power_w"), column("idle_share")
        self._rest_w = column("design_power_w") - self._gpus * self._gpu_w
        self._leakage, self._throttle_c = column("leakage_per_k"), column("throttle_from_c")
        self._hottest, self._liquid_share = column("hottest_factor"), column("liquid_fraction")
        self._film_w, self._l_min = column("liquid_per_gpu_w") / column("film"), column("l_min_per_plate")
        factors = column("design_flow_m3_s") * column("spread") / column("design_dp_pa") ** FLOW_EXPONENT
        self._flow_factor, self.flow_factor = factors, float(factors.sum())  # flow at 1 Pa; it goes with dp^(1/1.85)
        self.capacity_j_k, self.rho_cp = column("capacity_j_k"), racks[0].rho_cp
        self._curve: PlateCurve = racks[0].curve
        count = len(racks)
        self.supply_c, self.dp_pa = 32.0, racks[0].design_dp_pa
        self.case_c, self.return_c = np.full(count, 50.0), np.full(count, 40.0)
        self.flow_m3_s, self.utilisation = self.flow_at(self.dp_pa), np.zeros(count)
        self.power_w, self.gpu_mean_w, self.liquid_w, self.air_w = (np.zeros(count) for _ in range(4))
        self._always_on = np.ones(count)
        self._throttle_least_c = float(self._throttle_c.min())
        self._conduct()
        self.look()
        if join:
            for index, rack in enumerate(racks):
                rack.join(self, index)

    @property
    def stored_j(self) -> float:
        """Heat content against 0 degC [J]."""
        return float(self.capacity_j_k @ self.case_c)

    def flow_at(self, dp_pa: float) -> Floats:
        """Flow of each rack [m3/s] at a differential pressure [Pa]."""
        return self._flow_factor * (dp_pa**FLOW_EXPONENT if dp_pa > 0.0 else 0.0)

    def draw(self, wanted: Floats) -> None:
        """Take power for a utilisation [0..1] at the present cases: leakage; throttling and shutdown when hot."""
        case_c, on = self.case_c, self._always_on
        if self.hottest_case_c > self._throttle_least_c:
            excess_k = self.supply_c + (case_c - self.supply_c) * self._hottest - self._throttle_c
            wanted = wanted * np.clip(1.0 - excess_k / THROTTLE_SPAN_K, 0.0, 1.0)
            on = np.clip(1.0 - (excess_k - THROTTLE_SPAN_K) / SHUTDOWN_SPAN_K, 0.0, 1.0)
        leakage = 1.0 + self._leakage * (case_c - LEAKAGE_REFERENCE_C)
        self.utilisation = wanted
        self.gpu_mean_w = on * self._gpu_w * (self._idle + (1.0 - self._idle) * wanted) * leakage
        self.power_w = self._gpus * self.gpu_mean_w + on * self._rest_w * (0.5 + 0.5 * wanted)

    def step(self, dt_s: float, supply_c: float, dp_pa: float, utilisation: Floats) -> None:
        """Advance dt_s [s] with coolant at supply_c [degC] and a differential pressure [Pa]."""
        self.draw(utilisation)
        if abs(dp_pa - self.dp_pa) > 1e-3:
            self.flow_m3_s, self.dp_pa = self.flow_at(dp_pa), dp_pa
            self._conduct()
        into_liquid_w = self._liquid_share * self.power_w
        rise_k = self.case_c - supply_c
        if dp_pa > 0.0:
            # exact over the step for a constant heat, so that 10 s of a 2 s plate neither rings nor loses a joule
            decay = np.exp(-dt_s * self._plates_w_k / self.capacity_j_k)
            change_k = (into_liquid_w / self._plates_w_k - rise_k) * (1.0 - decay)
            self.liquid_w = into_liquid_w - self.capacity_j_k * change_k / dt_s
            self.return_c = supply_c + self.liquid_w / self._stream_w_k
        else:
            change_k = dt_s * into_liquid_w / self.capacity_j_k
            self.liquid_w = np.zeros_like(rise_k)
        self.case_c = self.case_c + change_k
        self.air_w = self.power_w - into_liquid_w
        self.supply_c = supply_c
        self.look()

    def look(self) -> None:
        """Note the hottest GPU's case temperature [degC]."""
        self.hottest_case_c = self.supply_c + float(((self.case_c - self.supply_c) * self._hottest).max())

    def _conduct(self) -> None:
        self.total_flow_m3_s = float(self.flow_m3_s.sum())
        self.flow_range_m3_s = float(self.flow_m3_s.min()), float(self.flow_m3_s.max())
        self._stream_w_k = self.rho_cp * self.flow_m3_s
        plates_w_k = self._film_w / self._curve.k_w(self.flow_m3_s * self._l_min)
        self._plates_w_k = np.minimum(plates_w_k, MOST_HEATED * self._stream_w_k)


def _around(rng: random.Random, spread: float) -> float:
    return 1.0 + min(max(rng.gauss(0.0, spread), -2.5 * spread), 2.5 * spread)

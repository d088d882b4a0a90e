"""The racks of the EnergyPlus hall, which its model only knows as a heat: power, cold plates, and what they show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.plants import Utilisation
from benchmarks.rack_instruments import shares_of, shown_by_racks
from plant.points import PointId
from plant.topology import Equipment

Array = npt.NDArray[np.float64]

PLATE_L_MIN = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4)
PLATE_K_W = (
    *(0.0389, 0.0325, 0.0300, 0.0280, 0.0265, 0.0255, 0.0245, 0.0230, 0.0220, 0.0214, 0.0209, 0.0204, 0.0200),
    0.0197,
)
"""OCP OAI guidelines 2023, 1 kW OAM, PG25: case to inlet against flow of one plate."""
HOTTEST = 1.05
"""Rise of the hottest GPU's case against the mean one."""
LEAKAGE_PER_K, LEAKAGE_REFERENCE_C = 0.001, 50.0
GPU_IDLE_SHARE, REST_IDLE_SHARE = 0.12, 0.5
REST_BESIDE_PLATES = 0.75
"""Share of what is no GPU that does not lie on the GPUs' plates."""
FLOW_EXPONENT = 1 / 1.85
COOLANT_J_M3_K = 3.96e6


class HallRacks:
    """All racks of one loop; arrays have one figure a rack."""

    def __init__(self, racks: Sequence[Equipment], gpus_per_rack: int) -> None:
        self._racks, self._gpus = tuple(rack.id for rack in racks), gpus_per_rack
        self.liquid_fraction, self._flow_m3_s, self._dp_pa, rated_w, gpu_w = (
            np.array([rack.design[key] for rack in racks])
            for key in ("liquid_fraction", "flow_m3_s", "dp_pa", "power_w", "gpu_power_w")
        )
        self._gpus_w: Array = gpus_per_rack * gpu_w
        self._rest_w: Array = rated_w - self._gpus_w
        self._shares = shares_of(gpus_per_rack, HOTTEST)
        self.forget()

    def forget(self) -> None:
        """As after a long idle night: cases at the temperature for which leakage is told."""
        self.power_w: Array = np.zeros(len(self._racks))
        self._cases_c: Array = np.full(len(self._racks), LEAKAGE_REFERENCE_C)
        self._rises_k, self._plate_w = np.zeros(len(self._racks)), np.zeros(len(self._racks))

    def drawn_w(self, utilisation: Utilisation, at_s: float) -> Array:
        """Power of each rack [W] at a time [s since 1970]: GPUs, idle ones too, with leakage, and the rest."""
        use = np.array([utilisation(rack, at_s) for rack in self._racks])
        leakage = 1.0 + LEAKAGE_PER_K * (self._cases_c - LEAKAGE_REFERENCE_C)
        gpus_w = self._gpus_w * (GPU_IDLE_SHARE + (1 - GPU_IDLE_SHARE) * use) * leakage
        found: Array = gpus_w + self._rest_w * (REST_IDLE_SHARE + (1 - REST_IDLE_SHARE) * use)
        return found

    def flow_m3_s(self, dp_pa: float) -> float:
        """Flow of all racks [m³/s] at a differential pressure [Pa]."""
        return float((self._flow_m3_s * (max(dp_pa, 0.0) / self._dp_pa) ** FLOW_EXPONENT).sum())

    def live(self, power_w: Array, supply_c: float, moved_m3_s: float) -> float:
        """Take a minute's power [W], supply [°C] and the loop's flow [m³/s]; returns the hottest case [°C]."""
        self.power_w, self._flows = power_w, self._flow_m3_s * moved_m3_s / float(self._flow_m3_s.sum())
        self._plate_w = np.maximum(power_w - REST_BESIDE_PLATES * self._rest_w, 0.0) / self._gpus
        self._rises_k = np.interp(self._flows * 60000.0 / self._gpus, PLATE_L_MIN, PLATE_K_W) * self._plate_w
        self._cases_c = supply_c + self._rises_k
        return supply_c + float(self._rises_k.max()) * HOTTEST

    @property
    def least_flow_m3_s(self) -> float:
        """Flow of the rack that gets least [m³/s]."""
        return float(self._flows.min())

    def shown(self, supply_c: float, dp_pa: float) -> dict[PointId, float]:
        """What racks and all their GPUs show. supply_c: at their inlets [°C]; dp_pa: across them [Pa]."""
        stream_w_k = np.maximum(self._flows * COOLANT_J_M3_K, 1.0)
        values = {
            "power": self.power_w,
            "liquid_return_temperature": supply_c + self.liquid_fraction * self.power_w / stream_w_k,
            "liquid_flow": self._flows,
            "liquid_differential_pressure": np.full(len(self._racks), dp_pa),
        }
        return shown_by_racks(self._racks, values, supply_c, self._rises_k, self._plate_w, self._shares)

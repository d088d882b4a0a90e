"""Cold plates: case to inlet resistance of each rack, from the GPUs' own temperatures and powers."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from controller.design import RackDesign
from controller.model import case_resistance
from plant.live import Snapshot
from plant.points import PointId

LEAST_POWER = 0.3
"""Of a GPU's design; below it the rise is small against what its sensor resolves."""
LEAST_GPUS = 4
LEAST_RISE_K = 3.0


def rack_rise(snapshot: Snapshot, rack: str, gpus: int, kind: RackDesign, supply_c: float) -> tuple[float, float]:
    """(rise of the case [K], power [W]) of a rack's median GPU by resistance; NaN where too few tell.

    The median is robust against a few wrong sensors; what single plates differ is the case tolerance's business.
    """
    pairs = _good_pairs(snapshot, rack, gpus, LEAST_POWER * kind.gpu_power_w)
    if len(pairs) < min(LEAST_GPUS, gpus):
        return math.nan, math.nan
    found = np.array(pairs)
    resistance, power_w = np.median((found[:, 0] - supply_c) / found[:, 1]), np.median(found[:, 1])
    return float(resistance * power_w), float(power_w)


def case_log(kind: RackDesign, coolant_j_m3_k: float, rise_k: float, power_w: float, flow: float) -> float:
    """Log of the resistance over the site file's at this flow [m³/s] of coolant."""
    if rise_k < LEAST_RISE_K or flow < 0.1 * kind.flow_m3_s:
        return math.nan
    return math.log(rise_k / power_w / float(case_resistance(kind, np.array(flow), coolant_j_m3_k)))


def _good_pairs(snapshot: Snapshot, rack: str, gpus: int, least_w: float) -> list[tuple[float, float]]:
    """(temperature [°C], power [W]) of GPUs that are good, and busy."""
    pairs = []
    for temperature, power in _points(rack, gpus):
        power_w = snapshot.get(power)
        if power_w > least_w and math.isfinite(case_c := snapshot.get(temperature)):
            pairs.append((case_c, power_w))
    return pairs


@lru_cache(maxsize=4096)
def _points(rack: str, gpus: int) -> tuple[tuple[PointId, PointId], ...]:
    names = [f"{rack}/gpu-{gpu:02d}" for gpu in range(gpus)]
    return tuple((f"{name}/temperature", f"{name}/power") for name in names)

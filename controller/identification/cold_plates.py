"""Cold plates: case to inlet resistance of each rack, from the GPUs' own temperatures and powers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from controller.design import RackDesign
from controller.exchange import Array
from controller.model import case_resistance
from plant.live import Snapshot
from plant.points import PointId
from plant.topology import Site

LEAST_POWER = 0.3
"""Of a GPU's design; below it the rise is small against what its sensor resolves."""
LEAST_GPUS = 2
LEAST_RISE_K = 3.0
STEADY, SWINGING = 0.12, 0.05
"""Share by which the heat that a rack's coolant carries may differ from its power: meters err, too; and how well that
heat tells what lies on a plate."""


@dataclass(frozen=True, slots=True)
class Rise:
    """Rise of the case [K] and power [W] of a rack's middle GPUs by resistance, among `gpus` that tell."""

    rise_k: float
    power_w: float
    gpus: int


def gpus_named(site: Site, rack: str) -> int:
    """How many of a rack's GPUs the site file has a temperature of; a source may tell of a few."""
    return sum(temperature in site.points for temperature, _ in _points(rack, site.gpus_per_rack))


def rack_rise(snapshot: Snapshot, rack: str, gpus: int, kind: RackDesign, supply_c: float) -> Rise | None:
    """What a rack's busy GPUs tell; None where too few of the `gpus` do that may.

    The middle half is robust against a few wrong sensors, and its mean finer than the steps in which they tell; what
    single plates differ is the case tolerance's business.
    """
    pairs = _good_pairs(snapshot, rack, gpus, LEAST_POWER * kind.gpu_power_w)
    if not pairs or len(pairs) < min(LEAST_GPUS, gpus):
        return None
    found = np.array(pairs)
    resistance, power_w = _middle((found[:, 0] - supply_c) / found[:, 1]), float(np.median(found[:, 1]))
    return Rise(resistance * power_w, power_w, len(pairs))


def _middle(values: Array) -> float:
    """The mean of the middle half."""
    return float(np.mean(np.sort(values)[len(values) // 4 : len(values) - len(values) // 4]))


def case_log(kind: RackDesign, coolant_j_m3_k: float, rise_k: float, power_w: float, flow: float) -> float:
    """Log of the resistance over the site file's at this flow [m³/s] of coolant; NaN where nothing tells it."""
    if rise_k < LEAST_RISE_K or power_w <= 0.0 or flow < 0.1 * kind.flow_m3_s:
        return math.nan
    return math.log(rise_k / power_w / float(case_resistance(kind, np.array(flow), coolant_j_m3_k)))


def swings(kind: RackDesign, rack_w: float, carried_w: float) -> float:
    """Heat that the coolant carries over what the rack draws just now [1]; 1 where both agree, or one is not known.

    Power that swings faster than cases follow shows its peaks at cases that stand for its mean: plates would look far
    better than they are.
    """
    if not rack_w > 0.0:  # off, or not told
        return 1.0
    share = carried_w / (rack_w * kind.liquid_fraction)
    return share if abs(share - 1.0) > STEADY else 1.0


def beside_gpus(kind: RackDesign, gpu_w: float, rack_w: float) -> float:
    """Log of what lies on a GPU's plate over the GPU's own power [W], as likely as not; as much again may be wrong.

    The rest of a rack, some of which lies on the same plates, falls less with load than GPUs do: then the plate carries
    between the GPU's own power and the rack's share [W] of its nameplate.
    """
    share_w = rack_w / kind.power_w * kind.gpu_power_w
    return 0.5 * math.log(share_w / gpu_w) if share_w > gpu_w else 0.0


def _good_pairs(snapshot: Snapshot, rack: str, gpus: int, least_w: float) -> list[tuple[float, float]]:
    """(temperature [°C], power [W]) of GPUs that are busy; where one does not tell its power, the others' median."""
    shown = [(snapshot.get(temperature), snapshot.get(power)) for temperature, power in _points(rack, gpus)]
    known_w = [power_w for _, power_w in shown if math.isfinite(power_w)]
    usual_w = float(np.median(known_w)) if known_w else math.nan
    pairs = [(case_c, power_w if math.isfinite(power_w) else usual_w) for case_c, power_w in shown]
    return [(case_c, power_w) for case_c, power_w in pairs if math.isfinite(case_c) and power_w > least_w]


@lru_cache(maxsize=4096)
def _points(rack: str, gpus: int) -> tuple[tuple[PointId, PointId], ...]:
    names = [f"{rack}/gpu-{gpu:02d}" for gpu in range(gpus)]
    return tuple((f"{name}/temperature", f"{name}/power") for name in names)

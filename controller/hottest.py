"""The power that a loop's hottest case stands for: what plans expect of a GPU must not be less than what one shows."""

from __future__ import annotations

import math

import numpy as np

from controller.constraints import CASE_TOLERANCE
from controller.design import LoopDesign
from controller.model import full_load_case_c
from plant.live import Snapshot
from plant.topology import CoolingGroup

MOST_OVER = 1.10
"""No GPU stands for more than this times the nameplate with its tolerance: one wrong sensor must not stop a loop."""


def stands_for_w(design: LoopDesign, snapshot: Snapshot, group: CoolingGroup, hot_c: float, hot_w: float) -> float:
    """Power [W] at which plans would expect the hottest case; the measured one where that is more, or nothing is known.

    design: with what was identified; hot_c, hot_w: highest temperature [°C] and power [W] of the loop's GPUs, NaN where
    none tells. Of CDUs that differ the warmest supply and the least pressure count, so that no case looks worse than
    it is.
    """
    supplies, dps = (
        [v for m in group.members if math.isfinite(v := snapshot.get(f"{m}/tcs_{name}"))]
        for name in ("supply_temperature", "differential_pressure")
    )
    if not (supplies and dps and math.isfinite(hot_c)) or min(dps) <= 0.0:
        return hot_w
    supply_c = max(supplies)
    nameplate_w = CASE_TOLERANCE * max(kind.gpu_power_w for kind, _ in design.racks)
    at_c = full_load_case_c(design, np.array([supply_c]), np.array([min(dps)]), nameplate_w)
    share = (hot_c - supply_c) / float(at_c[0] - supply_c)
    return float(np.fmax(hot_w, min(share, MOST_OVER) * nameplate_w))

"""The controller's view of chillers: a share of the Carnot efficiency, fixed by the rating point, and part load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.exchange import Array
from plant.topology import Equipment

AIR_RATING_C, WATER_RATING_C, LEAVING_RATING_C = 35.0, 29.4, 18.0
"""Outdoor air and entering condenser water of AHRI 550/590; leaving water of a machine chosen for warm facility water.
The site file's `rating_condenser_c` and `rating_leaving_c` say better."""
CONDENSER_AIR_K, CONDENSER_WATER_K, EVAPORATOR_K = 13.0, 5.0, 2.0
"""Condensing above outdoor air (its own rise included) or above entering water; evaporating below leaving water."""
LEAST_LIFT_K = 10.0
LEAST_LOAD = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class ChillerDesign:
    """Equal machines. heat_w: all together [W]; condenser_m3_s: condenser water of one that runs (0: air-cooled).

    together: all of them share what there is to chill, because staging chose them; else as few run as can.
    """

    heat_w: float
    machines: int
    cop: float
    rating_hot_c: float
    rating_leaving_c: float
    least_load: float
    condenser_m3_s: float
    together: bool = False

    @property
    def condenser_k(self) -> float:
        """How far it condenses above air or entering water [K]."""
        return CONDENSER_WATER_K if self.condenser_m3_s > 0 else CONDENSER_AIR_K


def chiller_design(
    chillers: Sequence[Equipment], *, water_cooled: bool, together: bool = False
) -> ChillerDesign | None:
    """All chillers of a loop as equal machines, None where there is none.

    Raises:
        KeyError: a design figure is missing.
    """
    if not chillers:
        return None
    design = chillers[0].design
    heat_w = sum(c.design["heat_w"] for c in chillers)
    usual_m3_s = heat_w / len(chillers) * (1 + 1 / design["cop"]) / (5.0 * 4.18e6) if water_cooled else 0.0
    return ChillerDesign(
        heat_w=heat_w,
        machines=len(chillers),
        cop=design["cop"],
        rating_hot_c=design.get("rating_condenser_c", WATER_RATING_C if water_cooled else AIR_RATING_C),
        rating_leaving_c=design.get("rating_leaving_c", LEAVING_RATING_C),
        least_load=design.get("min_load_fraction", LEAST_LOAD),
        condenser_m3_s=design.get("condenser_flow_m3_s", usual_m3_s) if water_cooled else 0.0,
        together=together,
    )


def running(design: ChillerDesign, heat_w: Array) -> Array:
    """How many machines run for a heat [W]."""
    if design.together:
        return np.where(heat_w > 0, float(design.machines), 0.0)
    return np.ceil(np.clip(heat_w / (design.heat_w / design.machines), 0.0, design.machines) - 1e-9)


def chiller_w(design: ChillerDesign, heat_w: Array, leaving_c: Array, hot_c: Array) -> Array:
    """Electric power [W] of chillers that take heat_w [W]; hot_c: outdoor air or entering condenser water [°C].

    COP = share x T_evaporating / lift. Part load of a variable-speed machine: 0.10 + 0.40 x + 0.50 x², the shape of
    usual energy-input-to-part-load curves; below its least load a machine draws what it draws there.
    """
    share = design.cop / _carnot(design, np.array(design.rating_leaving_c), np.array(design.rating_hot_c))
    cop = share * _carnot(design, leaving_c, hot_c)
    machines, one_w = running(design, heat_w), design.heat_w / design.machines
    load = np.maximum(heat_w / np.maximum(machines, 1.0) / one_w, design.least_load)
    return machines * one_w / cop * (0.10 + 0.40 * load + 0.50 * load**2)


def _carnot(design: ChillerDesign, leaving_c: Array, hot_c: Array) -> Array:
    cold_c = leaving_c - EVAPORATOR_K
    return (cold_c + 273.15) / np.maximum(hot_c + design.condenser_k - cold_c, LEAST_LIFT_K)

"""The controller's view of chillers: a share of the Carnot efficiency, fixed by the rating point, and part load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

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


USUAL_INPUT = (0.10, 0.40, 0.50, 0.0)
"""Power over that of full load at the same temperatures, 1, x, x², x³ of load: the shape of usual
energy-input-to-part-load curves of variable-speed machines, where the site file tells none."""
TOLD_LOADS = (0.25, 0.50, 0.75)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChillerDesign:
    """Machines that run, as one. heat_w: all together [W]; power_w: all at their rating points [W].

    share: COP over the Carnot one at full load; input_shares: see `USUAL_INPUT`; condenser_m3_s: condenser water of one
    that runs, in the mean (0: air-cooled). min_off_s: how long one that stopped stays off at least [s]. together: all
    of them share what there is to chill in proportion to their size, because staging chose them; else as few run as
    can.
    """

    heat_w: float
    machines: int
    power_w: float
    share: float
    input_shares: tuple[float, float, float, float]
    least_load: float
    condenser_m3_s: float
    min_off_s: float = 0.0
    together: bool = False

    @property
    def condenser_k(self) -> float:
        """How far it condenses above air or entering water [K]."""
        return _condenser_k(water_cooled=self.condenser_m3_s > 0)


def chiller_design(
    chillers: Sequence[Equipment], *, water_cooled: bool, together: bool = False
) -> ChillerDesign | None:
    """All chillers of a loop as one, None where there is none.

    In parallel with one leaving temperature and flows by size all have the same part load, and their powers add up:
    heat over share of Carnot, times the part load's polynomial, which may differ from machine to machine.

    Raises:
        KeyError: a design figure is missing.
    """
    if not chillers:
        return None
    sizes = np.array([c.design["heat_w"] for c in chillers])
    shares = np.array([_carnot_share(c.design, water_cooled=water_cooled) for c in chillers])
    inputs = np.array([input_shares(c.design) for c in chillers])
    weights = sizes / shares / (sizes / shares).sum()
    flows = [_condenser_m3_s(c.design) if water_cooled else 0.0 for c in chillers]
    least = [c.design.get("min_load_fraction", LEAST_LOAD) for c in chillers]
    first, second, third, fourth = (float(x) for x in weights @ inputs)
    return ChillerDesign(
        heat_w=float(sizes.sum()),
        machines=len(chillers),
        power_w=sum(c.design["heat_w"] / c.design["cop"] for c in chillers),
        share=float(sizes.sum() / (sizes / shares).sum()),
        input_shares=(first, second, third, fourth),
        least_load=float(weights @ least),
        condenser_m3_s=sum(flows) / len(chillers),
        min_off_s=max(c.design.get("min_off_s", 0.0) for c in chillers),
        together=together,
    )


def input_shares(design: Mapping[str, float]) -> tuple[float, ...]:
    """A machine's `USUAL_INPUT`: through what `cop_75`, `cop_50`, `cop_25` tell, at the rating's temperatures.

    A load of which nothing is told departs from the usual shape as its neighbours do.
    """
    told = [(load, design["cop"] / design[key]) for load in TOLD_LOADS if (key := f"cop_{load * 100:.0f}") in design]
    return _through(tuple(told)) if told else USUAL_INPUT


@lru_cache(maxsize=64)
def _through(told: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    """The polynomial through (load, COP of full load over COP at this one) and full load."""
    usual = {load: float(np.polynomial.polynomial.polyval(load, USUAL_INPUT)) for load in (*TOLD_LOADS, 1.0)}
    off = {load: load * worse / usual[load] for load, worse in told} | {1.0: 1.0}
    shares = [usual[load] * float(np.interp(load, list(off), list(off.values()))) for load in usual]
    return tuple(float(x) for x in np.linalg.solve(np.vander(list(usual), increasing=True), shares))


def _carnot_share(design: Mapping[str, float], *, water_cooled: bool) -> float:
    hot_c = design.get("rating_condenser_c", WATER_RATING_C if water_cooled else AIR_RATING_C)
    leaving_c = design.get("rating_leaving_c", LEAVING_RATING_C)
    return design["cop"] / float(_carnot(np.array(leaving_c), np.array(hot_c), _condenser_k(water_cooled=water_cooled)))


def _condenser_m3_s(design: Mapping[str, float]) -> float:
    return design.get("condenser_flow_m3_s", design["heat_w"] * (1 + 1 / design["cop"]) / (5.0 * 4.18e6))


def _condenser_k(*, water_cooled: bool) -> float:
    return CONDENSER_WATER_K if water_cooled else CONDENSER_AIR_K


def running(design: ChillerDesign, heat_w: Array) -> Array:
    """How many machines run for a heat [W]."""
    if design.together:
        return np.where(heat_w > 0, float(design.machines), 0.0)
    return np.ceil(np.clip(heat_w / (design.heat_w / design.machines), 0.0, design.machines) - 1e-9)


def chiller_w(design: ChillerDesign, heat_w: Array, leaving_c: Array, hot_c: Array) -> Array:
    """Electric power [W] of chillers that take heat_w [W]; hot_c: outdoor air or entering condenser water [°C].

    COP = share x T_evaporating / lift, times part load; below its least load a machine draws what it draws there.
    """
    cop = design.share * _carnot(leaving_c, hot_c, design.condenser_k)
    machines, one_w = running(design, heat_w), design.heat_w / design.machines
    load = np.maximum(heat_w / np.maximum(machines, 1.0) / one_w, design.least_load)
    a, b, c, d = design.input_shares
    return machines * one_w / cop * (a + load * (b + load * (c + load * d)))


def _carnot(leaving_c: Array, hot_c: Array, condenser_k: float) -> Array:
    cold_c = leaving_c - EVAPORATOR_K
    return (cold_c + 273.15) / np.maximum(hot_c + condenser_k - cold_c, LEAST_LIFT_K)

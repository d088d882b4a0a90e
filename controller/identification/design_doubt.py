"""How much worse than their figures plates that nobody sees may be taken for: no worse than the design setpoints carry.

A designer who answers for fixed setpoints has left room in them for what was not known of the plates. A doubt that even
those setpoints could not carry would ask for colder water than they give, all day, for nothing that anybody measures.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from controller import inputs
from controller.constraints import CASE_RESERVE_K, OVER_RATING
from controller.design import LoopDesign
from controller.facility_plant import facility_owner
from controller.identification.plate_reserve import KEY, unseen
from controller.loss import HEAT_RESERVE, surely_lost_case_c
from controller.model import Load, full_load_case_c
from controller.outdoor import Outdoor
from controller.problems import full_gpu_w, limit_values
from plant.topology import CoolingGroup, Site

STEP = 0.01
_ANY_AIR = Outdoor(20.0)


def most_worse(site: Site, group: CoolingGroup, design: LoopDesign) -> dict[str, float]:
    """Rack -> resistance of unseen plates over the file's [1]: by a tolerance that is stated, else as the usual one.

    The usual one counts as far as the loop's design setpoints hold the case limit with it, at full power and, where the
    site asks for it, without the largest CDU; whole where the file lacks what tells that. design: the loop by its file.
    """
    told = {rack: unseen(site.equipment[rack]) for rack in group.racks}
    usual = [rack for rack in group.racks if KEY not in site.equipment[rack].design]
    limit_c = limit_values(site)[0].get("case_temperature")
    if not usual or limit_c is None or inputs.SUPPLY not in group.design:
        return told
    carried = _carried(_at_design(site, group, design, limit_c), max(told[rack] for rack in usual))
    return told | {rack: min(told[rack], carried) for rack in usual}


@dataclass(frozen=True, slots=True, kw_only=True)
class _AtDesign:
    """A loop at its design setpoints [°C, Pa], whatever its plant does.

    loop: what of its design counts; facility_c: None where nothing is to be survived.
    """

    loop: tuple[object, ...]
    supply_c: float
    dp_pa: float
    facility_c: float | None
    limit_c: float
    design: LoopDesign = field(compare=False)


def _at_design(site: Site, group: CoolingGroup, design: LoopDesign, limit_c: float) -> _AtDesign:
    facility_c = facility_owner(site, group).design.get(inputs.FACILITY) if group.reserve != "none" else None
    return _AtDesign(
        loop=(design.racks, design.cdus, design.coolant, design.water, design.lags, design.when_lost),
        supply_c=group.design[inputs.SUPPLY],
        dp_pa=group.design.get(inputs.DP, design.index_rack.dp_pa),
        facility_c=facility_c,
        limit_c=limit_c,
        design=design,
    )


@lru_cache(maxsize=256)
def _carried(at: _AtDesign, most: float) -> float:
    """The largest factor on every plate's resistance, from 1 to `most`, that the setpoints carry; 1 if none."""
    low, high = 0, round((most - 1.0) / STEP)
    if _holds(at, most):
        return most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(at, 1.0 + middle * STEP) else (low, middle)
    return 1.0 + low * STEP


def _holds(at: _AtDesign, worse: float) -> bool:
    racks = tuple((replace(r, case_resistance_k_w=worse * r.case_resistance_k_w), n) for r, n in at.design.racks)
    design = replace(at.design, racks=racks)
    gpu_w = full_gpu_w([rack.gpu_power_w for rack, _ in racks], np.nan)
    supply_c, dp_pa = np.array([at.supply_c]), np.array([at.dp_pa])
    case_c = full_load_case_c(design, supply_c, dp_pa, gpu_w) + CASE_RESERVE_K
    if at.facility_c is not None:
        heat_w = OVER_RATING * design.liquid_heat_w / HEAT_RESERVE
        full = Load(heat_w=heat_w, it_w=heat_w, gpu_w=gpu_w, air=_ANY_AIR)
        case_c = np.maximum(case_c, surely_lost_case_c(design, full, supply_c, dp_pa, np.array([at.facility_c])))
    return bool(case_c[0] <= at.limit_c)

"""UA of each economiser, where its water and that of the towers that are its alone tell it exactly; what wear costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from controller.design import LoopDesign
from controller.device_state import idle, may_run
from controller.economisers import mixed, of_waters
from controller.facility_plant import FACILITY, upstream
from controller.fluids import Fluid, fluid
from controller.identification.known import Found
from controller.identification.parameters import PLATE, PLATE_FLAT
from controller.identification.sensing import FLOW, TEMPERATURE, Read, seen
from controller.inputs import effective_point
from controller.outdoor import Outdoor
from controller.rejection import WetSide, rejection_of
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site

_ACCURACIES = FLOW, TEMPERATURE, TEMPERATURE


@dataclass(frozen=True, slots=True)
class _Alone:
    """An economiser with its own running towers: their design, and flow [m³/s], entering, leaving [°C] of both."""

    side: WetSide
    waters: tuple[float, float, float]
    rejected: tuple[float, float, float]


def economising(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> Iterator[Found]:
    """What this look tells of the economisers behind the group that commands their water.

    Nothing while a chiller may run, which takes condenser water that nobody tells from theirs, nor of economisers that
    share their towers.
    """
    if FACILITY not in group.commands:
        return
    asked_c = snapshot.get(effective_point(site, group.commands[FACILITY]))
    for unit in upstream(site, group.members, "economiser"):
        alone = _alone(site, snapshot, group, unit, design.water)
        if alone is not None:
            rows = zip((*alone.waters, *alone.rejected), _ACCURACIES * 2, strict=True)
            reads = [Read(value, accuracy) for value, accuracy in rows]
            for parameter in (PLATE, PLATE_FLAT):
                look = partial(_log, alone.side, asked_c, flat=parameter is PLATE_FLAT)
                yield unit.id, parameter, seen(look, *reads)


def plates_cost_w(
    site: Site, snapshot: Snapshot, group: CoolingGroup, unit: str, air: Outdoor, ratios: tuple[float, float]
) -> float:
    """Power [W] of its towers' pumps and fans for the same heat with UA at the first ratio less with it at the second.

    The heat is what the worn plates carry at the most.

    NaN where its water does not show, or a chiller may run.
    """
    alone = _alone(site, snapshot, group, site.equipment[unit], fluid("water", 0.0, 20.0))
    if alone is None or not all(map(math.isfinite, (*alone.waters, *alone.rejected))):
        return math.nan
    (flow, into_c, out_c), tower_c, side = alone.waters, alone.rejected[-1], alone.side
    assert side.economiser is not None
    worn, clean = (
        replace(side, economiser=replace(side.economiser, ua_w_k=r * side.economiser.ua_w_k)) for r in ratios
    )
    heat_w = flow * side.water.heat_j_m3_k * (into_c - out_c)
    stream, setpoint, tower = np.array([flow]), np.array([out_c]), np.array([tower_c])
    heat_w -= max(float(worn.unreached_w(np.array([heat_w]), stream, setpoint, tower, air)[0]), 0.0)
    powers = [one.powers(np.array([heat_w]), stream, setpoint, tower, air) for one in (worn, clean)]
    spent_w = [float(p.fan_w[0] + p.tower_pump_w[0]) for p in powers]
    return spent_w[0] - spent_w[1]


def _alone(site: Site, snapshot: Snapshot, group: CoolingGroup, unit: Equipment, water: Fluid) -> _Alone | None:
    """None where it stands, shares its towers, or a chiller may run."""
    chills = any(may_run(snapshot, c.id) for c in upstream(site, group.members, "chiller"))
    towers = [t for t in _its_towers(site, unit) if not idle(snapshot, t.id)]
    if chills or not towers or idle(snapshot, unit.id):
        return None
    side = rejection_of([], towers, [unit], [], water)
    assert isinstance(side, WetSide)
    return _Alone(side, mixed(snapshot, [unit.id]), mixed(snapshot, [t.id for t in towers]))


def _its_towers(site: Site, unit: Equipment) -> list[Equipment]:
    """Towers that feed an economiser; none where one of them feeds another, too."""
    towers = upstream(site, [unit.id], "cooling-tower")
    return towers if all(_economisers(site, t) == {unit.id} for t in towers) else []


def _economisers(site: Site, tower: Equipment) -> set[str]:
    return {e for e in tower.feeds if e in site.equipment and site.equipment[e].kind == "economiser"}


def _log(side: WetSide, asked_c: float, *reads: float, flat: bool) -> float:
    flow, into_c, out_c, condenser, hot_c, cold_c = reads
    found = of_waters(side, asked_c, (flow, into_c, out_c), (condenser, hot_c, cold_c))
    if found is None or found.at_least:
        return math.nan
    return found.flat if flat else found.log

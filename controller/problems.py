"""What the search is asked for one loop: load, limits and setpoints of this moment, from site file and snapshot."""

from __future__ import annotations

import numpy as np

from controller import inputs
from controller.constraints import CASE_TOLERANCE, Bounds, Problem
from controller.design import LoopDesign, loop_design
from controller.explaining import COST_MINUTES, WORST_MINUTES
from controller.likely import MIDDLE, likely_w
from controller.model import Load
from controller.shared_plant import ALONE, Beside, bounds_beside, envelopes_of
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.records import HeatForecast
from plant.sight import lost
from plant.topology import CoolingGroup, Site

REPLACED_MINUTES = 12
"""From the loss of a unit until another runs in its place, at most: a cycle, and its start."""
STAND_IN_K = 0.5
"""Kept to limits while the master's own supply is not told, but by CDUs and racks on its manifold."""


def bounds(
    site: Site,
    group: CoolingGroup,
    dew_point_c: float | None,
    unsure_k: float = 0.0,
    strays_k: tuple[float, float] = (0.0, 0.0),
) -> Bounds:
    """The site's limits as they apply to one loop; unsure_k, strays_k: see `Bounds`.

    Raises:
        ConfigError: the site limits no case.
    """
    tops, floors = limit_values(site)
    margin_k = site.envelopes[group.commands[inputs.SUPPLY]].dew_point_margin_k or 0.0
    margin_k = max(margin_k, floors.get("dew_point_margin", 0.0))
    return Bounds(
        case_c=case_limit_c(site),
        rack_return_c=tops.get("rack_return_temperature", np.inf),
        rack_flow_m3_s=floors.get("rack_flow_m3_s", 0.0),
        supply_c=(floors.get("tcs_supply_temperature", -np.inf), tops.get("tcs_supply_temperature", np.inf)),
        facility_c=(floors.get("fws_supply_temperature", -np.inf), tops.get("fws_supply_temperature", np.inf)),
        dew_limit_c=-np.inf if dew_point_c is None else dew_point_c + margin_k,
        reserve=group.reserve != "none",
        unsure_k=unsure_k,
        strays_k=strays_k,
    )


def limit_values(site: Site) -> tuple[dict[str, float], dict[str, float]]:
    """The tightest maximum and minimum of each limited quantity [SI]."""
    tops: dict[str, float] = {}
    floors: dict[str, float] = {}
    for limit in site.limits.values():
        if limit.maximum is not None:
            tops[limit.quantity] = min(limit.maximum, tops.get(limit.quantity, np.inf))
        if limit.minimum is not None:
            floors[limit.quantity] = max(limit.minimum, floors.get(limit.quantity, -np.inf))
    return tops, floors


def case_limit_c(site: Site) -> float:
    """The tightest limit of a GPU's case [°C].

    Raises:
        ConfigError: the site has none.
    """
    limit_c = limit_values(site)[0].get("case_temperature")
    if limit_c is None:
        raise ConfigError("a limit of case_temperature", remedy="add one under `limits`")
    return limit_c


def build_problem(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    heat: HeatForecast,
    target: tuple[float, ...],
    design: LoopDesign | None = None,
    hot_w: float = np.nan,
    carried_w: float = np.inf,
    beside: Beside = ALONE,
    cost_minutes: int = COST_MINUTES,
    worst_minutes: int = WORST_MINUTES,
    now_w: float = 0.0,
    strays_k: tuple[float, float] = (0.0, 0.0),
) -> Problem:
    """Everything the search needs, or the reason why not.

    design: a corrected one, else the site file's; hot_w: most that a GPU was measured to draw [W], NaN if none is;
    carried_w: what it may come to draw [W], inf for its nameplate; beside: what other loops bring to the same plant;
    minutes: over which cost and limits are judged; now_w: measured heat [W]; limits hold at it, too; strays_k: see
    `Bounds`.

    Raises:
        StaleError: an input is missing.
        ConfigError: a design figure is missing.
    """
    design = design or loop_design(site, group)
    now = inputs.current_setpoints(site, snapshot, group)
    roles = inputs.roles(site, group)
    current = tuple(now[r] for r in roles)
    air = inputs.outdoor(site, snapshot, group)
    gpu_w = full_gpu_w([r.gpu_power_w for r, _ in design.racks], hot_w, carried_w)
    fraction = design.liquid_heat_w / design.rack_power_w
    worst_w = _worst_w(group.id, design, heat, (cost_minutes, worst_minutes), now_w)
    others_w = float(np.mean(beside.likely_w[:cost_minutes])), max(beside.worst_w[:worst_minutes])

    def load(heat_w: float, other_w: float) -> Load:
        return Load(
            heat_w=max(heat_w, 0.02 * design.liquid_heat_w),
            it_w=heat_w / fraction,
            gpu_w=gpu_w,
            air=air,
            other_heat_w=other_w,
            other_flow_m3_s=beside.flow_m3_s,
        )

    soon_w = min(max(*heat.at(0.5)[:REPLACED_MINUTES], now_w), worst_w)
    unsure_k = STAND_IN_K if lost(site.envelopes[group.commands[inputs.SUPPLY]], snapshot) else 0.0
    dew_point_c = inputs.dew_point(site, snapshot, group)
    likely = [(weight, load(part_w, others_w[0])) for weight, part_w in likely_w(heat, cost_minutes, worst_w)]
    return Problem(
        design=design,
        median=likely.pop(MIDDLE)[1],
        upper=load(worst_w, others_w[1]),
        soon=load(soon_w, others_w[0]),
        spread=tuple(likely),
        bounds=bounds_beside(bounds(site, group, dew_point_c, unsure_k, strays_k), beside),
        envelopes=envelopes_of(site, group, now),
        current=current,
        design_point=tuple(inputs.design_value(group, r) if r in group.commands else now[r] for r in roles),
        target=target or current,
    )


def _worst_w(loop: str, design: LoopDesign, heat: HeatForecast, minutes: tuple[int, int], now_w: float) -> float:
    """The most heat that limits have to hold at [W]: racks do not exceed their rating, the forecast's bands may."""
    cost_minutes, worst_minutes = minutes
    expected_w, worst_w = float(np.mean(heat.at(0.5)[:cost_minutes])), max(*heat.at(0.95)[:worst_minutes], now_w)
    if not np.isfinite([expected_w, worst_w]).all():
        raise StaleError(f"{loop}: the forecast of its heat is no number")
    return min(worst_w, max(design.liquid_heat_w, expected_w))


def full_gpu_w(design_w: list[float], measured_w: float, carried_w: float = np.inf) -> float:
    """Power of the hottest GPU at full load [W]: design with its tolerance, or more if more was measured.

    carried_w: what must be carried of it, where the site goes by learned swings.
    """
    return max(min(CASE_TOLERANCE * max(design_w), carried_w), measured_w if np.isfinite(measured_w) else 0.0)

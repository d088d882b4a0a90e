"""What a candidate must keep: every limit at the upper quantile of the forecast, each with its reserve."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from controller import model
from controller.design import LoopDesign
from controller.exchange import Array
from controller.loss import HEAT_RESERVE, surely_lost_case_c
from controller.objective import ENERGY, Prices
from controller.unit_loss import Left, reached_c
from plant.leases import Envelope

CASE_TOLERANCE = 1.10
"""The hottest GPU's rise over supply against the design GPU: tolerances of power, plate and flow together."""
CASE_RESERVE_K = 0.8
"""On top of the tolerance: what supply water rises while its loop follows a load step that comes at full load."""
RETURN_RESERVE_K = 2.0
SUPPLY_RESERVE_K = 1.0
SUPPLY_TOP_K = 2.0
"""Below the highest supply: how far a usual loop goes over its setpoint at a load step, before anybody has watched."""
DEW_RESERVE_K = 0.5
FLOW_RESERVE = 1.05
FACILITY_FLOW_SHARE = 0.90
"""Share of the facility water valves' and pumps' range that may be needed at the upper quantile."""
OVER_RATING = 1.01
"""Heat that hot racks at full work with their loop's pumps bring, over their rating [1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of one loop. Temperatures [°C], flow [m³/s]; dew_point_c with the margin that the envelope asks for.

    reserve: whether the loss of the largest CDU must leave every limit whole; unsure_k: what the supply may be off by;
    strays_k: how far below and above its setpoint the loop's own control lets it go (`straying`).
    """

    case_c: float
    rack_return_c: float = np.inf
    rack_flow_m3_s: float = 0.0
    supply_c: tuple[float, float] = (-np.inf, np.inf)
    facility_c: tuple[float, float] = (-np.inf, np.inf)
    dew_limit_c: float = -np.inf
    reserve: bool = True
    unsure_k: float = 0.0
    strays_k: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One loop at one moment. Setpoints are (supply [°C], dp [Pa], facility [°C]) and, if commanded, tower [°C]."""

    design: LoopDesign
    median: model.Load
    upper: model.Load
    bounds: Bounds
    envelopes: tuple[Envelope, ...]
    current: tuple[float, ...]
    design_point: tuple[float, ...]
    target: tuple[float, ...]
    prices: Prices = ENERGY
    spread: tuple[tuple[float, model.Load], ...] = ()
    """Loads beside the median that may come, each with its weight; the median has the rest of 1."""
    after_loss: tuple[Left, ...] = ()
    """What each loss of a pump or tower that must be survived would leave of the loop."""
    soon: model.Load | None = None
    """What is carried until another runs in the place of a lost unit; None: `upper`."""


def worst_margin(problem: Problem, points: Array) -> Array:
    """Kelvin to the case limit if coldplate and the largest CDU die now, for points of shape (n, k).

    Every GPU goes to the power that must be carried, and so does the loop's heat, whatever the forecast says of it: up
    to the racks' rating, of which pump heat and leakage are a part but for `OVER_RATING`.
    """
    facility_c = np.maximum(points[:, 2], problem.design_point[2])
    design = problem.design
    rated_w = carried_share(problem) * OVER_RATING * design.liquid_heat_w / HEAT_RESERVE
    full = replace(problem.upper, heat_w=max(rated_w, problem.median.heat_w))
    case_c = surely_lost_case_c(design, full, points[:, 0], points[:, 1], facility_c)
    return problem.bounds.case_c - problem.bounds.unsure_k - case_c


def _tolerance_share(problem: Problem) -> float:
    """Of the hottest case's rise what its tolerance is [1]: GPUs at their rating leave it to a supply that strays."""
    rated_w = max(rack.gpu_power_w for rack, _ in problem.design.racks)
    return float(np.clip(1.0 - rated_w / problem.upper.gpu_w, 0.0, 1.0 - 1.0 / CASE_TOLERANCE))


def carried_share(problem: Problem) -> float:
    """Of the racks' rating what must be carried at any moment [1]: all, but where a site goes by learned swings."""
    rated_w = CASE_TOLERANCE * max(rack.gpu_power_w for rack, _ in problem.design.racks)
    return min(problem.upper.gpu_w / rated_w, 1.0)


def margins(problem: Problem, points: Array, high: model.Strain) -> dict[str, Array]:
    """Constraint -> margin of each point of shape (n, k), negative where it is broken: K, or share x 100."""
    supply_c, dp_pa = points[:, 0], points[:, 1]
    bounds, (under_k, over_k) = problem.bounds, problem.bounds.strays_k
    case_c = model.full_load_case_c(problem.design, supply_c, dp_pa, problem.upper.gpu_w)
    spare_k = _tolerance_share(problem) * (case_c - supply_c)
    design = problem.design.grown or problem.design
    pumps_share = high.pumped_m3_s / (design.pumps_share * design.facility_flow_m3_s)
    share = np.maximum(high.facility_flow_m3_s / design.cdu_facility_flow_m3_s, pumps_share) / FACILITY_FLOW_SHARE
    found = {
        "case_temperature": bounds.case_c - bounds.unsure_k - np.maximum(CASE_RESERVE_K, over_k - spare_k) - case_c,
        "rack_return_temperature": bounds.rack_return_c - max(RETURN_RESERVE_K, over_k) - high.rack_return_c,
        "rack_flow": 100 * (high.rack_flow_m3_s / max(bounds.rack_flow_m3_s * FLOW_RESERVE, 1e-9) - 1),
        "dew_point": supply_c - bounds.dew_limit_c - bounds.unsure_k - max(DEW_RESERVE_K, under_k),
        "facility_flow": np.where(high.facility_short, -100.0, 100 * (1 - share)),
        "facility_temperature": np.where(high.facility_warm, -1.0, bounds.facility_c[1] - high.late_c),
    }
    if not bounds.reserve:
        return found
    lost = {"unit_lost": _lost_margin(problem, points, high)} if problem.after_loss else {}
    return found | {"worst_case": worst_margin(problem, points)} | lost


def _lost_margin(problem: Problem, points: Array, high: model.Strain) -> Array:
    """Kelvin to the first limit that a loop comes to after the loss of a unit of its plant, the worst of all losses."""
    bounds, load, at = problem.bounds, problem.soon or problem.upper, model.Setpoints.of(points)
    own_share = high.facility_flow_m3_s / high.pumped_m3_s
    found = []
    for left in problem.after_loss:
        supply_c, facility_c = reached_c(left, load, at, own_share)
        case_c = model.full_load_case_c(left.design, supply_c, at.dp_pa, load.gpu_w)
        warmer_k = supply_c - at.supply_c
        found += [
            bounds.case_c - bounds.unsure_k - case_c,
            bounds.supply_c[1] - bounds.unsure_k - supply_c,
            bounds.rack_return_c - high.rack_return_c - warmer_k,
            np.maximum(bounds.facility_c[1], at.facility_c) - facility_c,
        ]
    return np.asarray(np.min(np.stack(found), axis=0), dtype=np.float64)


def ranges(problem: Problem) -> Array:
    """Lowest and highest value of each setpoint, (k, 2)."""
    found = np.array([(e.minimum, e.maximum) for e in problem.envelopes])
    bounds, (under_k, over_k) = problem.bounds, problem.bounds.strays_k
    found[0] = (
        max(found[0, 0], bounds.supply_c[0] + max(SUPPLY_RESERVE_K, under_k)),
        min(found[0, 1], bounds.supply_c[1] - max(SUPPLY_TOP_K, over_k)),
    )
    found[2] = max(found[2, 0], bounds.facility_c[0] + SUPPLY_RESERVE_K), min(found[2, 1], bounds.facility_c[1])
    return found


def clipped(problem: Problem, points: Array) -> Array:
    """Points of shape (n, k) within the ranges."""
    low, high = ranges(problem).T
    return np.asarray(np.clip(points, low, high), dtype=np.float64)

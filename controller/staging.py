"""How much of the plant runs: each reachable number of towers, chillers and pumps is judged by a search of its own.

Cost is the forecast's median over the time that a switched unit stays, with what switching costs spread over it; limits
hold at the upper quantile until what is stopped could be back. Where nothing holds every limit, everything may run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from controller.constraints import Problem
from controller.design import LoopDesign, facility_owner
from controller.optimise import SAVING_SHARE, SAVING_W, glance, search
from controller.reasons import condition, message
from controller.stage_choice import ECONOMISER, OUTSIDE, PUMP, Plant, choices, everything, plant_of
from controller.stage_state import Seen, Unit, units_of
from controller.state import Move
from plant.live import Snapshot
from plant.points import PointId
from plant.records import Condition, Message, Setpoint, Severity
from plant.topology import CoolingGroup, Equipment, Site, Stage

START_S = {"cooling-tower": 240.0, "dry-cooler": 240.0, "economiser": 0.0, "chiller": 900.0, "pump": 240.0}
"""What a start costs in energy and wear, as seconds of a unit's rated power: a judgement, most for chillers."""
STOP_RESERVE = 1.03
"""Heat that has to be carried after a stop, over the upper quantile: forecasts that breathe do not switch."""
SEARCHED = 2
"""How many of the choices that look cheapest are searched to the end, beside the present one."""
LEAST_HORIZON_S, LONGEST_HORIZON_S = 900.0, 7200.0

Designed = Callable[[frozenset[str]], LoopDesign]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What is to run. off: units of the plant that the model has to do without; why: in words and numbers."""

    on: frozenset[str]
    off: frozenset[str]
    why: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    on: frozenset[str]
    cost_w: float
    switching_w: float


def horizons_min(stages: tuple[Stage, ...]) -> tuple[int, int]:
    """Minutes over which cost is judged, and until the slowest unit that is stopped now could carry heat again."""
    stays_s = max((s.min_on_s for s in stages), default=0.0)
    back_s = max((s.min_off_s + s.start_s for s in stages), default=0.0)
    cost_s = min(max(stays_s, LEAST_HORIZON_S), LONGEST_HORIZON_S)
    return math.ceil(cost_s / 60), math.ceil(max(back_s, 3600.0) / 60)


def decide(site: Site, plant: Plant, problem: Problem, designed: Designed, heat_high_w: float) -> Staged:
    """The units that are to run next. problem: over staging's own horizons; designed: the loop without some units."""
    horizon_s = 60.0 * horizons_min(tuple(u.stage for u in plant.units))[0]
    stay, *others = [_untried(site, plant, on, horizon_s) for on in choices(plant)]
    stay = _searched(plant, problem, designed, stay)
    if math.isinf(stay.cost_w):
        others.append(_untried(site, plant, everything(plant), horizon_s))
    looked = [replace(t, cost_w=_glanced(plant, problem, designed, t)) for t in others]
    looked = sorted((t for t in looked if math.isfinite(t.cost_w)), key=lambda t: t.cost_w + t.switching_w)
    tried = [_searched(plant, problem, designed, t) for t in looked[:SEARCHED]]
    best = min(tried, key=lambda t: t.cost_w + t.switching_w, default=stay)
    return _told(plant, stay, best, horizon_s, heat_high_w)


def _untried(site: Site, plant: Plant, on: frozenset[str], horizon_s: float) -> _Tried:
    return _Tried(on=on, cost_w=math.inf, switching_w=_switching_w(site, plant, on, horizon_s))


def _told(plant: Plant, stay: _Tried, best: _Tried, horizon_s: float, heat_high_w: float) -> Staged:
    if math.isinf(stay.cost_w) and math.isinf(best.cost_w):
        return _staged(plant, everything(plant), "stage_all", 0.0, horizon_s, heat_high_w)
    gain_w = stay.cost_w - best.cost_w - best.switching_w + stay.switching_w
    if math.isinf(stay.cost_w):
        return _staged(plant, best.on, "stage_needed", 0.0, horizon_s, heat_high_w)
    if gain_w > max(SAVING_SHARE * stay.cost_w, SAVING_W):
        return _staged(plant, best.on, "stage_saves", stay.cost_w - best.cost_w, horizon_s, heat_high_w)
    return _staged(plant, stay.on, "stage_stays", max(gain_w, 0.0), horizon_s, heat_high_w)


def _staged(
    plant: Plant, on: frozenset[str], code: str, saves_w: float, horizon_s: float, heat_high_w: float
) -> Staged:
    why = message(
        code,
        starts=_named(on - plant.on),
        stops=_named(plant.on - on),
        running=_counted(plant, on),
        saves_kw=saves_w / 1e3,
        minutes=horizon_s / 60,
        heat_high_mw=heat_high_w / 1e6,
    )
    return Staged(on=on, off=missing(plant, on), why=why)


def missing(plant: Plant, on: frozenset[str]) -> frozenset[str]:
    """Units that are not to run, that have failed, or that tell nothing; none where the rest is no plant any more."""
    return frozenset(u.id for u in plant.units) - on if is_plant(plant, on) else frozenset()


def is_plant(plant: Plant, on: frozenset[str]) -> bool:
    """Whether something gives heat away and something moves water."""
    needed = (OUTSIDE, (PUMP,))
    groups = [{u.id for u in plant.units if u.stage.kind in kinds} for kinds in needed]
    return all(not units or units & on for units in groups)


def _named(units: frozenset[str]) -> str:
    return ", ".join(sorted(units)) or "-"


def _counted(plant: Plant, on: frozenset[str]) -> str:
    kinds = dict.fromkeys(u.stage.kind for u in plant.units)
    return ", ".join(f"{kind} {sum(u.id in on for u in plant.of(kind))}/{len(plant.of(kind))}" for kind in kinds)


def _problem(plant: Plant, problem: Problem, designed: Designed, on: frozenset[str]) -> Problem:
    design = designed(missing(plant, on))
    if not plant.on - on:
        return replace(problem, design=design)
    upper = problem.upper
    more = replace(upper, heat_w=STOP_RESERVE * upper.heat_w, other_heat_w=STOP_RESERVE * upper.other_heat_w)
    return replace(problem, design=design, upper=more)


def _glanced(plant: Plant, problem: Problem, designed: Designed, tried: _Tried) -> float:
    return glance(_problem(plant, problem, designed, tried.on)) if is_plant(plant, tried.on) else math.inf


def _searched(plant: Plant, problem: Problem, designed: Designed, tried: _Tried) -> _Tried:
    if not is_plant(plant, tried.on):
        return tried
    choice = search(_problem(plant, problem, designed, tried.on))
    cost_w = choice.cooling_w + choice.it_extra_w
    return replace(tried, cost_w=cost_w if choice.feasible else math.inf)


def _switching_w(site: Site, plant: Plant, on: frozenset[str], horizon_s: float) -> float:
    """What the starts of a choice cost, spread over the horizon [W]; a stop is paid for when it is taken back."""
    started = [u for u in plant.units if u.id in on - plant.on]
    return sum(START_S[u.stage.kind] * rated_w(site.equipment[u.id]) for u in started) / horizon_s


def rated_w(unit: Equipment) -> float:
    """Electric power of a unit at its design [W]."""
    design = unit.design
    if unit.kind == "chiller":
        return design["heat_w"] / design["cop"]
    pumping_w = design.get("flow_m3_s", 0.0) * design.get("head_pa", 0.0) / design.get("efficiency", 0.65)
    return design.get("fan_power_w", 0.0) + (0.0 if unit.kind == ECONOMISER else pumping_w)


def switches(plant: Plant, on: frozenset[str]) -> tuple[Setpoint, ...]:
    """The enable commands.

    A unit that has failed stays enabled, so that it is back when it is mended; one that tells nothing is left to its
    own control.
    """
    return tuple(_switch(u, 1.0 if u.id in on or u.failed else 0.0) for u in plant.units if u.known)


def _switch(unit: Unit, value: float) -> Setpoint:
    return Setpoint(point=unit.stage.command, current=float(unit.enabled), value=value, target=value, design=1.0)


def whole_plant(site: Site, snapshot: Snapshot, group: CoolingGroup, seen: Mapping[str, Seen], now_s: float) -> Plant:
    """The plant behind a group as it is, whichever group may switch it."""
    owner = facility_owner(site, group)
    return plant_of(site, owner, units_of(site, snapshot, owner, seen, now_s), now_s)


def failures(plant: Plant, now_s: float) -> tuple[Condition, ...]:
    """A condition for each unit that may run and does not."""
    return tuple(condition("unit_failed", u.id, now_s, Severity.WARNING) for u in plant.units if u.failed)


def switch_moves(switches: tuple[Setpoint, ...], moves: Mapping[PointId, Move], now_s: float) -> dict[PointId, Move]:
    """Switchings as moves, so that what is learned waits until they have settled."""
    made = {}
    for switch in switches:
        held = moves.get(switch.point)
        same = held is not None and held.value == switch.value
        changed = not same and (held is not None or switch.value != switch.current)
        made[switch.point] = Move(value=switch.value, at_s=now_s if changed else held.at_s if held else -1e18)
    return made

"""How much of the plant runs: each reachable number of towers, chillers and pumps is judged by a search of its own.

Cost is the forecast's median over the time that a switched unit stays, with what switching costs spread over how long
the last switching has lasted. Limits hold at the upper quantile until more could run: what stands and may start is the
plant's reserve, not what runs idle. Where nothing near holds every limit, more of everything is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from controller.constraints import Problem, clipped
from controller.design import LoopDesign
from controller.exchange import Array
from controller.facility_plant import facility_owner, figure
from controller.optimise import SAVING_SHARE, SAVING_W, Judged, condenser_c, glance, judge, search
from controller.reasons import condition, message
from controller.stage_choice import ECONOMISER, Plant, choices, is_plant, missing, plant_of, reinforced
from controller.stage_loss import UnitLoss, UnitLosses
from controller.stage_reserve import SuddenLoad
from controller.stage_state import CHILLER, Seen, Unit, stays_s, units_of
from controller.state import Move
from plant.live import Snapshot
from plant.points import PointId
from plant.records import Condition, Message, Setpoint, Severity
from plant.topology import CoolingGroup, Equipment, Site, Stage

START_S = {"cooling-tower": 60.0, "dry-cooler": 60.0, "economiser": 0.0, "chiller": 900.0, "pump": 60.0}
STOP_S = {"cooling-tower": 60.0, "dry-cooler": 60.0, "economiser": 0.0, "chiller": 0.0, "pump": 60.0}
"""What switching costs in energy and wear, as seconds of a unit's rated power: a judgement, most for chillers.

Drives without inrush run for a minute or two before they carry their share.
"""
IDLE_SHARE = 0.2
"""Of its rated power an enabled chiller that is not needed is taken to draw: its own thermostat may start it."""
STOP_RESERVE = 1.03
"""Heat that has to be carried after a stop, over the upper quantile: forecasts that breathe do not switch."""
SEARCHED = 1
"""How many of the choices that look cheapest are searched to the end, beside the present one."""
LEAST_STAY_S, LONGEST_STAY_S = 900.0, 7200.0
REACT_S = 600.0
"""From a rise of the forecast to a decision that follows it, at most."""
_BELOW_SUPPLY_K, _BELOW_FACILITY_K = (2.5, 4.0, 5.5, 7.0, 9.0, 12.0), (0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
"""The first look: facility water below the supply, condenser water below the facility water [K]."""

Designed = Callable[[frozenset[str]], LoopDesign]
Asked = Callable[[frozenset[str], int, int], Problem]
"""The problem without some units, with cost and limits over so many minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What is to run.

    off: units of the plant that the model has to do without; why: in words and numbers; worst_minutes: for how long
    what runs has to hold every limit, until more could run; lost: each loss that must be survived.
    """

    on: frozenset[str]
    off: frozenset[str]
    why: Message
    worst_minutes: int
    lost: tuple[UnitLoss, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    on: frozenset[str]
    cost_w: float
    switching_w: float

    @property
    def all_w(self) -> float:
        return self.cost_w + self.switching_w


def cost_minutes(stages: tuple[Stage, ...]) -> int:
    """Minutes over which cost is judged: as long as what is started has to stay."""
    stays_for_s = max((s.min_on_s for s in stages), default=0.0)
    return math.ceil(min(max(stays_for_s, LEAST_STAY_S), LONGEST_STAY_S) / 60)


def worst_minutes(plant: Plant, on: frozenset[str]) -> int:
    """Minutes until more could run: what stands has to start, what is stopped now has to rest before."""
    starts_s = max((u.stage.start_s for u in plant.units), default=0.0) + REACT_S
    stopped = [u.stage for u in plant.units if u.id in plant.on - on]
    back_s = max((s.min_off_s + s.start_s for s in stopped), default=0.0)
    return math.ceil(max(starts_s, back_s) / 60)


class _Looks:
    """The choices of one moment, each as a problem of its own; what does not depend on units is made once."""

    def __init__(self, site: Site, plant: Plant, asked: Asked, designed: Designed) -> None:
        self._site, self._plant, self._asked, self._designed = site, plant, asked, designed
        self._known: dict[int, Problem] = {}
        self.sudden = SuddenLoad(plant, self._plain)
        self.losses = UnitLosses(plant, site.equipment, self._plain, designed)

    def searched(self, on: frozenset[str]) -> tuple[_Tried, Array | None]:
        """Searched to the end: what it costs and where it is best, None where no setpoint holds every limit."""
        if not self._possible(on):
            return self._tried(on, math.inf), None
        problem = self._problem(on)
        choice = search(problem)
        if not choice.feasible or not self.sudden.carried_by(on):
            return self._tried(on, math.inf), None
        at = np.array([choice.target])
        return self._tried(on, self._cost_w(judge(problem, at), 0, on)), at

    def glanced(self, on: frozenset[str], around: Array | None) -> _Tried:
        """A first look: over waters at a known supply and pressure, or over the whole range."""
        if not self._possible(on):
            return self._tried(on, math.inf)
        problem = self._problem(on)
        if around is None:
            return self._tried(on, glance(problem))
        judged = judge(problem, clipped(problem, _waters(problem, around)))
        if not judged.feasible.any():
            return self._tried(on, math.inf)
        best = int(np.argmin(np.where(judged.feasible, judged.cost_w, np.inf)))
        return self._tried(on, self._cost_w(judged, best, on))

    def worth_a_look(self, on: frozenset[str], stay: _Tried) -> bool:
        """Whether a choice may be cheaper: another chiller can save no more than all that is spent now."""
        more = (on - stay.on) & {u.id for u in self._plant.of(CHILLER)}
        least_w = IDLE_SHARE * sum(rated_w(self._site.equipment[u]) for u in more)
        return not more or least_w + self._tried(on, 0.0).switching_w < stay.cost_w

    def _possible(self, on: frozenset[str]) -> bool:
        return is_plant(self._plant, on) and self.losses.survives(on)

    def _problem(self, on: frozenset[str]) -> Problem:
        return self.losses.held(self._plain(on), on)

    def _plain(self, on: frozenset[str]) -> Problem:
        """Whatever may be lost."""
        plant = self._plant
        minutes = worst_minutes(plant, on)
        if minutes not in self._known:
            now_off, stages = missing(plant, plant.on), tuple(u.stage for u in plant.units)
            self._known[minutes] = self._asked(now_off, cost_minutes(stages), minutes)
        problem = replace(self._known[minutes], design=self._designed(missing(plant, on)))
        if not plant.on - on:
            return problem
        upper = problem.upper
        more = replace(upper, heat_w=STOP_RESERVE * upper.heat_w, other_heat_w=STOP_RESERVE * upper.other_heat_w)
        return replace(problem, upper=more)

    def _cost_w(self, judged: Judged, row: int, on: frozenset[str]) -> float:
        """Site power [W], with the chillers that may run and need not."""
        cost_w = float(judged.cost_w[row])
        if judged.outcome.chiller_w[row] > 0:
            return cost_w
        idle = [u for u in self._plant.of(CHILLER) if u.id in on]
        return cost_w + IDLE_SHARE * sum(rated_w(self._site.equipment[u.id]) for u in idle)

    def _tried(self, on: frozenset[str], cost_w: float) -> _Tried:
        return _Tried(on=on, cost_w=cost_w, switching_w=_switching_w(self._site, self._plant, on))


def _waters(problem: Problem, around: Array) -> Array:
    """Points about one: its supply and pressure with every facility and condenser water of the first look."""
    supply_c, dp_pa = around[0, :2]
    facility_c = supply_c - np.array(_BELOW_SUPPLY_K)
    below_k = np.array(_BELOW_FACILITY_K[: 1 if around.shape[1] < 4 else None])
    facility, below = (a.ravel() for a in np.meshgrid(facility_c, below_k, indexing="ij"))
    condenser = condenser_c(problem, facility, below)
    rows = np.column_stack([np.full_like(facility, supply_c), np.full_like(facility, dp_pa), facility, condenser])
    return np.concatenate([rows[:, : around.shape[1]], around])


def decide(site: Site, plant: Plant, asked: Asked, designed: Designed, heat_high_w: float) -> Staged:
    """The units that are to run next. asked: problems over staging's own minutes; designed: the loop without some."""
    looks = _Looks(site, plant, asked, designed)
    now, *others = choices(plant)
    stay, at = looks.searched(now)
    best = _best(looks, [looks.glanced(on, at) for on in others if looks.worth_a_look(on, stay)], stay)
    if math.isinf(stay.cost_w) and math.isinf(best.cost_w):
        best = next((t for on in reinforced(plant) if math.isfinite((t := looks.searched(on)[0]).cost_w)), stay)
    return _told(plant, looks.losses, stay, best, heat_high_w)


def _best(looks: _Looks, glanced: list[_Tried], stay: _Tried) -> _Tried:
    """The best of those that look cheapest, searched to the end."""
    likely = sorted((t for t in glanced if t.all_w < stay.all_w), key=lambda t: t.all_w)
    found = islice((t.on for t in likely if looks.sudden.carried_by(t.on)), SEARCHED)
    return min((looks.searched(on)[0] for on in found), key=lambda t: t.all_w, default=stay)


def _told(plant: Plant, losses: UnitLosses, stay: _Tried, best: _Tried, heat_high_w: float) -> Staged:
    if math.isinf(stay.cost_w) and math.isinf(best.cost_w):
        *_, most = reinforced(plant)
        return _staged(plant, losses, most, "stage_all", 0.0, heat_high_w)
    if math.isinf(stay.cost_w):
        waits = plant.on if best.on - plant.on else frozenset()  # needed until what starts carries its share
        return _staged(plant, losses, best.on | waits, "stage_needed", 0.0, heat_high_w)
    gain_w = stay.all_w - best.all_w
    if gain_w > max(SAVING_SHARE * stay.cost_w, SAVING_W):
        return _staged(plant, losses, _begun(plant, best.on), "stage_saves", stay.cost_w - best.cost_w, heat_high_w)
    return _staged(plant, losses, stay.on, "stage_stays", max(gain_w, 0.0), heat_high_w)


def _begun(plant: Plant, on: frozenset[str]) -> frozenset[str]:
    """Where one unit takes another's place it starts first: the other stops once it carries its share."""
    replaced = {u.stage.kind for u in plant.units if u.id in on - plant.on}
    return on | {u.id for u in plant.units if u.id in plant.on - on and u.stage.kind in replaced}


def _staged(plant: Plant, losses: UnitLosses, on: frozenset[str], code: str, saves_w: float, high_w: float) -> Staged:
    why = message(
        code,
        starts=_named(on - plant.on),
        stops=_named(plant.on - on),
        running=_counted(plant, on),
        saves_kw=saves_w / 1e3,
        minutes=float(cost_minutes(tuple(u.stage for u in plant.units))),
        heat_high_mw=high_w / 1e6,
    )
    minutes = worst_minutes(plant, on)
    return Staged(on=on, off=missing(plant, on), why=why, worst_minutes=minutes, lost=losses.of(on))


def _named(units: frozenset[str]) -> str:
    return ", ".join(sorted(units)) or "-"


def _counted(plant: Plant, on: frozenset[str]) -> str:
    kinds = dict.fromkeys(u.stage.kind for u in plant.units)
    return ", ".join(f"{kind} {sum(u.id in on for u in plant.of(kind))}/{len(plant.of(kind))}" for kind in kinds)


def _switching_w(site: Site, plant: Plant, on: frozenset[str]) -> float:
    """What the switchings of a choice cost [W], each spread over as long as the last one of its kind has lasted.

    What stayed long is expected to stay, so a change of the load is followed at once and a load that swings is not.
    """
    changed = [(u, START_S if u.id in on else STOP_S) for u in plant.units if (u.id in on) != u.on and not u.failed]
    return sum(
        price_s[u.stage.kind] * rated_w(site.equipment[u.id]) / _expected_s(plant, u.stage.kind)
        for u, price_s in changed
    )


def _expected_s(plant: Plant, kind: str) -> float:
    return min(max(stays_s(plant.units, kind, plant.now_s), LEAST_STAY_S), LONGEST_STAY_S)


def rated_w(unit: Equipment) -> float:
    """Electric power of a unit at its design [W].

    Raises:
        ConfigError: a chiller's heat or COP is missing.
    """
    design = unit.design
    if unit.kind == "chiller":
        return figure(unit, "heat_w") / figure(unit, "cop")
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

"""Instruments and parts that still answer but can't be right, by what their neighbours show over some minutes.

Nothing here is more than a doubt until it has lasted; it stands until what was doubted moves again, or agrees.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from controller import inputs
from controller.causes import Cause, Found
from controller.exchangers import shown_share
from controller.fluids import fluid
from controller.heats import Heat
from controller.stage_state import is_warm, warm_k
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site

FROZEN_S, WITNESS_K = (180.0, 300.0), (0.5, 1.5)
"""Frozen for so long while the other members' supply, or return less heat over flow, moved by so many kelvins."""
AWAY_S, AWAY_LOOKS = 120.0, 3
"""A witness that is back by then only saw a load step on its way round: sensors that tell tenths repeat themselves."""
VALVE_S, VALVE_ERROR_K, VALVE_MOVES, VALVE_END = 240.0, 1.0, 0.005, 0.03
VALVE_GROWS_K, VALVE_LOOK_S = 1.5, 50.0
"""So much more error between two looks moves any valve that can move."""
FLOW_S, FLOW_SHARE = 300.0, 0.03
"""CDUs and racks of one loop carry the same coolant; installed meters err by about 1 % each."""
FOULED_S, FOULED_SHARE = 600.0, 0.75
AIR_JUMP_K, AIR_BACK_K = 4.0, 2.0
"""Outdoor air does not change by so much from one cycle to the next; back within the second it is believed again."""
REACTS_S, NOT_REACTING_K, NEARER_K, FOLLOWS_K = 900.0, 2.0, 0.5, 0.75
MOST_APART_S = 300.0
"""Between looks further apart than this the air may have changed."""
RUNS_SHARE = 0.02

Key = tuple[Cause, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What was seen when it began, at since_s [s]; `stands`: it has lasted.

    away_s, away_looks: since when [s since 1970, inf while none has] and at how many looks it was so: a witness had
    moved away, or a valve still stood while supply was off.
    """

    since_s: float
    seen: tuple[float, ...]
    stands: bool = False
    away_s: float = math.inf
    away_looks: int = 0


Doubts = Mapping[Key, Doubt]


def doubted(doubts: Doubts, site: Site, snapshot: Snapshot, now_s: float) -> dict[Key, Doubt]:
    """The doubts after one more look."""
    loops = [g for g in site.groups.values() if inputs.SUPPLY in g.commands and inputs.FLOW not in g.commands]
    looked = [entry for g in loops for entry in _loop(doubts, site, snapshot, g, now_s)]
    airs = [(key, _air(doubts.get(key), c, now_s)) for key, c in _airs(site, snapshot)]
    return {key: doubt for key, doubt in (*looked, *airs) if doubt is not None}


def suspects(doubts: Doubts, group: CoolingGroup) -> Iterator[Found]:
    """What stands against a loop, its members and the outdoor air it reckons with."""
    for (cause, subject), doubt in doubts.items():
        if doubt.stands and (cause is Cause.OUTDOOR_WRONG or subject in {group.id, *group.members}):
            yield Found(cause=cause, subject=subject, acts=_acts(cause, doubt), detail=_detail(cause, doubt))


def trusted(doubts: Doubts, snapshot: Snapshot) -> Snapshot:
    """The snapshot with the warmer value of a doubted outdoor sensor: what was believed last, or what it shows."""
    warmer = {
        point: replace(snapshot.readings[point], value=max(doubt.seen[0], snapshot.get(point)))
        for (cause, point), doubt in doubts.items()
        if cause is Cause.OUTDOOR_WRONG and doubt.stands and math.isfinite(snapshot.get(point))
    }
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **warmer}) if warmer else snapshot


def believed_heats(
    doubts: Doubts, site: Site, snapshot: Snapshot, group: CoolingGroup, members: Mapping[str, Heat]
) -> Mapping[str, Heat]:
    """Heat of a loop's members: with a doubted flow meter together at least what the racks draw."""
    if not doubts.get((Cause.FLOW_BIASED, group.id), _NONE).stands:
        return members
    try:
        drawn_w = inputs.racks_heat(site, snapshot, group.racks)
    except (StaleError, ConfigError):
        return members
    shown_w = sum(h.heat_w for h in members.values())
    if not 0 < shown_w < drawn_w:  # NaN too
        return members
    return {m: replace(h, heat_w=h.heat_w * drawn_w / shown_w) for m, h in members.items()}


_NONE = Doubt(since_s=0.0, seen=())


def _acts(cause: Cause, doubt: Doubt) -> bool:
    return cause in {Cause.SUPPLY_STUCK, Cause.NOT_REACTING} or (cause is Cause.VALVE_STUCK and doubt.seen[1] > 0)


def _detail(cause: Cause, doubt: Doubt) -> str:
    """What is shown: a share [%] of flow or film, of the valve's stroke, or a temperature [°C]."""
    if cause in {Cause.SUPPLY_STUCK, Cause.OUTDOOR_WRONG}:
        return f"{doubt.seen[0]:.1f} °C"
    if cause is Cause.NOT_REACTING:
        return f"{doubt.seen[0]:+.1f} K"
    return f"{100 * doubt.seen[0]:.0f} %"


def _loop(
    doubts: Doubts, site: Site, snapshot: Snapshot, group: CoolingGroup, now_s: float
) -> Iterator[tuple[Key, Doubt | None]]:
    asked_c = snapshot.get(inputs.effective_point(site, group.commands[inputs.SUPPLY]))
    ratio = _flow_ratio(site, snapshot, group)
    key = Cause.FLOW_BIASED, group.id
    yield key, _lasting(doubts.get(key), ratio, bad=abs(ratio - 1.0) > FLOW_SHARE, after_s=FLOW_S, now_s=now_s)
    running = [m for m in group.members if _runs(site, snapshot, m)]
    stuck = False
    for member in running:
        supply_c = snapshot.get(f"{member}/tcs_supply_temperature")
        key = Cause.SUPPLY_STUCK, member
        witnesses = _others_c(snapshot, running, member), _balance_c(site, snapshot, group, member)
        yield key, _frozen(doubts.get(key), supply_c, witnesses, now_s)
        key = Cause.VALVE_STUCK, member
        position = snapshot.get(f"{member}/fws_valve_position")
        jammed = _valve(doubts.get(key), position, supply_c - asked_c, now_s)
        stuck = stuck or (jammed is not None and jammed.stands)
        yield key, jammed
        key, share = (Cause.FOULED, member), _film(site, snapshot, member)
        yield key, _lasting(doubts.get(key), share, bad=share < FOULED_SHARE, after_s=FOULED_S, now_s=now_s)
    key, error_k = (Cause.NOT_REACTING, group.id), _hottest_c(snapshot, running) - asked_c
    excused = stuck or _excused(site, snapshot, group, error_k)
    yield key, _following(doubts.get(key), error_k, excused=excused, now_s=now_s)


def _hottest_c(snapshot: Snapshot, running: list[str]) -> float:
    return max((snapshot.get(f"{m}/tcs_supply_temperature") for m in running), default=math.nan)


def _excused(site: Site, snapshot: Snapshot, group: CoolingGroup, error_k: float) -> bool:
    """Whether physics keeps supply off its setpoint: facility water not held, or valves that are shut or unknown.

    Through open valves supply rises with the facility water, kelvin for kelvin: what is more is not the water's.
    """
    if error_k > 0:
        return is_warm(site, snapshot, group) and not error_k > warm_k(site, snapshot, group) + NOT_REACTING_K
    return not all(snapshot.get(f"{m}/fws_valve_position") > VALVE_END for m in group.members)


def _following(old: Doubt | None, error_k: float, *, excused: bool, now_s: float) -> Doubt | None:
    """Stands once supply has been off for long and came no nearer; until it follows again."""
    if old is not None and old.stands:
        return None if abs(error_k) < FOLLOWS_K else old
    if not abs(error_k) > NOT_REACTING_K or excused:
        return None
    if old is None or error_k * old.seen[0] < 0 or abs(error_k) < abs(old.seen[0]) - NEARER_K:
        return Doubt(since_s=now_s, seen=(error_k,))
    return replace(old, stands=now_s - old.since_s >= REACTS_S)


def _runs(site: Site, snapshot: Snapshot, member: str) -> bool:
    rated = site.equipment[member].design.get("flow_m3_s", math.inf)
    return snapshot.get(f"{member}/tcs_flow") > RUNS_SHARE * rated


def _lasting(old: Doubt | None, value: float, *, bad: bool, after_s: float, now_s: float) -> Doubt | None:
    if not bad:
        return None
    since_s = now_s if old is None else old.since_s
    return Doubt(since_s=since_s, seen=(value,), stands=now_s - since_s >= after_s)


def _flow_ratio(site: Site, snapshot: Snapshot, group: CoolingGroup) -> float:
    """Flow of all CDUs over that of all racks; NaN where one of them is not known or nothing flows."""
    sent = sum(snapshot.get(f"{m}/tcs_flow") for m in group.members)
    got = sum(snapshot.get(f"{r}/liquid_flow") for r in group.racks)
    rated = sum(site.equipment[m].design.get("flow_m3_s", math.inf) for m in group.members)
    return sent / got if got > RUNS_SHARE * rated else math.nan


def _film(site: Site, snapshot: Snapshot, member: str) -> float:
    try:
        return shown_share(site, snapshot, member, fluid(site.coolant, site.glycol_percent))
    except ConfigError:  # a design figure that the site file lacks: `design_incomplete` tells of it
        return math.nan


def _others_c(snapshot: Snapshot, running: list[str], member: str) -> float:
    """Mean supply of the other running members [°C]: they send into the same manifold."""
    shown = [snapshot.get(f"{m}/tcs_supply_temperature") for m in running if m != member]
    return sum(shown) / len(shown) if shown else math.nan


def _balance_c(site: Site, snapshot: Snapshot, group: CoolingGroup, member: str) -> float:
    """Supply [°C] by the return and the racks' heat over the loop's stream."""
    try:
        heat_w = inputs.racks_heat(site, snapshot, group.racks)
    except (StaleError, ConfigError):
        return math.nan
    flow = sum(snapshot.get(f"{m}/tcs_flow") for m in group.members)
    rise_k = heat_w / max(flow * fluid(site.coolant, site.glycol_percent).heat_j_m3_k, 1e-3)
    return snapshot.get(f"{member}/tcs_return_temperature") - rise_k


def _frozen(old: Doubt | None, shown_c: float, witnesses: tuple[float, float], now_s: float) -> Doubt | None:
    """Stands once it kept its very value while a witness moved and stayed away; until it moves itself."""
    if math.isnan(shown_c):
        return None
    if old is None or shown_c != old.seen[0]:
        return Doubt(since_s=now_s, seen=(shown_c, *witnesses))
    # a witness that told nothing yet begins with what it tells now
    begun = (now if math.isnan(then) else then for now, then in zip(witnesses, old.seen[1:], strict=True))
    old = replace(old, seen=(shown_c, *begun))
    moved = any(
        abs(now - then) > limit_k and now_s - old.since_s >= after_s
        for now, then, limit_k, after_s in zip(witnesses, old.seen[1:], WITNESS_K, FROZEN_S, strict=True)
    )
    if not moved:
        return replace(old, away_s=math.inf, away_looks=0)
    away_s, looks = min(old.away_s, now_s), old.away_looks + 1
    stays = now_s - away_s >= AWAY_S and looks >= AWAY_LOOKS
    return replace(old, stands=old.stands or stays, away_s=away_s, away_looks=looks)


def _valve(old: Doubt | None, position: float, error_k: float, now_s: float) -> Doubt | None:
    """A valve that stays where it is, and is not at its end, while supply lies on one side of its setpoint.

    A small error is only remembered: where the next look finds it far larger and the valve unmoved, that is enough.
    """
    at_end = position > 1 - VALVE_END if error_k > 0 else position < VALVE_END
    if not math.isfinite(position) or not math.isfinite(error_k) or at_end:
        return None
    fresh = Doubt(since_s=now_s, seen=(position, error_k))
    if old is None or abs(error_k) <= VALVE_ERROR_K or abs(position - old.seen[0]) > VALVE_MOVES:
        return fresh
    calm, same_side = abs(old.seen[1]) <= VALVE_ERROR_K, error_k * old.seen[1] > 0
    grew_k = abs(error_k) - abs(old.seen[1])
    looked = VALVE_LOOK_S <= now_s - old.since_s <= VALVE_S  # in longer than that a valve may move and come back
    if (calm or same_side) and grew_k > VALVE_GROWS_K and looked:
        return replace(fresh, since_s=old.since_s, stands=True)
    if calm or not same_side:
        return fresh
    looks = old.away_looks + 1
    return replace(old, away_looks=looks, stands=old.stands or (now_s - old.since_s >= VALVE_S and looks >= AWAY_LOOKS))


def _airs(site: Site, snapshot: Snapshot) -> Iterator[tuple[Key, float]]:
    for equipment in site.equipment:
        for name in ("outdoor_dry_bulb", "outdoor_wet_bulb"):
            point = f"{equipment}/{name}"
            if point in site.points:
                yield (Cause.OUTDOOR_WRONG, point), snapshot.get(point)


def _air(old: Doubt | None, shown_c: float, now_s: float) -> Doubt | None:
    """What is believed of an outdoor sensor; a jump stands until it comes back."""
    if old is None or math.isnan(shown_c):
        return old if math.isnan(shown_c) else Doubt(since_s=now_s, seen=(shown_c,))
    away_k = abs(shown_c - old.seen[0])
    changed_meanwhile = not old.stands and now_s - old.since_s > MOST_APART_S
    if changed_meanwhile or away_k <= (AIR_BACK_K if old.stands else AIR_JUMP_K):
        return Doubt(since_s=now_s, seen=(shown_c,))
    return replace(old, stands=True)

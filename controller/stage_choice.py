"""Which units: from how many of each kind are wanted to the ones that start and stop, by least times and running hours.

Of units that are alike numbers are weighed and not sets; of others also which one starts, stops, or takes another's
place. An economiser or chiller works only with a tower that feeds it; economisers run with their towers, because they
cost nothing of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from controller.facility_plant import upstream
from controller.stage_state import CHILLER, Unit, settled
from controller.unit_merit import Kind, kinds_of, worse
from plant.topology import CoolingGroup, Site

OUTSIDE = ("cooling-tower", "dry-cooler")
ECONOMISER, PUMP = "economiser", "pump"
Wanted = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """The units, which towers serve each, and how many of a kind must run.

    alike: what units have in common that may stand for one another; worse: the higher, the later one is taken; beside:
    units of no stage that stand (`controller.own_sequence`).
    """

    units: tuple[Unit, ...]
    served_by: Mapping[str, frozenset[str]]
    least: Mapping[str, int]
    now_s: float
    alike: Mapping[str, Kind] = field(default_factory=dict)
    worse: Mapping[str, float] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()

    def of(self, kind: str) -> list[Unit]:
        """All of a kind."""
        return [u for u in self.units if u.stage.kind == kind]

    def running(self, kind: str) -> int:
        """How many of a kind may run and have not failed."""
        return sum(u.on for u in self.of(kind))

    @property
    def on(self) -> frozenset[str]:
        """Units that may run and have not failed."""
        return frozenset(u.id for u in self.units if u.on)

    @property
    def waiting(self) -> frozenset[str] | None:
        """Chillers that stand, where their own sequence starts as few as will do; None where they do as told."""
        chillers = self.of(CHILLER)
        return frozenset(u.id for u in chillers if u.stands) if any(u.waits for u in chillers) else None


def plant_of(site: Site, group: CoolingGroup, units: tuple[Unit, ...], now_s: float) -> Plant:
    """A group's plant; what no tower can serve any more is neither on nor to be started."""
    staged = {u.id for u in units if u.stage.kind in OUTSIDE}
    served_by = {
        u.id: frozenset(t.id for kind in OUTSIDE for t in upstream(site, [u.id], kind) if t.id in staged)
        for u in units
        if u.stage.kind in {CHILLER, ECONOMISER}
    }
    alive = {u.id for u in units if (u.known or u.on) and not u.failed}
    able = tuple(
        u if not served_by.get(u.id) or served_by[u.id] & alive else replace(u, on=False, may_start=False)
        for u in units
    )
    equipment = {u.id: site.equipment[u.id] for u in units}
    return Plant(
        units=able,
        served_by=served_by,
        least=group.least_running,
        now_s=now_s,
        alike=kinds_of(equipment, served_by),
        worse=worse(equipment, served_by),
    )


def choices(plant: Plant) -> Iterator[frozenset[str]]:
    """Sets of units that may run next: as now first, then one more or one less of each kind.

    Towers and pumps are weighed together, since both trade against the facility water; with one chiller less too, since
    they have to do its work; one more beside towers alone. Of units that are not alike each may be the one.
    """
    kinds = [k for k in (*OUTSIDE, PUMP) if plant.of(k)]
    near = [dict(zip(kinds, counts, strict=True)) for counts in product(*(_near(plant, k) for k in kinds))]
    chillers, *others = _near(plant, CHILLER)
    wanted = [{**some, CHILLER: chillers} for some in near]
    for count in others:
        alike = [some for some in near if count < chillers or some.get(PUMP) == near[0].get(PUMP)]
        wanted += [{**some, CHILLER: count} for some in alike]
    found = [chosen(plant, some) for some in wanted] + [s for k in (*OUTSIDE, CHILLER, PUMP) for s in _others(plant, k)]
    yield from dict.fromkeys(f for f in found if f is not None) or (plant.on,)


def _others(plant: Plant, kind: str) -> Iterator[frozenset[str] | None]:
    """With one unit of a kind more, less, or in place of another, each of those that are not alike."""
    starts = _one_of_each(plant, [u for u in plant.of(kind) if u.may_start])
    stops = _one_of_each(plant, [u for u in plant.of(kind) if u.on and u.may_stop])
    if len({plant.alike.get(u.id) for u in plant.of(kind)}) < 2:
        return
    if not settled(plant.units, kind, plant.now_s):
        stops = []
    yield from (changed(plant, kind, start, None) for start in starts)
    yield from (changed(plant, kind, None, stop) for stop in stops)
    for start, stop in product(starts, stops):
        if plant.alike.get(start.id) != plant.alike.get(stop.id):
            yield changed(plant, kind, start, stop)


def _one_of_each(plant: Plant, units: list[Unit]) -> list[Unit]:
    """Of those that are alike the one that was switched longest ago."""
    ordered = sorted(units, key=lambda u: (-u.since_s, u.id))
    return list({plant.alike.get(u.id): u for u in ordered}.values())


def changed(plant: Plant, kind: str, start: Unit | None, stop: Unit | None) -> frozenset[str] | None:
    """What runs now with another unit; a chiller brings its tower, None where that or a least number forbids it."""
    on = (plant.on | ({start.id} if start else set())) - ({stop.id} if stop else set())
    if sum(u.id in on for u in plant.of(kind)) < plant.least.get(kind, 0):
        return None
    outside = frozenset(u.id for k in OUTSIDE for u in plant.of(k) if u.id in on)
    if start and plant.served_by.get(start.id) and not plant.served_by[start.id] & outside:
        towers = [u for k in OUTSIDE for u in plant.of(k) if u.id in plant.served_by[start.id] and u.may_start]
        if not towers:
            return None
        outside |= {towers[0].id}
    held = {u.id for u in plant.of(ECONOMISER) if u.on and not u.may_stop}
    needy = held | {u.id for u in plant.of(CHILLER) if u.id in on}
    if any(plant.served_by.get(u) and not plant.served_by[u] & outside for u in needy):
        return None
    rest = frozenset(u.id for k in (CHILLER, PUMP) for u in plant.of(k) if u.id in on)
    return rest | outside | _economisers(plant, outside)


def reinforced(plant: Plant) -> Iterator[frozenset[str]]:
    """All towers and pumps that may start, with as many chillers as now, one more, and so on up to everything."""
    most = {k: sum(u.on or u.may_start for u in plant.of(k)) for k in (*OUTSIDE, CHILLER, PUMP)}
    for chillers in range(plant.running(CHILLER), most[CHILLER] + 1):
        found = chosen(plant, {**most, CHILLER: chillers})
        if found is not None:
            yield found
    yield everything(plant)


def everything(plant: Plant) -> frozenset[str]:
    """All that has not failed, also what has not been off for its least time: the device's own lock knows better."""
    alive = {u.id for u in plant.units if (u.known or u.on) and not u.failed}
    return frozenset(u for u in alive if not plant.served_by.get(u) or plant.served_by[u] & alive)


def missing(plant: Plant, on: frozenset[str]) -> frozenset[str]:
    """Units that are not to run or can't: failed, locked, or silent; none where the rest is no plant any more."""
    return frozenset(u.id for u in plant.units) - _working(plant, on) if is_plant(plant, on) else frozenset()


def is_plant(plant: Plant, on: frozenset[str]) -> bool:
    """Whether something gives heat away and something moves water."""
    groups = [{u.id for u in plant.units if u.stage.kind in kinds} for kinds in (OUTSIDE, (PUMP,))]
    return all(not units or units & _working(plant, on) for units in groups)


def _working(plant: Plant, on: frozenset[str]) -> frozenset[str]:
    return frozenset(u.id for u in plant.units if u.id in on and not u.locked)


def _near(plant: Plant, kind: str) -> list[int]:
    now, least = plant.running(kind), plant.least.get(kind, 0)
    fewer = now - 1 if settled(plant.units, kind, plant.now_s) else now
    return [n for n in dict.fromkeys((max(now, least), now + 1, fewer)) if n >= least]


def chosen(plant: Plant, wanted: Wanted) -> frozenset[str] | None:
    """The units for a number of each kind; None where least times or failures do not allow it."""
    served = frozenset(c for c, towers in plant.served_by.items() if not towers or towers & plant.on)
    chillers = _picked(plant, CHILLER, wanted.get(CHILLER, 0), frozenset(), served)
    if chillers is None:
        return None
    outside = _outside(plant, wanted, chillers)
    pumps = _picked(plant, PUMP, wanted.get(PUMP, 0), frozenset())
    if outside is None or pumps is None:
        return None
    return chillers | outside | pumps | _economisers(plant, outside)


def _outside(plant: Plant, wanted: Wanted, chillers: frozenset[str]) -> frozenset[str] | None:
    """Towers: those that chillers need, then by least times and running hours."""
    held = {u.id for u in plant.of(ECONOMISER) if u.on and not u.may_stop}
    found: frozenset[str] = frozenset()
    for kind in OUTSIDE:
        units = plant.of(kind)
        needed = frozenset().union(*(_one_of(units, plant.served_by[c]) for c in (*chillers, *held)))
        some = _picked(plant, kind, wanted.get(kind, 0), needed)
        if some is None:
            return None
        found |= some
    return found


def _one_of(units: list[Unit], serving: frozenset[str]) -> frozenset[str]:
    """The tower that a train needs; none where all of a header's towers serve, since one always runs."""
    ours = {u.id for u in units}
    return serving if len(serving) < len(ours) or len(ours) == 1 else frozenset()


def _economisers(plant: Plant, outside: frozenset[str]) -> frozenset[str]:
    """All whose tower runs and that may start; one that may not stop stays."""
    found = set()
    for unit in plant.of(ECONOMISER):
        serving = plant.served_by[unit.id]
        works = not serving or bool(serving & outside)
        if (unit.on and (works or not unit.may_stop)) or (unit.may_start and works):
            found.add(unit.id)
    return frozenset(found)


def _picked(
    plant: Plant, kind: str, count: int, needed: frozenset[str], before: frozenset[str] = frozenset()
) -> frozenset[str] | None:
    """So many of a kind: what must stay or is needed, then what runs, then what rests; of each the best first.

    Of those as good the one that ran least stays, and the one that rested longest starts. before: units that start
    before others.
    """
    units, bad = plant.of(kind), plant.worse
    held = [u for u in units if u.id in needed or (u.on and not u.may_stop)]
    if not all(u.on or u.may_start for u in held) or len(held) > count:
        return None
    runs = sorted((u for u in units if u.on and u not in held), key=lambda u: (bad.get(u.id, 0.0), -u.since_s, u.id))
    rests = sorted(
        (u for u in units if u.may_start and u not in held),
        key=lambda u: (u.id not in before, bad.get(u.id, 0.0), u.since_s, u.id),
    )
    found = (held + runs + rests)[:count]
    return frozenset(u.id for u in found) if len(found) == count else None

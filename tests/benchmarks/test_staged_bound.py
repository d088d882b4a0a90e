"""The staging bound: it settles as the plant does, nothing near is cheaper, and its own day holds every limit."""

import random
from dataclasses import replace

import pytest

from benchmarks.baselines import Rule, Tuning
from benchmarks.drive import drive_day
from benchmarks.plants import Scenario
from benchmarks.reserve import ReserveWatch
from benchmarks.staged_bound import Sweep, staged_bound_day
from benchmarks.trains_plant import TrainsPlant
from benchmarks.trains_steady import SteadyTrains, Waters
from benchmarks.trains_variants import cold, unequal
from plant.errors import ConfigError

SUMMER, WINTER = 196, 15
MOMENTS = [60.0 * minute + 30.0 for minute in range(10)]


def swinging(_rack, at_s):
    """All racks between half and nearly full load, by quarters of an hour."""
    return 0.5 if at_s % 1800.0 < 900.0 else 0.9


def settled(plant, start_s):
    """The hall settled over ten minutes from a moment on."""
    steady = SteadyTrains(plant)
    steady.at([start_s + second for second in MOMENTS])
    return steady


def commands_of(plant, supply_c, waters, on):
    """Setpoints and switches as the seam takes them."""
    commands = next(iter(plant.site.groups.values())).commands
    values = {
        "supply_temperature": supply_c,
        "differential_pressure": waters.dp_pa,
        "facility_supply_temperature": waters.facility_c,
        "tower_temperature": waters.tower_c,
    }
    return {commands[role]: value for role, value in values.items()} | {
        f"{unit}/enable_command": float(unit in on) for unit in plant.water.switches
    }


def test_the_settled_hall_is_the_hall_after_hours_of_the_same(scenario, climate):
    """Power of all cooling within half a percent of what the plant itself draws by then."""
    plant, start_s = TrainsPlant(scenario), climate.start_s(WINTER) + 12 * 3600.0
    on = frozenset(f"{kind}-{n}" for kind in ("tower", "economiser") for n in (1, 2, 3))
    waters = Waters(60_000.0, 30.0, 28.5)
    found = settled(plant, start_s).settled(on, waters)
    plant.reset(start_s - 3 * 3600.0)
    plant.advance(commands_of(plant, found.supply_c, waters, on | found.pumps), 3 * 3600.0)
    before = plant.truth().cooling_j
    plant.advance({}, 600.0)
    assert (plant.truth().cooling_j - before) / 600.0 == pytest.approx(found.cooling_w, rel=0.005)


def test_the_warmest_supply_is_where_the_reserve_ends(scenario, climate):
    """A little warmer and the N+1 reserve, as everybody is judged by it, is gone."""
    plant = TrainsPlant(scenario)
    steady = settled(plant, climate.start_s(WINTER))
    supply_c = steady.highest_supply_c(60_000.0, 30.0)
    reserve = ReserveWatch(plant.site)
    plant.reset(climate.start_s(WINTER))

    def margin_k(asked_c):
        shown = plant.advance(commands_of(plant, asked_c, Waters(60_000.0, 30.0, 28.5), frozenset()), 600.0)
        return reserve.margin_k(_Shown(shown))

    assert margin_k(supply_c) >= 0.0 > margin_k(supply_c + 0.2)


class _Shown(dict):
    """What a plant shows, read as a snapshot is."""

    def value(self, point):
        """As it is."""
        return self[point]


def test_no_other_units_and_setpoints_are_cheaper(scenario, climate):
    """Three hundred draws of units and setpoints: none below what the sweep found, on trains that are not alike."""
    plant, start_s = unequal(scenario), climate.start_s(SUMMER)
    sweep = Sweep(SteadyTrains(plant), plant.site)
    best, draw = sweep.step(start_s), random.Random(1)
    tried = [
        (
            draw.choice([on for on in sweep.sets if sweep.steady.chillers(on) == 0]),
            Waters(draw.uniform(45e3, 60e3), facility_c := draw.uniform(26.0, 36.0), facility_c - draw.uniform(0.2, 4)),
        )
        for _ in range(300)
    ]
    found = [s.cooling_w for on, waters in tried if (s := sweep.steady.settled(on, waters)) is not None]
    assert len(found) > 30
    assert best.cooling_w <= min(found)


def test_its_day_is_cheaper_than_a_good_rule_and_holds_every_limit(climate):
    """Two hours of a load that swings: nothing outside a limit, the reserve kept, less energy than the rule's."""
    work = Scenario(climate=climate, utilisation=swinging)
    start_s = climate.start_s(SUMMER)
    day = staged_bound_day(TrainsPlant(work), start_s, hours=2)
    rule = TrainsPlant(work)
    tuning = Tuning(kind="reset", supply_c=37.0, flow_share=0.6, approach_k=5.0, tower_below_k=1.0)
    ruled = drive_day(rule, Rule(rule.site, tuning), start_s, 600.0, hours=2)
    assert day.violation_s == {}
    assert day.reserve_violation_s == 0.0
    assert day.cooling_j < 0.99 * ruled.cooling_j


def test_chillers_run_where_towers_do_not_suffice(scenario, climate):
    """Racks that take 29 °C on a hot afternoon: some chillers, none more than cheapest."""
    plant = cold(scenario)
    sweep = Sweep(SteadyTrains(plant), plant.site)
    start_s = climate.start_s(SUMMER) + 15 * 3600.0
    step = sweep.step(start_s)
    count = sweep.steady.chillers(step.on)
    assert count > 0
    more = [on for on in sweep.sets if sweep.steady.chillers(on) == count + 1]
    dearer = [s.cooling_w for on in more if (s := sweep.steady.settled(on, step.waters)) is not None]
    assert all(cooling_w > step.cooling_w for cooling_w in dearer)


def test_a_day_that_nothing_can_hold_is_told(scenario, climate):
    """No supply keeps the cases of plates that are far too bad."""
    plant = TrainsPlant(scenario)
    limits = {name: replace(limit, maximum=30.0) for name, limit in plant.site.limits.items() if name == "case"}
    plant.site = replace(plant.site, limits={**plant.site.limits, **limits})
    with pytest.raises(ConfigError, match="no units and setpoints"):
        Sweep(SteadyTrains(plant), plant.site).step(climate.start_s(SUMMER))

"""Units of a kind that are not alike: their figures add up, and which one runs is part of the decision."""

import math
from dataclasses import replace

import coldplate_test_trains as trains
import numpy as np
import pytest

from controller.chillers import chiller_design, chiller_w
from controller.facility_plant import facility_side
from controller.fluids import fluid
from controller.stage_choice import choices, chosen, plant_of
from controller.stage_state import Seen, units_of
from controller.towers import coldest_c, fan_share, tower_design
from controller.unit_merit import worse
from plant.topology import Equipment

WATER = fluid("water", 0.0, 20.0)
DRIVEN = {"cop_75": 6.9, "cop_50": 6.8, "cop_25": 5.0}
CONSTANT = {"cop_75": 5.4, "cop_50": 4.8, "cop_25": 3.4}
RATED = np.array([16.0]), np.array([29.4])


def chiller(name, **figures):
    """A chiller of 240 kW."""
    return Equipment(id=name, kind="chiller", design={**trains.DESIGNS["chiller"], **figures})


def tower(name, **figures):
    """A tower of 420 kW."""
    return Equipment(id=name, kind="cooling-tower", design={**trains.DESIGNS["cooling-tower"], **figures})


def with_figures(site, unit, **figures):
    """The site with other design figures of one unit."""
    changed = replace(site.equipment[unit], design={**site.equipment[unit].design, **figures})
    return replace(site, equipment={**site.equipment, unit: changed})


@pytest.fixture(scope="module")
def three():
    """Three trains."""
    return trains.trains(3)


def as_it_is(site, *standing, wet_bulb_c=15.0):
    """A hall's plant of which some units stand, all switched long ago."""
    hall = trains.Hall(site, wet_bulb_c=wet_bulb_c)
    hall.enabled -= set(standing)
    seen = {u: Seen(on=u in hall.enabled, since_s=-math.inf) for u in hall.units}
    hall.memory = replace(hall.memory, seen=seen)
    units = units_of(site, hall.snapshot(4e5), hall.group, seen, hall.now_s)
    return hall, plant_of(site, hall.group, units, hall.now_s)


@pytest.mark.parametrize("figures", [DRIVEN, CONSTANT, {"cop_50": 6.6}, {}])
def test_part_load_is_what_the_site_file_tells(figures):
    """COP at the rating's temperatures is the file's at every load that it tells, and the rated one at full load."""
    design = chiller_design([chiller("one", **figures)], water_cooled=True, together=True)
    told = {int(key[-2:]) / 100: cop for key, cop in figures.items()} | {1.0: 6.0}
    for load, expected in told.items():
        heat_w = np.array([load * 240e3])
        assert float((heat_w / chiller_w(design, heat_w, *RATED))[0]) == pytest.approx(expected, rel=1e-6)


def test_chillers_add_up():
    """Three of other sizes, ratings and curves draw together what each draws at the same part load."""
    units = [
        chiller("a", **DRIVEN),
        chiller("b", heat_w=400e3, cop=5.0, **CONSTANT),
        chiller("c", rating_leaving_c=7.0),
    ]
    together = chiller_design(units, water_cooled=True, together=True)
    for load in (0.3, 0.6, 1.0):
        alone_w = 0.0
        for unit in units:
            one = chiller_design([unit], water_cooled=True, together=True)
            alone_w += float(chiller_w(one, np.array([load * one.heat_w]), np.array([18.0]), np.array([25.0]))[0])
        both_w = chiller_w(together, np.array([load * together.heat_w]), np.array([18.0]), np.array([25.0]))
        assert float(both_w[0]) == pytest.approx(alone_w, rel=1e-6)
    assert together.power_w == pytest.approx(240e3 / 6.0 + 400e3 / 5.0 + 240e3 / 6.0)


def test_towers_add_up():
    """A large and a small tower reach together about what each does alone with its share of the heat."""
    large = tower("a", heat_w=700e3, flow_m3_s=0.030, approach_k=3.0, air_flow_m3_s=24.0, fan_power_w=12e3)
    small = tower("b")
    one, other, both = (tower_design(units, WATER) for units in ([large], [small], [large, small]))
    assert both.fan_power_w == 19.5e3
    alone = [coldest_c(design, WATER, design.flow_m3_s / 0.048 * 1e6, 22.0) for design in (one, other)]
    mixed = (one.flow_m3_s * alone[0] + other.flow_m3_s * alone[1]) / 0.048
    assert coldest_c(both, WATER, 1e6, 22.0) == pytest.approx(mixed, abs=0.1)
    assert tower_design([small, tower("c")], WATER).ntu == pytest.approx(other.ntu)


def test_fans_of_one_speed_save_no_cube():
    """At half the heat they draw far more than fans with a drive, at full heat the same."""
    driven, cycled = (tower_design([tower("a", **some)], WATER) for some in ({}, {"fan_speeds": 1}))
    share = fan_share(driven, WATER, np.array([210e3, 420e3]), np.array([0.018] * 2), np.array([29.5] * 2), 25.6)
    half_w, full_w = cycled.fans_w(share)
    assert half_w > 2.0 * driven.fans_w(share)[0]
    assert full_w == pytest.approx(driven.fans_w(share)[1], rel=0.05)


def test_pumps_without_a_drive_throttle(three):
    """At a third of the flow one of full speed draws more than twice what one with a drive does."""
    site = with_figures(three, "pump-1", variable_speed=0.0, efficiency=0.6)
    low = np.array([0.004])
    fixed, driven = (
        facility_side(site, site.groups["tcs-1"], WATER, off)[0] for off in (PUMPS - {"pump-1"}, {"pump-1", "pump-3"})
    )
    assert float(fixed.power_w(low)[0]) > 2.0 * float(driven.power_w(low)[0])
    assert fixed.fixed_efficiency == 0.6
    assert driven.fixed_share == 0.0
    assert driven.efficiency == pytest.approx(0.65)


PUMPS = frozenset({"pump-1", "pump-2", "pump-3"})


def test_alike_units_take_turns_and_others_by_what_they_cost(three):
    """Of equal chillers the one that rested longest starts; a better one before it, and a worse one after all."""
    standing = ("chiller-1", "chiller-2", "chiller-3")
    _, equal = as_it_is(three, *standing)
    some = {"cooling-tower": 3, "chiller": 1, "pump": 3}
    assert "chiller-1" in chosen(equal, some)
    _, better = as_it_is(with_figures(three, "chiller-3", cop=7.0), *standing)
    assert "chiller-3" in chosen(better, some)
    _, nearly = as_it_is(with_figures(three, "chiller-3", cop=6.05), *standing)
    assert "chiller-1" in chosen(nearly, some)


def test_each_unlike_unit_is_looked_at(three):
    """Of three chillers of which one runs: each other one more, and in its place; alike ones once."""
    site = with_figures(with_figures(three, "chiller-2", cop=7.0), "chiller-3", heat_w=120e3)
    _, plant = as_it_is(site, "chiller-2", "chiller-3")
    seen = {frozenset(u for u in on if u.startswith("chiller")) for on in choices(plant)}
    assert {frozenset({f"chiller-{n}"}) for n in (1, 2, 3)} <= seen
    assert {frozenset({"chiller-1", "chiller-2"}), frozenset({"chiller-1", "chiller-3"}), frozenset()} <= seen
    _, equal = as_it_is(three, "chiller-2", "chiller-3")
    assert len(list(choices(equal))) < len(list(choices(plant)))


def test_a_chiller_brings_its_tower(three):
    """One whose tower stands is looked at with it, and never without."""
    site = with_figures(three, "chiller-3", cop=8.0)
    _, plant = as_it_is(site, "tower-3", "economiser-3", "chiller-3")
    with_it = [on for on in choices(plant) if "chiller-3" in on]
    assert with_it
    assert all("tower-3" in on for on in with_it)


def test_a_better_chiller_takes_the_place_of_a_worse_one(three):
    """It starts first; the other stops once its least time is over and never leaves the heat alone."""
    site = with_figures(with_figures(three, "chiller-1", cop=3.0), "chiller-2", cop=8.0)
    hall, _ = as_it_is(site, "chiller-2", "chiller-3", wet_bulb_c=26.0)
    envelope = site.envelopes[site.groups["tcs-1"].commands["supply_temperature"]]
    cool = replace(envelope, maximum=26.0)
    hall.site = replace(site, envelopes={**site.envelopes, envelope.point: cool})
    hall.setpoints |= {"supply_temperature": 25.0, "facility_supply_temperature": 20.0, "tower_temperature": 28.0}
    trains.day(hall, [2.2e5] * 18)
    runs = {u for u in hall.enabled if u.startswith("chiller")}
    assert "chiller-2" in runs
    assert "chiller-1" not in runs
    order = [(unit, on) for _, unit, on in hall.switched if unit in {"chiller-1", "chiller-2"}]
    assert order.index(("chiller-2", True)) < order.index(("chiller-1", False))


def merits(*units, served_by=None):
    """How much more each costs than the best."""
    return worse({unit.id: unit for unit in units}, served_by or {})


def test_a_chillers_place_is_by_its_cop_at_the_usual_load():
    """Better at full load but worse at three quarters: it is taken later."""
    found = merits(chiller("driven", cop=6.2, **DRIVEN), chiller("constant", cop=6.5, **CONSTANT))
    assert found == {"driven": 0.0, "constant": pytest.approx(0.3)}


def test_fans_of_one_speed_come_after_a_tower_without_plates():
    """Fans that only start and stop cost more than the plates that another tower lacks; the best has both."""
    towers = tower("best"), tower("one-speed", fan_speeds=1.0), tower("no-plates")
    plates = [Equipment(id=f"plates-{n}", kind="economiser", design=trains.DESIGNS["economiser"]) for n in range(2)]
    fed = {"plates-0": frozenset({"best"}), "plates-1": frozenset({"one-speed"})}
    found = merits(*towers, *plates, served_by=fed)
    assert found["best"] == 0.0 < found["no-plates"] < found["one-speed"]

"""The tower-cooled hall as the controller sees it: wet bulb, economiser, chillers, and four setpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from CoolProp.HumidAirProp import HAPropsSI

import sites
from controller import inputs
from controller.chillers import chiller_design, chiller_w, running
from controller.constraints import Bounds
from controller.design import loop_design
from controller.exchange import effectiveness, solved
from controller.fluids import fluid, wet_bulb
from controller.model import Load, Setpoints, evaluate
from controller.optimise import condenser_c, judge, search, stepped
from controller.outdoor import Outdoor
from controller.plates import Plate
from controller.problems import build_problem
from controller.step import initial_state, step
from controller.towers import coldest_c, fan_share, pump_w
from plant.errors import ConfigError
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

ROOT = Path(__file__).parents[2]
NOW_S = 1_783_764_000.0


@pytest.fixture(scope="module")
def hall():
    """The tower-cooled hall, with cold plates that are as good as their figures say."""
    site = sites.load_site(ROOT / "site-configs" / "hall.yaml")
    racks = {r.id: replace(r, design={**r.design, "design_tolerance": 0.0}) for r in site.of_kind("rack")}
    return replace(site, equipment={**site.equipment, **racks})


@pytest.fixture(scope="module")
def design(hall):
    """Its loop."""
    return loop_design(hall, hall.groups["tcs-1"])


@pytest.fixture
def hall_snapshot(hall):
    """Half load on a warm day, everything at design setpoints."""
    group = hall.groups["tcs-1"]
    values = {"tower/outdoor_dry_bulb": 30.0, "tower/outdoor_relative_humidity": 0.45}
    for member in group.members:
        values |= {f"{member}/tcs_flow": 0.0116, f"{member}/tcs_supply_temperature": 32.0}
        values |= {f"{member}/tcs_return_temperature": 38.0, f"{member}/room_dew_point": 12.0}
    values |= {f"{rack}/power": 80e3 for rack in group.racks}
    for role, point in group.commands.items():
        values[inputs.effective_point(hall, point)] = group.design[role]
    readings = {p: Reading(v, NOW_S, NOW_S, Quality.GOOD, Reason.NONE) for p, v in values.items()}
    return Snapshot(at_s=NOW_S, readings=readings)


@pytest.fixture
def problem(hall, hall_snapshot):
    """What the search is asked then."""
    heats = step(initial_state(), hall_snapshot, (), NOW_S, hall).forecast.heats
    heat = next(h for h in heats if h.subject == "tcs-1")
    return build_problem(hall, hall_snapshot, hall.groups["tcs-1"], heat, ())


@pytest.mark.parametrize("dry_c", [0.0, 2.0, 3.0, 5.0, 8.0, 10.0, 25.0, 40.0, 50.0])
@pytest.mark.parametrize("humidity", [0.02, 0.05, 0.15, 0.3, 0.5, 0.7, 1.0])
def test_wet_bulb_is_coolprops(dry_c, humidity):
    """The quick wet bulb is the slow one within a tenth of a kelvin, where ice and water meet within 0.15 K."""
    slow_c = HAPropsSI("B", "T", dry_c + 273.15, "R", humidity, "P", 101325.0) - 273.15
    assert wet_bulb(dry_c, humidity) == pytest.approx(slow_c, abs=0.1 if abs(slow_c) > 0.2 else 0.15)


def test_effectiveness_of_both_streams_is_one_heat():
    """Either stream's NTU and ratio give the same heat, also far from balance."""
    ua, cold, hot = 5e4, 1e4, np.array([1.1e4, 4e4, 1e6])
    ratio = cold / hot
    assert effectiveness(ua / np.full(3, cold), ratio) * cold == pytest.approx(effectiveness(ua / hot, 1 / ratio) * hot)


def test_the_root_finder_brackets():
    """Targets outside the range give its ends, inside them the root."""
    found, most = solved(lambda x: x**1.7, np.array([1e-6, 0.3, 9.0]), 0.1, 1.0)
    assert found == pytest.approx([0.1, 0.3 ** (1 / 1.7), 1.0], rel=1e-3)
    assert most == pytest.approx(1.0)


def test_a_plates_table_is_its_formula_backwards():
    """The cold stream that the table gives moves the wanted heat, over the whole range of both streams."""
    plate = Plate(ua_w_k=5e5, hot_w_k=1.25e5, cold_w_k=1.37e5, most_w_k=1.37e5)
    hot, cold = (a.ravel() for a in np.meshgrid(np.linspace(1e4, 1.5e5, 12), np.linspace(4e3, 1.3e5, 12)))
    found, most = plate.cold_for(hot, plate.per_kelvin(hot, cold))
    assert plate.per_kelvin(hot, found) == pytest.approx(plate.per_kelvin(hot, cold), rel=0.01)
    assert most == pytest.approx(plate.per_kelvin(hot, np.full_like(hot, 1.37e5)), rel=0.01)


def test_tower_meets_its_design_point(design):
    """Design heat at design wet bulb and approach takes all the fans; a wet bulb 5 K lower takes less than half."""
    tower, water = design.rejection.tower, design.water
    at = (np.array([1.25e6]), np.array([0.055]), np.array([29.5]))
    assert float(fan_share(tower, water, *at, 25.6)[0]) == pytest.approx(1.0, abs=0.02)
    assert float(fan_share(tower, water, *at, 20.6)[0]) < 0.7
    assert float(fan_share(tower, water, *at, 5.0)[0]) < 0.3
    assert coldest_c(tower, water, 1.25e6, 25.6) == pytest.approx(29.5, abs=0.1)


def test_condenser_pumps_keep_part_of_their_head(design):
    """Half the flow takes more than an eighth of the power: some of the head is held."""
    full_w, half_w = pump_w(design.rejection.tower, np.array([0.055, 0.0275]))
    assert full_w == pytest.approx(0.055 * 150e3 / 0.7)
    assert half_w == pytest.approx(full_w * 0.5 * (0.5 + 0.5 * 0.25))


def test_chiller_has_its_rating_and_pays_for_lift(hall):
    """COP at the rating point, better with colder condenser water, worse at the least load."""
    chiller = chiller_design([hall.equipment["chiller"]], water_cooled=True)
    at = np.array([700e3]), np.array([16.0])
    rated_w = float(chiller_w(chiller, *at, np.array([29.4]))[0])
    assert 700e3 / rated_w == pytest.approx(6.0)
    assert float(chiller_w(chiller, *at, np.array([24.0]))[0]) < 0.85 * rated_w
    small_w = float(chiller_w(chiller, np.array([7e3]), np.array([16.0]), np.array([29.4]))[0])
    assert 7e3 / small_w < 1.0
    two = replace(chiller, machines=2)
    assert running(two, np.array([0.0, 1.0, 3e5, 4e5, 9e9])).tolist() == [0, 1, 1, 2, 2]


def test_the_hall_spends_on_what_it_is_asked(design):
    """A colder tower costs fans; facility water below what the tower gives costs the chiller and its condenser water."""
    load = Load(heat_w=6e5, it_w=7e5, gpu_w=1485.0, air=Outdoor(32.0, 22.0))
    rows = [(36.0, 5e4, 32.0, 30.0), (36.0, 5e4, 32.0, 26.0), (36.0, 5e4, 22.0, 26.0)]
    found = evaluate(design, load, Setpoints.of(np.array(rows)))
    assert found.fan_w[1] > 3 * found.fan_w[0]
    assert found.chiller_w[0] == found.chiller_w[1] == 0.0
    assert found.chiller_w[2] > 5e3
    assert found.tower_pump_w[2] > found.tower_pump_w[1]


def test_a_tower_that_nobody_commands_follows_its_own_rule(design):
    """Three setpoints are enough; then the tower follows the facility water and stays off the wet bulb."""
    load = Load(heat_w=6e5, it_w=7e5, gpu_w=1485.0, air=Outdoor(32.0, 22.0))
    free = evaluate(design, load, Setpoints.of(np.array([(36.0, 5e4, 32.0)])))
    told = evaluate(design, load, Setpoints.of(np.array([(36.0, 5e4, 32.0, 30.0)])))
    assert float(free.cooling_w[0]) == pytest.approx(float(told.cooling_w[0]))


def test_four_setpoints_are_searched(problem):
    """The target costs less than design and than a plain grid, holds every reserve, and commands the tower."""
    choice = search(problem)
    for _ in range(3):  # a far target costs a move; cycle by cycle it is reached
        choice = search(replace(problem, target=choice.target))
    assert choice.feasible
    assert len(choice.target) == 4
    supply_c, _, facility_c, tower_c = choice.target
    assert tower_c < facility_c < supply_c
    grid = np.array(
        [
            (s, p, s - a, s - a - b)
            for s in (34.0, 35.0, 36.0)
            for p in (45e3, 60e3)
            for a in (3.0, 4.0, 6.0)
            for b in (0.5, 1.0, 2.0, 4.0)
        ]
    )
    judged = judge(problem, grid)
    assert choice.cooling_w < 1.01 * float(judged.site_w[judged.feasible].min())
    assert choice.cooling_w < 0.6 * choice.design_cooling_w


def test_steps_of_four_setpoints_stay_feasible(problem):
    """One step towards the target keeps every reserve."""
    target = search(problem).target
    point = stepped(problem, target, (True, True, True, True))
    assert bool(judge(problem, point[None]).feasible[0])


def test_the_plan_commands_the_tower_within_its_range(hall, hall_snapshot):
    """The tower's setpoint is part of the plan, one step away at most."""
    (plan,) = step(initial_state(), hall_snapshot, (), NOW_S, hall).plans
    tower = plan.setpoints[3]
    assert tower.point == "tower/leaving_temperature_setpoint"
    envelope = hall.envelopes[tower.point]
    assert 0 < abs(tower.value - tower.current) <= envelope.max_step + 1e-6


def test_silent_humidity_is_taken_for_design_and_said(hall, hall_snapshot):
    """A tower can't be judged by dry bulb alone: its design wet bulb counts, learning rests, a condition says so."""
    readings = {p: r for p, r in hall_snapshot.readings.items() if not p.endswith("relative_humidity")}
    silent = Snapshot(at_s=NOW_S, readings=readings)
    air, told = (inputs.outdoor(hall, s, hall.groups["tcs-1"]) for s in (silent, hall_snapshot))
    assert air.wet_bulb_c == min(25.6, air.dry_bulb_c) > told.wet_bulb_c
    assert (air.detail, told.detail) == ("tower", "")
    result = step(initial_state(), silent, (), NOW_S, hall)
    assert result.plans
    assert [c.code for c in result.conditions] == ["outdoor_inferred"]
    assert not result.state.learnt["tcs-1"].curves


def test_missing_tower_figure_is_named(hall):
    """A design figure that the site file lacks is an error that names it."""
    tower = hall.equipment["tower"]
    lame = replace(tower, design={k: v for k, v in tower.design.items() if k != "approach_k"})
    broken = replace(hall, equipment={**hall.equipment, "tower": lame})
    with pytest.raises(ConfigError, match="approach_k"):
        loop_design(broken, broken.groups["tcs-1"])
    assert fluid("water").density_kg_m3 > 990


def _deaf(hall, *names):
    """The hall whose site file names none of these points at its tower."""
    return replace(hall, points={p: v for p, v in hall.points.items() if p not in {f"tower/{n}" for n in names}})


@pytest.mark.parametrize(
    ("missing", "dry_c", "expected_c"),
    [
        (("outdoor_relative_humidity",), 31.0, 25.6),
        (("outdoor_relative_humidity",), 9.0, 9.0),
        (("outdoor_relative_humidity", "outdoor_dry_bulb"), 9.0, 25.6),
    ],
)
def test_a_site_without_a_wet_bulb_is_driven_by_the_towers_design(hall, hall_snapshot, missing, dry_c, expected_c):
    """Its plan says so, and the air's temperature bounds it; a sensor that is there and silent is another condition."""
    readings = dict(hall_snapshot.readings)
    readings["tower/outdoor_dry_bulb"] = replace(readings["tower/outdoor_dry_bulb"], value=dry_c)
    snapshot = Snapshot(at_s=NOW_S, readings=readings)
    site = _deaf(hall, *missing)
    assert inputs.outdoor(site, snapshot, site.groups["tcs-1"]).wet_bulb_c == pytest.approx(expected_c)
    result = step(initial_state(), snapshot, (), NOW_S, site)
    assert result.plans
    (told,) = (c for c in result.conditions if c.code == "wet_bulb_assumed")
    assert told.remedy.code == "wet_bulb_assumed_remedy"
    del readings["tower/outdoor_relative_humidity"]
    silent = step(initial_state(), Snapshot(at_s=NOW_S, readings=readings), (), NOW_S, hall)
    assert "outdoor_inferred" in {c.code for c in silent.conditions}


def test_condenser_water_is_looked_for_where_towers_can_bring_it(problem):
    """Below the facility water while the wet bulb lets it; above the wet bulb where only chillers can use it."""
    wet_c = problem.median.air.wet_bulb_c
    warm, cold = np.full(3, wet_c + 12.0), np.full(3, wet_c - 2.0)
    below_k = np.array([1.0, 3.0, 6.0])
    assert condenser_c(problem, warm, below_k) == pytest.approx(warm - below_k)
    assert condenser_c(problem, cold, below_k) == pytest.approx(wet_c + np.array([8.0, 6.0, 3.0]))


def test_with_chillers_at_work_fans_are_not_run_flat_out(hall, hall_snapshot):
    """Facility water colder than any tower brings it: the search finds condenser water within half a percent."""
    group = hall.groups["tcs-1"]
    point = group.commands["supply_temperature"]
    site = replace(hall, envelopes=hall.envelopes | {point: replace(hall.envelopes[point], maximum=23.0)})
    heats = step(initial_state(), hall_snapshot, (), NOW_S, site).forecast.heats
    heat = next(h for h in heats if h.subject == "tcs-1")
    asked = replace(
        build_problem(site, hall_snapshot, site.groups["tcs-1"], heat, ()), bounds=Bounds(case_c=90.0, reserve=False)
    )
    asked = replace(asked, current=(23.0, 6e4, 18.0, 12.0), target=(23.0, 6e4, 18.0, 12.0))
    choice = search(asked)
    assert choice.feasible
    supply_c, dp_pa, facility_c, _ = choice.target
    tower_c = np.linspace(10.0, 36.0, 105)
    rows = np.column_stack([np.full_like(tower_c, v) for v in (supply_c, dp_pa, facility_c)] + [tower_c])
    swept = judge(asked, rows)
    chosen_w = float(judge(asked, np.array([choice.target])).cost_w[0])
    best = int(np.argmin(np.where(swept.feasible, swept.cost_w, np.inf)))
    assert chosen_w < 1.005 * float(swept.cost_w[best])
    assert float(swept.cost_w[0]) > 1.02 * chosen_w  # as cold as can be: fans flat out


@pytest.fixture
def direct(hall):
    """The hall with its towers' own water as facility water: neither plates nor chiller."""
    gone = {e.id for e in hall.equipment.values() if e.kind in {"economiser", "chiller"}}
    kept = (e for e in hall.equipment.values() if e.id not in gone)
    left = {e.id: replace(e, feeds=tuple(f for f in e.feeds if f not in gone)) for e in kept}
    left["tower"] = replace(left["tower"], feeds=("fws-pumps",))
    group = hall.groups["tcs-1"]
    water = "tower/leaving_temperature_setpoint"
    commands = {r: p for r, p in group.commands.items() if r != "tower_temperature"}
    commands["facility_supply_temperature"] = water
    design = {role: group.design[role] for role in commands}
    envelope = hall.envelopes[group.commands["facility_supply_temperature"]]
    return replace(
        hall, equipment=left, groups={"tcs-1": replace(group, commands=commands, design=design)},
        envelopes={**hall.envelopes, water: replace(envelope, point=water)},
    )  # fmt: skip


def test_towers_whose_own_water_is_the_facility_water(hall, direct, hall_snapshot):
    """No plate between them: as cold as the towers come, fans alone reject, and the loop is planned, not let be."""
    side = loop_design(direct, direct.groups["tcs-1"]).rejection
    heat, flow, nobody, air = np.array([600e3]), np.array([0.030]), np.array([np.nan]), Outdoor(30.0, 22.0)
    coldest = coldest_c(side.tower, side.water, 600e3, 22.0)
    for above_k, reached in ((0.5, True), (-0.5, False)):
        left_w = float(side.unreached_w(heat, flow, np.array([coldest + above_k]), nobody, air)[0])
        assert (left_w <= 0) is reached
    warm, cool = (side.powers(heat, flow, np.array([c]), nobody, air) for c in (31.0, 27.0))
    assert float(warm.fan_w[0]) < float(cool.fan_w[0]) < 22e3
    assert float(cool.chiller_w[0]) == 0.0
    (plan,) = step(initial_state(), hall_snapshot, (), NOW_S, direct).plans
    assert plan.reason.code == "plan_move"
    assert "tower/leaving_temperature_setpoint" in {s.point for s in plan.setpoints}


def test_plates_that_stand_leave_no_direct_way(hall):
    """Where plates and chiller are switched off the towers' water reaches nobody: it is not taken for facility water."""
    design = loop_design(hall, hall.groups["tcs-1"], off=frozenset({"economiser", "chiller"}))
    at = np.array([600e3]), np.array([0.030]), np.array([35.0]), np.array([30.0]), Outdoor(30.0, 22.0)
    assert float(design.rejection.unreached_w(*at)[0]) == pytest.approx(600e3)

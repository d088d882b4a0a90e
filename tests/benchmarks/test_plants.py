"""The seam, and the two plants behind it."""

import math
import sys

import pytest

from benchmarks.baselines import Ours, Rule, Tuning
from benchmarks.climate import WeightedDay, twelve_days, warmest_day
from benchmarks.drive import drive_day
from benchmarks.plants import PLANTS, PlantTruth, load_plant
from benchmarks.rows import rows_of
from benchmarks.seam import check_names, check_plant, in_force, judged, warn_of_units
from benchmarks.tasks import Task
from plant.errors import ColdplateError, ConfigError

SUMMER = 196


@pytest.fixture(params=sorted(PLANTS))
def plant(request, scenario):
    """Each plant of this repository, in summer."""
    made = load_plant(request.param)(scenario)
    yield made
    made.close()


def test_an_hour_shows_every_input_of_the_controller_and_carries_all_heat(plant, climate):
    """After an hour both plants show flow, temperatures, dew point and outdoor air, and energy has been spent."""
    plant.reset(climate.start_s(SUMMER))
    shown = plant.advance({}, 3600.0)
    group = next(iter(plant.site.groups.values()))
    for member in group.members:
        for name in ("tcs_flow", "tcs_supply_temperature", "tcs_return_temperature", "room_dew_point"):
            assert f"{member}/{name}" in shown
    carried_w = sum(
        4.0e6 * shown[f"{m}/tcs_flow"] * (shown[f"{m}/tcs_return_temperature"] - shown[f"{m}/tcs_supply_temperature"])
        for m in group.members
    )
    power_w = sum(shown[f"{rack}/power"] for rack in group.racks)
    assert carried_w == pytest.approx(0.87 * power_w, rel=0.05)
    truth = plant.truth()
    assert truth.it_j == pytest.approx(power_w * 3600.0, rel=0.05)
    assert truth.it_j < truth.site_j < 1.5 * truth.it_j
    assert truth.violation_s == {}


def test_setpoints_move_the_plant(plant, climate):
    """A warmer supply and less flow arrive at the racks, and cost fewer joules of pumps."""
    plant.reset(climate.start_s(SUMMER))
    plant.advance({}, 3600.0)
    before = plant.truth().energy_j["tcs_pumps"]
    commands = next(iter(plant.site.groups.values())).commands
    asked = {
        commands["supply_temperature"]: 36.0,
        commands["differential_pressure"]: 70e3,
        commands["facility_supply_temperature"]: 31.0,
    }
    for _ in range(60):
        shown = plant.advance(asked, 60.0)
    assert shown["cdu-1/tcs_supply_temperature"] == pytest.approx(36.0, abs=0.3)
    assert shown["cdu-1/effective_supply_temperature_setpoint"] == pytest.approx(36.0, abs=0.01)
    assert plant.truth().energy_j["tcs_pumps"] - before < 0.7 * before


def test_a_broken_limit_is_counted_in_seconds(plant, climate):
    """Racks without their least flow are seen by the plant itself."""
    plant.reset(climate.start_s(SUMMER))
    commands = next(iter(plant.site.groups.values())).commands
    plant.advance({commands["differential_pressure"]: 25e3}, 1800.0)
    assert plant.truth().violation_s["rack-flow"] > 1200.0


def test_the_same_day_twice_is_the_same_day(plant, climate):
    """`reset` forgets everything."""
    rule = Rule(plant.site, Tuning(kind="reset", supply_c=36.0, flow_share=0.7, approach_k=5.0))
    found = []
    for _ in range(2):
        plant.reset(climate.start_s(SUMMER))
        for _ in range(3):
            plant.advance({"cdu-1/supply_temperature_setpoint": 34.0}, 600.0)
        found.append(plant.truth().cooling_j)
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert rule.site is plant.site


@pytest.mark.parametrize("name", ["hall", "twin"])
def test_gpus_tell_the_case_that_is_judged_in_whole_degrees(name, scenario, climate):
    """Cases of the points that the site file names, the hottest of them within a degree of the one that counts."""
    made = load_plant(name)(scenario)
    try:
        made.reset(climate.start_s(SUMMER))
        made.advance({}, 3600.0)
        highest_c = made.truth().highest_case_c
        shown = made.advance({}, 60.0)
        cases = {p: c for p, c in shown.items() if "/gpu-" in p and p.endswith("/temperature")}
        assert set(cases) <= set(made.site.points)
        assert len(cases) == 8 * 72
        assert all(case_c == round(case_c) for case_c in cases.values())
        assert max(cases.values()) == pytest.approx(max(made.truth().highest_case_c, highest_c), abs=1.5)
        assert 100.0 < shown["rack-03/gpu-07/power"] < 1.2 * 1350.0
        assert shown["rack-03/liquid_flow"] == pytest.approx(0.0029, rel=0.05)
    finally:
        made.close()


def test_the_hall_begins_at_any_hour(scenario, climate):
    """A start in the afternoon has the afternoon's weather."""
    hall = load_plant("hall")(scenario)
    try:
        hall.reset(climate.start_s(SUMMER) + 15 * 3600.0)
        shown = hall.advance({}, 60.0)
        assert shown["tower/outdoor_dry_bulb"] == pytest.approx(
            climate.at(climate.start_s(SUMMER) + 54000.0).dry_bulb_c, abs=1
        )
        assert hall.truth().it_j < 60.0 * 1.1e6
        assert 0.99 < hall.balance < 1.01
    finally:
        hall.close()


def test_a_hall_that_loses_heat_is_not_believed(scenario, climate):
    """A run whose heat balance does not close fails instead of giving figures."""
    hall = load_plant("hall")(scenario)
    try:
        hall.reset(climate.start_s(SUMMER))
        hall.advance({}, 600.0)
        hall._heat_out_j *= 0.9
        with pytest.raises(ColdplateError, match="heat balance"):
            hall.truth()
    finally:
        hall.close()


@pytest.mark.parametrize(
    "name", ["nowhere", "no.such.module:Plant", "benchmarks.plants:Nothing", "benchmarks.plants:PLANTS"]
)
def test_an_unknown_plant_is_named_with_a_remedy(name):
    """A misspelt plant never becomes a traceback."""
    with pytest.raises(ConfigError) as found:
        load_plant(name)
    assert found.value.remedy


def test_a_plant_is_found_in_the_folder_that_one_stands_in(tmp_path, monkeypatch):
    """The command of an installed coldplate does not have it on Python's path by itself."""
    (tmp_path / "plant_of_a_stranger.py").write_text("def factory(scenario): return scenario\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.chdir(tmp_path)
    assert load_plant("plant_of_a_stranger:factory")(7) == 7


class Tank:
    """A foreign plant: its supply follows the setpoint, each degree below 45 °C costs 1 kW."""

    def __init__(self, scenario):
        del scenario
        from benchmarks.twin_plant import example_site

        self.site = example_site("demo-pod.yaml")

    def reset(self, start_s):
        """Nothing asked yet."""
        del start_s
        self.asked, self.seconds, self.joules, self.jumps = {}, 0.0, 0.0, []

    def advance(self, setpoints, seconds):
        """At once."""
        supply_c = setpoints.get("cdu-1/supply_temperature_setpoint", 32.0)
        self.jumps.append(abs(supply_c - self.asked.get("cdu-1/supply_temperature_setpoint", 32.0)))
        self.asked = dict(setpoints)
        self.seconds += seconds
        self.joules += 1e3 * (45.0 - supply_c) * seconds
        shown = {"cdu-1/tcs_supply_temperature": supply_c, "cdu-1/room_dew_point": 12.0, "cdu-2/room_dew_point": 12.0}
        defaults = {"cdu-1/supply_temperature_setpoint": 32.0, "cdu-1/differential_pressure_setpoint": 110e3}
        defaults["dry-coolers/leaving_temperature_setpoint"] = 27.0
        for point, value in (defaults | self.asked).items():
            equipment, _, name = point.partition("/")
            shown |= {point: value, f"{equipment}/effective_{name}": value}
        return shown

    def truth(self):
        """Sums."""
        return PlantTruth(energy_j={"fans": self.joules}, it_j=self.seconds, site_j=self.seconds + self.joules)

    def close(self):
        """Nothing to let go."""


def test_a_foreign_plant_is_driven_under_the_guard(scenario):
    """MODULE:FACTORY works, no step is larger than the site file allows, and the walk from design is not counted."""
    tank = Tank(scenario)
    rule = Rule(tank.site, Tuning(kind="static", supply_c=40.0, flow_share=1.0, approach_k=5.0))
    day = drive_day(tank, rule, 0.0, 600.0)
    assert max(tank.jumps) == pytest.approx(1.0)
    assert day.energy_j["fans"] == pytest.approx(5e3 * 86400, rel=0.01)
    assert day.moves == 0
    assert len(day.hourly) == 24


class _Misnamed(Tank):
    """Shows a GPU that the site file numbers otherwise."""

    def advance(self, setpoints, seconds):
        """As the tank, and one more."""
        return super().advance(setpoints, seconds) | {"rack-01/gpu-72/temperature": 50.0}


class _Silent(Tank):
    """Tells nothing of its setpoints."""

    def advance(self, setpoints, seconds):
        """As the tank, less those."""
        return {p: v for p, v in super().advance(setpoints, seconds).items() if not p.endswith("_setpoint")}


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (_Misnamed, r"rack-01/gpu-72/temperature.*perhaps rack-01/gpu-\d\d/temperature"),
        (_Silent, "setpoints in force: cdu-1/effective_supply_temperature_setpoint"),
    ],
)
def test_a_foreign_plant_that_shows_other_points_than_its_site_file_is_told_so(scenario, plant, message):
    """A misspelt point is as good as missing, and would only make the controller less sure."""
    tank = plant(scenario)
    with pytest.raises(ConfigError, match=message):
        drive_day(tank, Ours(tank.site), 0.0, 600.0)


def test_a_setpoint_may_be_told_under_its_own_name(scenario):
    """What a plant says of a command is what is in force, where the site file has a point of its own for that."""
    point, shown = "cdu-1/supply_temperature_setpoint", {"cdu-1/supply_temperature_setpoint": 34.0}
    site = Tank(scenario).site
    assert in_force(site, shown)["cdu-1/effective_supply_temperature_setpoint"] == 34.0
    other = {point: 34.0, "cdu-1/effective_supply_temperature_setpoint": 33.5}
    assert in_force(site, other) == other
    check_names(site, in_force(site, shown))


def test_a_run_without_plans_says_why(scenario):
    """The tank shows neither flow nor heat: nobody can plan, and the row tells what was missing."""
    tank = Tank(scenario)
    day = drive_day(tank, Ours(tank.site), 0.0, 600.0, hours=1)
    assert sum(day.unplanned.values()) == 18
    task = Task(plant="tank", climate="atlanta", controller="ours", day=WeightedDay(0, 1.0), data=None, cycle_s=600.0)
    (row,) = rows_of([(task, day)])
    assert row["cycles_without_plan"] == 18
    assert str(row["why_without_plan"]).startswith("tcs-1: ")


class _Tiring:
    """Asks for warm supply, then for nothing from some cycle on."""

    def __init__(self, cycles):
        self.left = cycles

    def decide(self, snapshot, now_s):
        """One point alone."""
        del snapshot, now_s
        self.left -= 1
        return {"cdu-1/supply_temperature_setpoint": 34.0} if self.left >= 0 else {}


@pytest.mark.parametrize(("cycle_s", "cycles_left"), [(60.0, 3), (600.0, 1)])
def test_devices_go_back_to_design_when_nobody_asks(scenario, cycle_s, cycles_left):
    """A lease lives 180 s: three cycles of a minute, less than one of ten."""
    tank = Tank(scenario)
    asked_for = round(7200.0 / cycle_s)
    drive_day(tank, _Tiring(asked_for), 0.0, cycle_s, hours=2)
    assert tank.asked["cdu-1/supply_temperature_setpoint"] == 32.0
    moved = [i for i, k in enumerate(tank.jumps) if k]
    assert moved[-1] == asked_for + cycles_left
    assert tank.jumps[moved[-1]] == pytest.approx(2.0)


def test_dew_point_binds_the_baselines_too(scenario):
    """A rule that wants cold water on a damp day stays above dew point and margin."""
    tank = Tank(scenario)
    rule = Rule(tank.site, Tuning(kind="static", supply_c=10.0, flow_share=1.0, approach_k=5.0))
    drive_day(tank, rule, 0.0, 600.0)
    assert tank.asked["cdu-1/supply_temperature_setpoint"] >= 22.0


def test_twelve_days_make_a_year(climate):
    """Weights add up to 365, each day lies in its own month, and July has its warmest."""
    days = twelve_days(climate)
    assert sum(d.weight for d in days) == 365
    assert [d.day for d in days] == sorted(d.day for d in days)
    assert 181 <= warmest_day(climate).day <= 211


def test_weather_runs_between_the_hours(climate):
    """Half past is the mean of its hours, in local standard time."""
    noon = climate.start_s(SUMMER) + 12 * 3600.0
    hours = climate.dry_bulb_c[24 * SUMMER + 11 : 24 * SUMMER + 13]
    assert climate.at(noon).dry_bulb_c == pytest.approx(hours[0])
    assert climate.at(noon + 1800.0).dry_bulb_c == pytest.approx(hours.mean())
    assert climate.at(noon).wet_bulb_c < climate.at(noon).dry_bulb_c


class _Stub:
    """As little of a plant as the seam can ask for."""

    def __init__(self, site, **given):
        self.site, self._given = site, given

    def reset(self, start_s):
        """Nothing to begin."""

    def advance(self, setpoints, seconds):
        """What the test wants shown."""
        return self._given.get("shown")

    def truth(self):
        """What the test wants told."""
        return self._given.get("told")

    def close(self):
        """Nothing to let go."""


def test_what_is_no_plant_is_told_in_a_line(scenario):
    """A factory that forgot to return, an `advance` that did, sums that are no numbers: each names what to return."""
    site = load_plant("twin")(scenario).site
    for made in (None, object()):
        with pytest.raises(ConfigError, match=r"'mine:made' made has no site, reset, advance, truth, close"):
            check_plant(made, "mine:made")
    check_plant(_Stub(site), "mine:made")
    with pytest.raises(ConfigError, match="`advance` returned NoneType"):
        drive_day(_Stub(site), Rule(site, Tuning(kind="static")), 0.0, 300.0)
    for told, says in (
        (None, "`truth` returned NoneType"),
        (PlantTruth(energy_j={"chillers": math.nan}), "no number for chillers"),
        (PlantTruth(site_j=math.inf), "no number for site_j"),
    ):
        with pytest.raises(ConfigError, match=says):
            judged(_Stub(site, told=told))


def test_values_that_are_not_in_si_are_warned_of_once(scenario, capsys):
    """Kelvins and litres a minute lead to a run at design without a word else."""
    site = load_plant("twin")(scenario).site
    shown = {"cdu-1/tcs_supply_temperature": 303.15, "cdu-1/tcs_flow": 540.0, "cdu-1/room_dew_point": 11.0}
    for _ in range(2):
        warn_of_units(site, shown)
    said = capsys.readouterr().err
    assert said.count("cdu-1/tcs_supply_temperature = 303.15 °C, cdu-1/tcs_flow = 540 m³/s") == 1
    assert "room_dew_point" not in said

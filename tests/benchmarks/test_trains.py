"""The hall with six trains: its machines meet their design points, and its units can be switched."""

from itertools import pairwise

import pytest

from benchmarks.baselines import Ours
from benchmarks.drive import drive_day
from benchmarks.plants import Scenario
from benchmarks.robust import wrong
from benchmarks.trains_plant import TrainsPlant
from benchmarks.trains_units import GordonNgChiller, PlateExchanger, TowerCell, VariablePump
from benchmarks.trains_variants import COLD_C, HOTTER_K, cold, hot, hotter, tight, told, worn
from benchmarks.twin_plant import example_site

SUMMER, WINTER = 196, 15


@pytest.fixture
def hall(scenario, climate):
    """The hall on a winter's day, every rack at 70 %."""
    made = TrainsPlant(scenario)
    made.reset(climate.start_s(WINTER))
    return made


def design(kind):
    """Design figures of one unit of the hall."""
    return example_site("six-trains.yaml").of_kind(kind)[0].design


def count(shown, kind):
    """How many units say that they run."""
    return sum(value for point, value in shown.items() if point.startswith(kind) and point.endswith("/running"))


def test_a_few_gpus_of_each_rack_show_the_cases_that_are_judged(scenario, climate):
    """Four GPUs of each rack tell; the hottest of them is the case that the limit counts."""
    hall = told(scenario)
    hall.reset(climate.start_s(WINTER))
    shown = hall.advance({}, 600.0)
    cases = {p: c for p, c in shown.items() if p.endswith("/temperature") and "/gpu-" in p}
    assert len(cases) == 4 * 40
    assert max(cases.values()) == pytest.approx(hall.truth().highest_case_c, abs=0.51)
    assert shown["rack-07/liquid_supply_temperature"] == shown["cdu-1/tcs_supply_temperature"]
    flows = sum(flow for point, flow in shown.items() if point.endswith("/liquid_flow"))
    assert flows == pytest.approx(sum(flow for point, flow in shown.items() if point.endswith("/tcs_flow")))
    assert 0.5 * 1350.0 < shown["rack-07/gpu-00/power"] < 1.1 * 1350.0


def test_plates_worse_than_the_site_file_says_are_believed_before_full_load_comes(climate):
    """Design figures 20 % too good: no case goes above its limit when all racks go from half to full load at once."""
    start_s = climate.start_s(SUMMER) + 8 * 3600.0
    work = Scenario(climate=climate, utilisation=lambda _rack, at_s: 0.5 if at_s < start_s + 10_800.0 else 1.0)
    plant = told(work)
    day = drive_day(plant, Ours(wrong(plant.site, 0.8)), start_s, 600.0, hours=3)
    assert day.violation_s == {}
    assert day.highest_case_c > 66.0


class _NobodyDecides:
    """The hall by its own sequence, at design setpoints."""

    def decide(self, _snapshot, _now_s):
        return {}


def test_plates_that_nobody_sees_in_a_hall_with_little_room_cost_no_more_than_its_design(climate):
    """Doubted by a whole fifth there was no plan at all, and all that cools ran: more than the hall takes by itself."""
    start_s = climate.start_s(SUMMER) + 8 * 3600.0
    days = []
    for operator in (Ours, lambda _site: _NobodyDecides()):
        plant = tight(Scenario(climate=climate, utilisation=lambda _rack, _at_s: 0.8))
        days.append(drive_day(plant, operator(plant.site), start_s, 600.0, hours=2))
    ours, own = days
    assert ours.violation_s == {}
    assert ours.cooling_j < 0.95 * own.cooling_j


def test_machines_meet_their_design_points():
    """Tower, plates, chiller and pump do at design what the site file says."""
    figures = design("cooling-tower")
    tower = TowerCell(figures)
    range_k = figures["heat_w"] / (figures["flow_m3_s"] * 4.16e6)
    hot_c = figures["wet_bulb_c"] + figures["approach_k"] + range_k
    leaving_c, fan = tower.cooled(figures["wet_bulb_c"], hot_c, figures["wet_bulb_c"], figures["flow_m3_s"])
    assert fan == 1.0
    assert leaving_c == pytest.approx(figures["wet_bulb_c"] + figures["approach_k"], abs=0.02)
    chiller, rated = GordonNgChiller(design("chiller")), design("chiller")
    power_w = chiller.power_w(rated["heat_w"], rated["rating_leaving_c"], rated["rating_condenser_c"])
    assert rated["heat_w"] / power_w == pytest.approx(rated["cop"], rel=1e-9)
    pump = VariablePump(flow_m3_s=0.03, head_pa=180e3, efficiency=0.72)
    assert pump.power_w(0.03, 180e3) == pytest.approx(0.03 * 180e3 / 0.72)
    plates = PlateExchanger(ua_w_k=500e3, hot_m3_s=0.03, cold_m3_s=0.03)
    ntu = 500e3 / (0.03 * 4.16e6)
    assert plates.per_kelvin(0.03, 0.03) == pytest.approx(0.03 * 4.16e6 * ntu / (1 + ntu))


def test_machines_follow_physics_off_design():
    """Less lift costs less power, part load is best, colder air needs less fan."""
    chiller = GordonNgChiller(design("chiller"))
    powers = [chiller.power_w(600e3, 16.0, condenser_c) for condenser_c in (18.0, 24.0, 30.0)]
    assert powers == sorted(powers)
    assert powers[0] < 0.8 * powers[-1]
    share = {heat_w: chiller.power_w(heat_w, 20.0, 25.0) / heat_w for heat_w in (200e3, 600e3, 800e3)}
    assert share[600e3] < share[800e3] < share[200e3]
    assert chiller.power_w(0.0, 20.0, 25.0) == chiller.power_w(100e3, 20.0, 25.0) > 0
    tower = TowerCell(design("cooling-tower"))
    fans = [tower.cooled(27.0, 32.0, wet_c, 0.055)[1] for wet_c in (5.0, 12.0, 20.0)]
    assert fans == sorted(fans)
    assert fans[0] < 0.5 * fans[-1]


def test_off_units_carry_nothing_and_on_ones_share(hall):
    """Water and power of a stopped tower are 0, and those of the others rise."""
    before = hall.advance({}, 3600.0)
    wanted = {f"tower-{n}/enable_command": float(n <= 2) for n in range(1, 7)}
    after = hall.advance(wanted, 3600.0)
    assert count(after, "tower") == 2
    for tower in ("tower-3", "tower-6"):
        assert after[f"{tower}/flow"] == after[f"{tower}/active_power"] == after[f"{tower}/fan_speed"] == 0.0
        assert after[f"{tower}/effective_enable_command"] == after[f"{tower}/running"] == 0.0
    assert after["tower-1/flow"] == after["tower-2/flow"] > 0.0
    assert count(before, "tower") > 2
    assert count(after, "economiser") == 2, "an economiser without its tower stands"
    assert hall.balance == pytest.approx(1.0, abs=0.01)


def test_minimum_times_outlast_commands(hall, climate):
    """A chiller that was started runs its half hour, and stands its twenty minutes, whatever is commanded."""
    hall.reset(climate.start_s(SUMMER))
    towers = {f"tower-{n}/enable_command": 1.0 for n in range(1, 7)}
    cold = {"economiser-1/leaving_temperature_setpoint": 15.0, "tower-1/leaving_temperature_setpoint": 30.0}
    others = {f"chiller-{n}/enable_command": 0.0 for n in range(2, 7)}
    for _ in range(40):
        if hall.advance(cold | towers | others | {"chiller-1/enable_command": 1.0}, 60.0)["chiller-1/running"]:
            break
    seen = [hall.advance({"chiller-1/enable_command": 0.0}, 60.0)["chiller-1/running"] for _ in range(40)]
    assert 27 <= seen.index(0.0) <= 30
    seen = [hall.advance({"chiller-1/enable_command": 1.0}, 60.0)["chiller-1/running"] for _ in range(40)]
    assert 8 <= seen.index(1.0) <= 20


def test_a_chiller_trips_with_its_tower_and_starts_slowly(hall, climate):
    """Without condenser water a chiller stops at once; one that starts takes minutes to its capacity."""
    hall.reset(climate.start_s(SUMMER))
    cold = {"economiser-1/leaving_temperature_setpoint": 15.0, "tower-1/leaving_temperature_setpoint": 30.0}
    on = {f"tower-{n}/enable_command": 1.0 for n in range(1, 7)}
    chillers = {f"chiller-{n}/enable_command": float(n == 1) for n in range(1, 7)}
    for _ in range(40):
        first = hall.advance(cold | on | chillers, 60.0)["chiller-1/cooling_power"]
        if first > 0.0:
            break
    later = hall.advance({}, 600.0)["chiller-1/cooling_power"]
    assert 0.0 < first < 0.5 * later
    assert hall.advance({"tower-1/enable_command": 0.0}, 60.0)["chiller-1/running"] == 0.0


def test_the_plant_stages_itself_by_load(climate):
    """With nobody commanding, full load runs more towers and pumps than a quarter of it, without much switching."""
    counts = {}
    for load in (0.1, 1.0):
        hall = TrainsPlant(Scenario(climate=climate, utilisation=lambda _rack, _at_s, load=load: load))
        hall.reset(climate.start_s(SUMMER))
        states = [hall.advance({}, 600.0) for _ in range(72)]
        counts[load] = count(states[-1], "tower"), count(states[-1], "fws-pump")
        switched = sum(a["tower-1/running"] != b["tower-1/running"] for a, b in pairwise(states))
        assert switched <= 4
        assert hall.truth().violation_s == {}
    assert counts[0.1][0] < counts[1.0][0]
    assert counts[0.1][1] < counts[1.0][1]


def test_staging_decides_energy(hall, climate):
    """On a cold day three towers cost less to pump through than two or six."""
    spent = {}
    for most in (2, 3, 6):
        hall.reset(climate.start_s(WINTER))
        wanted = {f"tower-{n}/enable_command": float(n <= most) for n in range(1, 7)}
        hall.advance(wanted, 3600.0)
        before = hall.truth().cooling_j
        hall.advance({}, 7200.0)
        spent[most] = hall.truth().cooling_j - before
        assert hall.truth().violation_s == {}
    assert spent[3] < 0.98 * spent[6]
    assert spent[3] < 0.98 * spent[2]


def test_a_worn_hall_needs_more(hall, scenario, climate):
    """Under the same work and setpoints every kind of machine that wears draws more, and no limit breaks."""
    old = worn(scenario)
    old.reset(climate.start_s(WINTER))
    for plant in (hall, old):
        plant.advance({}, 6 * 3600.0)
    new, spent = hall.truth().energy_j, old.truth().energy_j
    assert all(spent[name] > 1.05 * new[name] for name in ("tcs_pumps", "facility_pumps", "fans"))
    assert old.truth().violation_s == {}


def test_the_hot_hall_is_as_hot_as_it_says(scenario, climate):
    """Warmer at the same relative humidity."""
    at_s = climate.start_s(SUMMER) + 15 * 3600.0
    shown = hot(scenario).advance({}, 60.0)
    assert shown["tower-1/outdoor_dry_bulb"] > -5.0 + HOTTER_K - 1.0
    mild, warm = climate.at(at_s), hotter(climate, HOTTER_K).at(at_s)
    assert warm.dry_bulb_c == pytest.approx(mild.dry_bulb_c + HOTTER_K)
    assert warm.relative_humidity == mild.relative_humidity
    assert warm.wet_bulb_c > mild.wet_bulb_c + 0.5 * HOTTER_K


def test_chillers_run_where_towers_do_not_reach(climate):
    """On a damp hot afternoon racks that take no warm supply get chilled water, and every limit is held."""
    work = Scenario(climate=hotter(climate, 4.0), utilisation=lambda _rack, _at_s: 0.9)
    plant = cold(work)
    day = drive_day(plant, Ours(plant.site), climate.start_s(SUMMER) + 11 * 3600.0, 1200.0, hours=3)
    assert day.violation_s == {}
    assert day.energy_j["chillers"] > 0.0
    assert plant.site.envelopes["cdu-1/supply_temperature_setpoint"].maximum == COLD_C


@pytest.mark.parametrize("kind", ["cooling-tower", "pump"])
def test_a_unit_lost_at_full_load_breaks_no_limit(climate, kind):
    """Dynamic N+1: until what stands runs in its place the rest holds every limit, decided every ten minutes."""
    plant = TrainsPlant(Scenario(climate=climate, utilisation=lambda _rack, _at_s: 1.0))
    ours, start_s, counted = Ours(plant.site), climate.start_s(SUMMER) + 11 * 3600.0, []

    class Failing:
        def decide(self, snapshot, now_s):
            units = [plant.water.switches[unit.id] for unit in plant.site.of_kind(kind)]
            counted.append(sum(unit.running for unit in units))
            if now_s == start_s + 9000.0:
                next(unit for unit in units if unit.running).permitted = False
            return ours.decide(snapshot, now_s)

    day = drive_day(plant, Failing(), start_s, 600.0, hours=1)
    assert day.violation_s == {}
    assert counted[15] < counted[14]
    assert counted[16] >= counted[15]

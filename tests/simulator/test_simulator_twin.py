"""The twin against reference trajectories, and its parts one by one: pumps, towers, chillers, coils, instruments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.twin import compared
from plant.errors import ConfigError
from plant.topology import Equipment, Site, Workload
from simulator.chillers import Chiller, ChillerPlant, part_load_power
from simulator.exchange import exchanger_ua_w_k
from simulator.faults import Faults
from simulator.fluids import fluid
from simulator.plant import SimulatedPlant
from simulator.plates import GLYCOL
from simulator.pumps import DESIGN_SPEED, PumpCurve
from simulator.racks import THROTTLE_FROM_C
from simulator.reference import read_result, reference, simulated
from simulator.rejection import CoolingTower
from simulator.sensors import Sensor, Sensors, typical_sensors
from sites import load_site

SUMMER_S = 1_783_900_800.0
WINTER_S = 1_768_000_000.0
TOWER = {"heat_w": 1.3e6, "flow_m3_s": 0.055, "approach_k": 4.0, "fan_power_w": 22e3, "head_pa": 150e3}
CHILLER = {"heat_w": 450e3, "cop": 6.0, "min_on_s": 600.0, "min_off_s": 600.0}


@pytest.fixture(scope="module")
def demo() -> Site:
    """The demo pod."""
    return load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")


@pytest.fixture(scope="module")
def hall(demo) -> Site:
    """The demo pod on a cooling tower with an economiser, two water-cooled chillers and a CRAH on facility water."""
    changed = dict(demo.equipment)
    changed["dry-coolers"] = replace(changed["dry-coolers"], kind="cooling-tower", design=TOWER)
    economiser = {"heat_w": 1.2e6, "flow_m3_s": 0.030, "approach_k": 2.0}
    changed["economiser"] = Equipment(id="economiser", kind="economiser", design=economiser)
    changed["chiller"] = replace(changed["chiller"], design=CHILLER)
    changed["chiller-2"] = Equipment(id="chiller-2", kind="chiller", design=CHILLER)
    air = {"heat_w": 140e3, "fan_power_w": 9e3, "water_flow_m3_s": 0.004}
    changed["air-unit"] = replace(changed["air-unit"], design=air)
    busy = Workload(seed=1, racks=dict.fromkeys(demo.workload.racks, "inference"))
    return replace(demo, equipment=changed, workload=busy)


def test_the_reference_trajectories_are_met(public_data):
    """A CDU of the example's nominal data follows its steady states, transients, peaks and case temperature."""
    found = compared(reference(public_data), simulated())
    assert found["steady_error_k"] < 0.3
    assert found["transient_rms_k"] < 0.3
    assert found["peak_error_share"] < 0.2
    assert found["peak_time_error_s"] <= 72.0
    assert found["case_error_k"] < 0.5
    assert found["pump_power_error_pct"] < 2.0


def test_a_constant_would_not_pass(public_data):
    """The comparison is sharp: the same trajectory without its answer to the load fails it."""
    expected, found = reference(public_data), simulated()
    flat = replace(found, supply_c=np.full_like(found.supply_c, 42.0))
    assert compared(expected, flat)["peak_error_share"] > 0.2
    assert compared(expected, found)["peak_error_share"] < 0.2


def test_a_missing_or_empty_reference_is_said_so(tmp_path):
    """Without the file, or with a file of something else, the error names it and the remedy."""
    with pytest.raises(ConfigError, match="no such reference file"):
        reference(tmp_path)
    (tmp_path / "other.txt").write_text("hello\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no trajectories"):
        read_result(tmp_path / "other.txt")


def test_plates_follow_the_table_and_go_on_beyond_it():
    """Resistance is the table's at its values, and falls with flow everywhere without a jump."""
    assert GLYCOL.k_w(np.array([0.4, 1.0, 2.4])) == pytest.approx([0.0389, 0.0245, 0.0197])
    curve = GLYCOL.k_w(np.geomspace(0.03, 15.0, 400))
    assert np.all(np.diff(curve) <= 0.0)
    assert np.max(-np.diff(curve) / curve[:-1]) < 0.06


def test_fouling_and_unequal_films_cost_conductance():
    """A deposit's resistance adds to the films'; starving the weaker side costs more than starving the other."""
    clean = exchanger_ua_w_k(1e5, 1.0, 1.0, 2.0)
    assert clean == pytest.approx(1e5)
    assert 1.0 / exchanger_ua_w_k(1e5, 1.0, 1.0, 2.0, 1e-6) == pytest.approx(1e-5 + 1e-6)
    assert exchanger_ua_w_k(1e5, 0.5, 1.0, 2.0) < exchanger_ua_w_k(1e5, 1.0, 0.5, 2.0)


def test_pumps_obey_the_affinity_laws():
    """At speed n the flow goes with n, the head with n^2 and the power with n^3."""
    pump = PumpCurve.through(0.02, 2e5, 0.65)
    assert pump.head_pa(DESIGN_SPEED, 0.02) == pytest.approx(2e5)
    half = DESIGN_SPEED / 2
    assert pump.head_pa(half, 0.01) == pytest.approx(5e4)
    assert pump.power_w(half, 0.01, 5e4) == pytest.approx(pump.power_w(DESIGN_SPEED, 0.02, 2e5) / 8)
    assert pump.speed_for(2e5, 0.02) == pytest.approx(DESIGN_SPEED)


def test_a_tower_meets_its_design_and_uses_water():
    """Design heat at design wet bulb; more in drier air; evaporation is about the heat over 2.45 MJ/kg."""
    water = fluid("water")
    tower = CoolingTower(Equipment(id="t", kind="cooling-tower", design=TOWER), water.rho_cp, water.density)
    entering_c = 24.0 + 4.0 + 1.3e6 / (water.rho_cp * 0.055)
    assert tower.heat_at(1.0, entering_c, 0.055, 24.0) == pytest.approx(1.3e6, rel=1e-3)
    assert tower.heat_at(1.0, entering_c, 0.055, 15.0) > 1.5e6
    for _ in range(600):
        tower.step(10.0, 20.0, 1.3e6, 0.055, 24.0)
    assert tower.leaving_c == pytest.approx(28.0, abs=0.1)
    assert 0.75 * 1.3e6 / 2.45e6 < tower.water_kg_s < 1.5 * 1.3e6 / 2.45e6
    with pytest.raises(ConfigError, match="no tower cools"):
        CoolingTower(Equipment(id="t", kind="cooling-tower", design=TOWER | {"approach_k": 0.05}), water.rho_cp, 996.0)


def test_chillers_stage_and_respect_their_shortest_times():
    """Full load brings the second one on, little load sends one off, no sooner than its time on; a cap holds."""
    plant = ChillerPlant([Chiller(Equipment(id=n, kind="chiller", design=CHILLER)) for n in ("a", "b")])
    switches: list[tuple[float, int]] = []
    for second in range(0, 7200, 5):
        before, entering_c = plant.running, 34.0 if second < 3600 else 29.0
        plant.step(5.0, 27.0, entering_c, 1e5, 30.0)
        if plant.running != before:
            switches.append((second, plant.running))
    assert [count for _, count in switches[:3]] == [1, 2, 1]
    assert switches[1][0] - switches[0][0] >= 300
    assert switches[2][0] >= 3600
    assert plant.heat_w == pytest.approx(1e5 * (29.0 - 27.3), rel=0.01)
    plant.most = 0
    for _ in range(400):
        plant.step(5.0, 27.0, 34.0, 1e5, 30.0)
    assert plant.running == 0
    assert plant.power_w == 0.0


def test_part_load_is_best_in_the_middle():
    """Power per load is least between a quarter and three quarters, and full at full load."""
    loads = np.linspace(0.1, 1.0, 19)
    best = loads[np.argmin(part_load_power(loads) / loads)]
    assert 0.25 < best < 0.75
    assert part_load_power(1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("start_s", [SUMMER_S, WINTER_S])
def test_a_hall_with_tower_economiser_and_chillers_closes_its_balance(hall, start_s):
    """Energy closes there too; in winter the economiser does it alone, and the tower always drinks."""
    plant = SimulatedPlant(hall, start_s)
    before_j = plant.stored_j
    plant.step(6 * 3600.0)
    ledger = plant.ledger
    missing_j = ledger.electric_j - ledger.rejected_j - (plant.stored_j - before_j)
    assert abs(missing_j) < 1e-3 * ledger.electric_j
    assert plant.facility.supply_c == pytest.approx(27.0, abs=1.5)
    assert plant.facility.water_kg_s > 0.05
    assert plant.room.air_c == pytest.approx(25.0, abs=2.0)
    assert plant.facility.wet.economisers[0].heat_w > 0.0
    if start_s == WINTER_S:
        assert ledger.energy_j["chiller"] == ledger.energy_j["chiller-2"] == 0.0
    assert plant.measured(["dry-coolers"])["dry-coolers/leaving_temperature"] == pytest.approx(
        plant.facility.wet.supply_c, abs=0.1
    )


def test_the_air_unit_follows_its_setpoint(demo):
    """Two kelvin more are held and shown within an hour, for less energy; silence brings design back."""
    plant, alone = SimulatedPlant(demo, SUMMER_S), SimulatedPlant(demo, SUMMER_S)
    alone.step(3600.0)
    point = "air-unit/air_temperature_setpoint"
    plant.command("air-unit/remote_enable", 1.0)
    plant.command(point, 27.0)
    for beat in range(1, 121):
        plant.command("air-unit/heartbeat", float(beat))
        plant.step(30.0)
    shown = plant.measured(["air-unit"])
    assert shown["air-unit/effective_air_temperature_setpoint"] == 27.0
    assert shown["air-unit/air_inlet_temperature"] == pytest.approx(27.0, abs=1.0)
    assert shown["air-unit/active_power"] == pytest.approx(plant.power_w["air-unit"], rel=0.05)
    assert plant.ledger.energy_j["air-unit"] < 0.95 * alone.ledger.energy_j["air-unit"]
    plant.step(600.0)
    assert plant.measured(["air-unit"])["air-unit/effective_air_temperature_setpoint"] == 25.0


def test_a_small_volume_shortens_the_inner_step(demo):
    """A manifold of a few litres neither rings nor loses energy, whatever the outer step."""
    changed = dict(demo.equipment)
    changed["manifold"] = replace(changed["manifold"], design={"volume_m3": 0.05})
    plant = SimulatedPlant(replace(demo, equipment=changed), WINTER_S, warm_up_s=600.0)
    before_j = plant.stored_j
    plant.step(600.0)
    ledger = plant.ledger
    assert 25.0 < plant.groups[0].loop.supply_c < 40.0
    missing_j = ledger.electric_j - ledger.rejected_j - (plant.stored_j - before_j)
    assert abs(missing_j) < 1e-3 * ledger.electric_j


def test_losses_of_equipment_show(demo):
    """A stopped facility pump takes the flow away and the case temperatures up; a jammed valve stands."""
    faults = Faults()
    plant = SimulatedPlant(demo, SUMMER_S, faults=faults)
    before_c, valve = plant.groups[0].loop.bank.hottest_case_c, plant.cdus[0].valve
    faults.command("jam cdu-1", {})
    faults.command("stop fws-pumps", {})
    plant.step(300.0)
    assert plant.cdus[0].facility_flow_m3_s == 0.0
    assert plant.cdus[0].valve == valve != plant.cdus[1].valve
    assert plant.groups[0].loop.bank.hottest_case_c > before_c + 5.0
    faults.heal()
    plant.step(1800.0)
    assert plant.groups[0].loop.bank.hottest_case_c < before_c + 3.0


def test_gpus_throttle_and_switch_off_before_they_burn(demo):
    """Without any coolant pump power falls, nodes switch off above the throttling span, and come back with the pumps."""
    faults = Faults()
    plant = SimulatedPlant(demo, SUMMER_S, faults=faults)
    before_w = plant.power_w["it"]
    faults.stopped |= {"cdu-1", "cdu-2"}
    plant.step(1800.0)
    assert plant.groups[0].loop.flow_m3_s == 0.0
    assert plant.power_w["it"] < 0.05 * before_w
    assert THROTTLE_FROM_C < plant.groups[0].loop.bank.hottest_case_c < THROTTLE_FROM_C + 25.0
    faults.heal()
    plant.step(1800.0)
    assert plant.power_w["it"] > 0.9 * before_w


def test_sensors_err_as_told_and_repeat(demo):
    """Bias, gain, drift, quantum and stuck values are what they say, seeded; without them nothing changes."""
    point, other = "cdu-1/tcs_supply_temperature", "cdu-1/tcs_flow"
    sensors = Sensors({point: Sensor(bias=0.5, gain=0.01, drift_per_day=0.1, quantum=0.25)}, 0.0)
    values = {point: 30.0, other: 0.01}
    sensors.apply(values, 86400.0)
    assert values == {point: pytest.approx(31.0), other: 0.01}
    stuck = Sensors({point: Sensor(stuck_from_s=100.0)}, 0.0)
    shown = []
    for at_s, true in ((50.0, 30.0), (150.0, 31.0), (250.0, 35.0)):
        values = {point: true}
        stuck.apply(values, at_s)
        shown.append(values[point])
    assert shown == [30.0, 30.0, 30.0]
    noisy = Sensors({point: Sensor(noise=0.1)}, 0.0, seed=3)
    errors = []
    for at_s in range(2000):
        values = {point: 30.0}
        noisy.apply(values, float(at_s))
        errors.append(values[point] - 30.0)
    assert np.std(errors) == pytest.approx(0.1, rel=0.1)
    assert abs(np.mean(errors)) < 0.01
    points = demo.points.values()
    assert typical_sensors(points, 0.0, 5).by_point == typical_sensors(points, 0.0, 5).by_point
    plant = SimulatedPlant(demo, SUMMER_S, sensors=Sensors({point: Sensor(bias=5.0)}, SUMMER_S), warm_up_s=60.0)
    assert plant.measured()[point] == pytest.approx(plant.cdus[0].supply_c + 5.0, abs=0.2)


def test_fast_swings_are_resolved(demo):
    """In steps of 1 s the cases follow a 10 s square wave of the whole pod, and 2 s waves less."""
    ranges = {}
    for period_s in (2.0, 10.0):

        def work(rack: str, time_s: float, period_s: float = period_s) -> float:
            return 1.0 if time_s % period_s < period_s / 2 else 0.1

        plant, seen = SimulatedPlant(demo, SUMMER_S, work=work, warm_up_s=600.0), []
        for _ in range(120):
            plant.step(1.0)
            seen.append(plant.groups[0].loop.bank.hottest_case_c)
        ranges[period_s] = max(seen) - min(seen)
    assert ranges[10.0] > 3.0
    assert ranges[2.0] < ranges[10.0]


def test_a_tower_blows_down_by_the_cycles_that_the_site_file_tells():
    """Water of twice the salt is thrown away as fast as it evaporates, of five times as much a quarter as fast."""
    design = {"heat_w": 1.3e6, "flow_m3_s": 0.05, "approach_k": 4.0, "fan_power_w": 20e3}
    used = {}
    for cycles in (2.0, 5.0):
        equipment = Equipment(id="t", kind="cooling-tower", design={**design, "cycles_of_concentration": cycles})
        tower = CoolingTower(equipment, 4.17e6, 997.0)
        for _ in range(600):
            tower.step(5.0, 24.0, 1.0e6, 0.05, 20.0)
        used[cycles] = tower.water_kg_s
    assert used[2.0] / used[5.0] == pytest.approx(2.0 / 1.25, rel=0.02)

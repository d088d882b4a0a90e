"""The simulated plant's physics: energy closes, loops hold, and everything moves the way it should."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from plant.topology import Site, Workload
from simulator.exchange import design_ua_w_k, exchanged_w, exchanger_ua_w_k, valve_flow_share
from simulator.faults import Faults
from simulator.fluids import fluid
from simulator.plant import SimulatedPlant
from simulator.weather import Weather
from sites import load_site

CONFIGS = Path(__file__).parents[2] / "site-configs"
SUMMER_S = 1_783_900_800.0  # 13 July 2026
WINTER_S = 1_768_000_000.0


@pytest.fixture(scope="module")
def demo() -> Site:
    """The demo pod."""
    return load_site(CONFIGS / "demo-pod.yaml")


@pytest.fixture(scope="module")
def lab() -> Site:
    """The small lab."""
    return load_site(CONFIGS / "small-lab.yaml")


def steady(site: Site, kind: str = "idle") -> Site:
    """The same site with one kind of load everywhere."""
    return replace(site, workload=Workload(seed=1, racks=dict.fromkeys(site.workload.racks, kind)))


@pytest.fixture(scope="module")
def summer_day(demo) -> tuple[SimulatedPlant, float]:
    """The demo pod after a summer day, and what it held before."""
    plant = SimulatedPlant(demo, SUMMER_S)
    before_j = plant.stored_j
    plant.step(86400.0)
    return plant, before_j


def assert_closed(plant: SimulatedPlant, before_j: float) -> None:
    """In minus out is what the plant holds more."""
    ledger = plant.ledger
    missing_j = ledger.electric_j - ledger.rejected_j - (plant.stored_j - before_j)
    assert ledger.electric_j > 1e9
    assert abs(missing_j) < 1e-3 * ledger.electric_j
    assert ledger.electric_j == pytest.approx(ledger.it_j + ledger.cooling_j + ledger.energy_j["ups-losses"])


def test_energy_balance_closes_over_a_day(summer_day):
    """What comes in at the utility feed either leaves to the outdoors or warms the plant, within 0.1 % over a day."""
    assert_closed(*summer_day)


def test_energy_balance_closes_with_a_sidecar(lab):
    """The same holds where a rack's heat goes through a liquid-to-air sidecar and the room."""
    plant = SimulatedPlant(lab, WINTER_S)
    before_j = plant.stored_j
    plant.step(4 * 3600.0)
    assert plant.ledger.energy_j["sidecar"] > 0.0
    assert_closed(plant, before_j)


def test_a_day_at_design_setpoints_is_plausible(summer_day):
    """At the designer's setpoints no limit is violated and the cooling costs 3 to 12 % of the IT energy."""
    ledger = summer_day[0].ledger
    assert ledger.violation_s == {}
    assert 55.0 < ledger.highest_case_c < 70.0
    assert 0.03 < ledger.cooling_j / ledger.it_j < 0.12
    assert ledger.energy_j["chiller"] > 0.0


def test_power_goes_through_pdus_and_feeds_of_any_name(demo):
    """A UPS above PDUs, and utility feeds that are called otherwise: their meters show what is drawn below."""
    ups, feed, pdu = demo.equipment["ups"], demo.equipment["utility"], replace(demo.equipment["ups"], kind="pdu")
    halves = {
        "pdu-a": replace(pdu, id="pdu-a", feeds=ups.feeds[:4]),
        "pdu-b": replace(pdu, id="pdu-b", feeds=ups.feeds[4:]),
    }
    grids = {name: replace(feed, id=name) for name in ("grid-a", "grid-b")}
    rest = {name: e for name, e in demo.equipment.items() if name != "utility"}
    built = replace(demo, equipment=rest | halves | grids | {"ups": replace(ups, feeds=("pdu-a", "pdu-b"))})
    plants = SimulatedPlant(built, SUMMER_S), SimulatedPlant(demo, SUMMER_S)
    new, old = (plant.power_w for plant in plants)
    assert new["pdu-a"] + new["pdu-b"] == pytest.approx(new["ups"])
    assert new["ups"] == pytest.approx(old["ups"])
    assert new["grid-a"] + new["grid-b"] == pytest.approx(old["utility"])


def test_the_meters_alone_show_the_balance(demo):
    """The sub-meters' registers and the UPS losses add up to the utility meter's, so a report can rest on them."""
    plant = SimulatedPlant(demo, SUMMER_S)
    plant.step(3600.0)
    values = plant.measured()
    names = ("ups", "cdu-1", "cdu-2", "fws-pumps", "dry-coolers", "chiller", "air-unit")
    parts_j = sum(values[f"meter-{name}/energy_import"] for name in names)
    assert parts_j + plant.ledger.energy_j["ups-losses"] == pytest.approx(values["meter-utility/energy_import"])


def test_liquid_heat_agrees_with_the_flow_and_temperatures_shown(demo):
    """In a steady state the heat that a CDU's coolant carries is the racks' liquid heat, within the meters' noise."""
    plant = SimulatedPlant(steady(demo), SUMMER_S)
    values = plant.measured()
    rho_cp = fluid(demo.coolant, demo.glycol_percent).rho_cp
    carried_w = sum(
        rho_cp
        * values[f"{c}/tcs_flow"]
        * (values[f"{c}/tcs_return_temperature"] - values[f"{c}/tcs_supply_temperature"])
        for c in ("cdu-1", "cdu-2")
    )
    liquid_w = sum(0.87 * values[f"{rack}/power"] for rack in plant.racks)
    assert carried_w == pytest.approx(liquid_w, rel=0.04)


@pytest.mark.parametrize("dt_s", [1.0, 5.0, 10.0])
def test_every_local_loop_settles(demo, lab, dt_s):
    """With a steady load the PI loops hold their setpoints without hunting, at any outer step."""
    for site, supply_c in ((demo, 32.0), (lab, 34.0)):
        plant, seen = SimulatedPlant(steady(site), WINTER_S), []
        for _ in range(int(1800 / dt_s)):
            plant.step(dt_s)
            seen.append((plant.groups[0].loop.units[0].supply_c, plant.cdus[0].valve))
        temperatures, valves = zip(*seen, strict=True)
        assert max(temperatures) - min(temperatures) < 0.1
        assert abs(temperatures[-1] - supply_c) < 0.1
        assert max(valves) - min(valves) < 0.02
        assert 0.05 < valves[-1] < 0.95


def test_same_seed_same_day(demo):
    """Two plants of one site at one time are the same plant, to the last bit."""
    first, second = SimulatedPlant(demo, SUMMER_S), SimulatedPlant(demo, SUMMER_S)
    first.step(600.0)
    second.step(600.0)
    assert first.measured() == second.measured()


def test_less_pressure_less_flow_hotter_cases(demo):
    """A lower differential pressure saves pump power and costs case temperature."""
    plant = SimulatedPlant(steady(demo, "inference"), SUMMER_S)
    before = (plant.power_w["cdu-1"], plant.racks["rack-01"].hottest_case_c)
    drive(plant, "cdu-1", differential_pressure_setpoint=50_000.0)
    for _ in range(120):
        plant.command("cdu-1/heartbeat", float(plant.time_s % 1000))
        plant.step(5.0)
    assert plant.groups[0].loop.dp_pa == pytest.approx(50_000.0, rel=0.01)
    assert plant.power_w["cdu-1"] < 0.6 * before[0]
    assert plant.racks["rack-01"].hottest_case_c > before[1] + 1.0


def test_warmer_coolant_costs_leakage(demo):
    """GPU power rises by about 0.1 % for each kelvin of case temperature."""
    plant = SimulatedPlant(steady(demo), SUMMER_S)
    rack = plant.racks["rack-01"]
    cold_w = rack.gpu_mean_w
    rack.case_c += 10.0
    bank = plant.groups[0].loop.bank
    bank.draw(bank.utilisation)
    assert rack.gpu_mean_w / cold_w == pytest.approx(1.01, abs=0.001)


def test_a_stopped_master_leaves_the_follower_in_charge(demo):
    """When the group's master stands still the follower carries the flow at the designer's setpoints."""
    faults = Faults()
    plant = SimulatedPlant(demo, SUMMER_S, faults=faults)
    drive(plant, "cdu-1", supply_temperature_setpoint=36.0)
    faults.stopped.add("cdu-1")
    plant.step(1200.0)
    values = plant.measured()
    assert values["cdu-1/tcs_flow"] == 0.0
    assert values["cdu-2/group_master"] == 1.0
    assert values["cdu-2/tcs_supply_temperature"] == pytest.approx(32.0, abs=1.0)
    assert plant.ledger.case_violation_s == 0.0


def test_limits_are_counted_as_the_plant_sees_them(demo):
    """Seconds outside a limit are counted, whatever the instruments say."""
    tight = replace(demo.limits["case"], maximum=40.0)
    plant = SimulatedPlant(replace(demo, limits=dict(demo.limits) | {"case": tight}), SUMMER_S)
    plant.step(100.0)
    assert plant.ledger.case_violation_s == pytest.approx(100.0)
    assert set(plant.ledger.violation_s) == {"case"}


def test_a_day_takes_seconds(demo):
    """The demo pod runs far faster than real time in steps of 5 s (a loaded machine included)."""
    plant = SimulatedPlant(demo, SUMMER_S)
    began = time.process_time()
    for _ in range(720):
        plant.step(5.0)
    assert 3600.0 / (time.process_time() - began) > 2500.0


def test_exchanger_meets_its_design_point():
    """The UA found for a design point moves the design heat there, and less at half the flow."""
    ua_w_k = design_ua_w_k(1.2e6, 125e3, 100e3, 16.6)
    assert exchanged_w(ua_w_k, 125e3, 100e3, 16.6) == pytest.approx(1.2e6)
    assert exchanger_ua_w_k(ua_w_k, 1.0, 1.0) == pytest.approx(ua_w_k)
    assert exchanged_w(exchanger_ua_w_k(ua_w_k, 0.5, 0.5), 62.5e3, 50e3, 16.6) < 1.2e6
    assert exchanged_w(ua_w_k, 0.0, 100e3, 16.6) == 0.0


def test_valve_is_monotone_and_full_when_open():
    """The equal-percentage valve gives full flow when open, little when shut, and never less for more stem."""
    shares = [valve_flow_share(i / 20) for i in range(21)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert shares[0] < 0.05


def drive(plant: SimulatedPlant, device: str, **setpoints: float) -> None:
    """Become the remote owner of a device."""
    plant.command(f"{device}/remote_enable", 1.0)
    plant.command(f"{device}/heartbeat", 1.0)
    for name, value in setpoints.items():
        plant.command(f"{device}/{name}", value)


@pytest.mark.parametrize("led_past", [False, True])
def test_warm_air_warms_the_water_unless_it_is_led_past(demo, led_past):
    """Chillers carry that, too; then nothing that comes out of the coils is warmer than what went in."""
    coolers = demo.equipment["dry-coolers"]
    design = {**coolers.design, "warm_air_bypass": float(led_past)}
    site = replace(steady(demo), equipment={**demo.equipment, "dry-coolers": replace(coolers, design=design)})
    sky = Weather(dry_bulb_c=44.0, dew_point_c=8.0, wet_bulb_c=20.0, relative_humidity=0.12)
    plant = SimulatedPlant(site, SUMMER_S, sky=lambda _: sky)
    plant.step(3600.0)
    cooler = plant.facility.cooler
    assert cooler.entering_c < 44.0
    assert (cooler.leaving_c > cooler.entering_c + 1.0) != led_past
    assert cooler.leaving_c == pytest.approx(cooler.entering_c, abs=0.05) or not led_past

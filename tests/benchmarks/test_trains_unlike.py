"""Halls with trains that are not alike: every unit carries its own share, and energies add up."""

import numpy as np
import pytest

from benchmarks import trains_sites
from benchmarks.baselines import Ours
from benchmarks.drive import drive_day
from benchmarks.plants import Scenario
from benchmarks.trains_plant import TrainsPlant
from benchmarks.trains_units import GordonNgChiller, TowerCell, VariablePump
from benchmarks.trains_variants import partload, unequal
from benchmarks.twin_plant import example_site
from controller.design import loop_design
from controller.unit_merit import AS_GOOD, worse
from plant.topology import Equipment

SUMMER = 196


def design(kind):
    """Design figures of one unit of the equal hall."""
    return example_site("six-trains.yaml").of_kind(kind)[0].design


def test_units_share_in_proportion_to_their_size(scenario, climate):
    """With everything on: flows as design flows, powers as meters sum up to, heat in and out balanced."""
    hall = unequal(scenario)
    hall.reset(climate.start_s(SUMMER))
    on = {f"{unit}/enable_command": 1.0 for unit in hall.water.switches}
    hall.advance(on, 3600.0)
    before = hall.truth().energy_j
    shown = hall.advance({}, 600.0)
    flows = [shown[f"tower-{n}/flow"] / hall.site.equipment[f"tower-{n}"].design["flow_m3_s"] for n in range(1, 7)]
    assert flows == pytest.approx([flows[0]] * 6)
    assert shown["tower-1/flow"] > 1.2 * shown["tower-3/flow"] > 1.2 * shown["tower-5/flow"]
    spent_j = {name: joules - before[name] for name, joules in hall.truth().energy_j.items()}
    drawn_w = sum(shown[f"fws-pump-{n}/active_power"] for n in range(1, 7))
    assert drawn_w * 600.0 == pytest.approx(spent_j["facility_pumps"], rel=0.01)
    drawn_w = sum(shown[f"tower-{n}/active_power"] for n in range(1, 7))
    assert drawn_w * 600.0 == pytest.approx(spent_j["fans"] + spent_j["tower_pumps"], rel=0.02)
    assert hall.balance == pytest.approx(1.0, abs=0.01)
    assert "economiser-6/running" not in shown


def test_part_load_curves_are_as_told():
    """COP at rating temperatures meets every point that the site file tells; the two kinds are best elsewhere."""
    best = {}
    for name, figures in {"driven": trains_sites.DRIVEN, "constant": trains_sites.CONSTANT}.items():
        chiller = GordonNgChiller({**design("chiller"), **figures})
        cops = {load: load * 8e5 / chiller.power_w(load * 8e5, 16.0, 29.4) for load in (0.25, 0.5, 0.75, 1.0)}
        assert cops == pytest.approx(
            {load: figures[f"cop_{load * 100:.0f}"] for load in (0.25, 0.5, 0.75)} | {1.0: figures["cop"]}
        )
        best[name] = max(cops, key=cops.__getitem__)
    assert best["driven"] < best["constant"] == 1.0


def test_machines_of_one_speed():
    """A fan that starts and stops draws by time, a pump without a drive by its own curve."""
    driven, cycled = (TowerCell({**design("cooling-tower"), **some}) for some in ({}, {"fan_speeds": 1}))
    (cold_c, speed), (same_c, time) = (cell.cooled(27.0, 31.0, 20.0, 0.055) for cell in (driven, cycled))
    assert cold_c == same_c == 27.0
    assert 0.0 < speed < 1.0
    assert 0.0 < time < 1.0
    assert cycled.fans_w(time) > 1.5 * driven.fans_w(speed)
    fixed, speeds = (VariablePump(flow_m3_s=0.03, head_pa=18e4, efficiency=0.7, fixed=f) for f in (True, False))
    assert fixed.power_w(0.03, 18e4) == pytest.approx(speeds.power_w(0.03, 18e4))
    assert fixed.power_w(0.01, 1e5) > 1.5 * speeds.power_w(0.01, 1e5)


def test_cold_racks_judge_their_supply(scenario, climate):
    """Where chillers are kept from the hall that needs them, its supply breaks the limit."""
    hall = partload(scenario)
    hall.reset(climate.start_s(SUMMER) + 10 * 3600.0)
    hall.advance({f"chiller-{n}/enable_command": 0.0 for n in range(1, 7)}, 4 * 3600.0)
    assert hall.site.limits["tcs-supply"].maximum == trains_sites.COLDEST_C + trains_sites.ALARM_K
    assert hall.truth().violation_s["tcs-supply"] > 0.0


def test_a_site_file_that_tells_little_is_driven(climate):
    """Towers of heat and flow alone, chillers of heat, plates and pumps of flow: staged, and every limit held."""
    plant = TrainsPlant(Scenario(climate=climate, utilisation=lambda _rack, _at_s: 0.9))
    poor = trains_sites.poor()
    assert "fan_power_w" not in trains_sites.TOLD["cooling-tower"]
    day = drive_day(plant, Ours(poor), climate.start_s(SUMMER) + 10 * 3600.0, 1200.0, hours=3)
    assert day.violation_s == {}
    assert day.moves > 0


def test_a_pump_without_a_drive_is_taken_after_a_poorer_one_with_one():
    """At three quarters of its flow the plant's own one draws half more: so the controller ranks it."""
    flow, head, drawn_w = 0.75, 0.5 + 0.5 * 0.75**2, {}
    figures = {"flow_m3_s": 0.03, "head_pa": 180e3, "efficiency": 0.7}
    for name, fixed in (("drive", False), ("none", True)):
        drawn_w[name] = VariablePump(**figures, fixed=fixed).power_w(flow * 0.03, head * 180e3)
    kinds = {"drive": {}, "none": {"variable_speed": 0.0}, "poor": {"efficiency": 0.6}}
    pumps = {name: Equipment(id=name, kind="pump", design={**figures, **more}) for name, more in kinds.items()}
    found = worse(pumps, {})
    assert found["none"] == pytest.approx(drawn_w["none"] / drawn_w["drive"] - 1, abs=AS_GOOD)
    assert found["drive"] < found["poor"] < found["none"]


@pytest.mark.parametrize("chillers", [0, 1, 2, 5])
def test_the_controller_knows_what_facility_pumps_have_to_lift(scenario, chillers):
    """Few evaporators ask for more, none for nothing: within 2 % of what the plant's own pumps draw."""
    hall, flow_m3_s = partload(scenario), 0.09
    kinds = {"tower": 4, "economiser": 4, "chiller": chillers, "fws-pump": 4}
    on = {f"{kind}-{n}" for kind, count in kinds.items() for n in range(1, count + 1)}
    for unit, switch in hall.water.switches.items():
        switch.running = unit in on
    drawn_w = sum(hall.water.pumping_w(flow_m3_s).values())
    pumps = loop_design(hall.site, hall.site.groups["tcs-1"], hall.water.switches.keys() - on).pumps
    assert float(pumps.power_w(np.array([flow_m3_s]))[0]) == pytest.approx(drawn_w, rel=0.02)

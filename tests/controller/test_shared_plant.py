"""Two loops on one facility plant: one sets the water for both, and knows what the other brings and needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sites
from benchmarks.reserve import ReserveWatch
from controller import inputs
from controller.design import loop_design
from controller.facility_plant import facility_owner
from controller.model import Load, Setpoints, evaluate
from controller.outdoor import Outdoor
from controller.shared_plant import ALONE, beside
from controller.step import initial_state, step
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

ROOT = Path(__file__).parents[2]
NOW_S = 1_783_764_000.0


@pytest.fixture(scope="module")
def shared():
    """The tower-cooled hall with a loop for each of its CDUs; the first commands the water."""
    hall = sites.load_site(ROOT / "site-configs" / "hall.yaml")
    group = hall.groups["tcs-1"]
    first = replace(group, members=("cdu-1",), racks=group.racks[:4])
    own = {
        "supply_temperature": "cdu-2/supply_temperature_setpoint",
        "differential_pressure": "cdu-2/differential_pressure_setpoint",
    }
    second = replace(
        group, id="tcs-2", members=("cdu-2",), master="cdu-2", racks=group.racks[4:], commands=own,
        design={r: group.design[r] for r in own},
    )  # fmt: skip
    envelopes = {p: replace(hall.envelopes[group.commands[r]], point=p) for r, p in own.items()}
    groups = {"tcs-1": first, "tcs-2": second}
    return replace(hall, groups=groups, envelopes={**hall.envelopes, **envelopes})


@pytest.fixture
def shown(shared):
    """Half load in both, at design setpoints; the second loop needs its water at 27 °C."""
    values = {"tower/outdoor_dry_bulb": 30.0, "tower/outdoor_relative_humidity": 0.45}
    for member in ("cdu-1", "cdu-2"):
        values |= {f"{member}/tcs_flow": 0.0116, f"{member}/tcs_supply_temperature": 32.0}
        values |= {f"{member}/tcs_return_temperature": 38.0, f"{member}/room_dew_point": 12.0}
        values |= {f"{member}/fws_flow": 0.010, f"{member}/fws_supply_temperature": 27.0}
    for group in shared.groups.values():
        values |= {f"{rack}/power": 80e3 for rack in group.racks}
        for role, point in group.commands.items():
            values[inputs.effective_point(shared, point)] = group.design[role]
    readings = {p: Reading(v, NOW_S, NOW_S, Quality.GOOD, Reason.NONE) for p, v in values.items()}
    return Snapshot(at_s=NOW_S, readings=readings)


def test_both_loops_have_plans_and_one_commands_the_water(shared, shown):
    """The second plan moves nothing that is the first one's."""
    first, second = step(initial_state(), shown, (), NOW_S, shared).plans
    assert {s.point for s in first.setpoints} == set(shared.groups["tcs-1"].commands.values())
    assert {s.point for s in second.setpoints} == set(shared.groups["tcs-2"].commands.values())
    assert facility_owner(shared, shared.groups["tcs-2"]).id == "tcs-1"


def test_the_owner_reckons_with_the_others_heat(shared, shown):
    """What the second loop brings is known to the first, with the flow that it takes."""
    heats = step(initial_state(), shown, (), NOW_S, shared).forecast.heats
    found = beside(shared, shown, shared.groups["tcs-1"], heats)
    assert found.likely_w[0] == pytest.approx(0.0116 * 6.0 * 3.96e6, rel=0.05)
    assert found.flow_m3_s == pytest.approx(0.010)
    assert 27.0 < found.warmest_c < 32.0
    alone = sites.load_site(ROOT / "site-configs" / "hall.yaml")
    assert beside(alone, shown, alone.groups["tcs-1"], heats) == ALONE


def test_more_heat_in_the_plant_costs_more(shared):
    """Fans and pumps carry both loops; the loop's own pumps do not."""
    design = loop_design(shared, shared.groups["tcs-1"])
    load = Load(heat_w=3e5, it_w=3.5e5, gpu_w=1400.0, air=Outdoor(30.0, 20.0))
    at = Setpoints.of(np.array([[36.0, 6e4, 32.0, 29.0]]))
    one = evaluate(design, load, at)
    both = evaluate(design, replace(load, other_heat_w=3e5, other_flow_m3_s=0.008), at)
    assert float(both.fan_w[0]) > 1.5 * float(one.fan_w[0])
    assert float(both.facility_pump_w[0]) > 1.5 * float(one.facility_pump_w[0])
    assert float(both.tcs_pump_w[0]) == float(one.tcs_pump_w[0])


def test_the_water_is_no_warmer_than_the_other_needs(shared, shown):
    """Whatever the first loop would like, its target stays where the second still holds its supply."""
    result = step(initial_state(), shown, (), NOW_S, shared)
    found = beside(shared, shown, shared.groups["tcs-1"], result.forecast.heats)
    facility = next(s for s in result.plans[0].setpoints if s.point == "economiser/leaving_temperature_setpoint")
    assert facility.target <= found.warmest_c + 0.01


def test_the_benchmark_judges_the_reserve_of_both(shared, shown):
    """Also of the loop that commands no facility water, by the design water of the one that does."""
    watch = ReserveWatch(shared)
    both_k = [watch._group(shown, group) for group in shared.groups.values()]
    assert all(5.0 < margin_k < 20.0 for margin_k in both_k)
    assert watch.margin_k(shown) == min(both_k)

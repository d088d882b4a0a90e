"""What the controller reckons of a lost pump or tower, beside what the hall with six trains comes to."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.plants import Scenario
from benchmarks.trains_plant import TrainsPlant
from controller.design import loop_design
from controller.model import Load, Setpoints
from controller.outdoor import Outdoor
from controller.unit_loss import Left, reached_c

SUMMER, HOUR_S = 196, 3600.0
POINT = {
    "supply_temperature": 36.0,
    "differential_pressure": 60e3,
    "facility_supply_temperature": 31.0,
    "tower_temperature": 29.0,
}


@pytest.mark.parametrize(("left", "bites"), [({"fws-pump": 2}, False), ({"fws-pump": 1}, True), ({"tower": 2}, True)])
def test_what_is_reckoned_of_a_loss_is_what_comes(climate, left, bites):
    """Settled, supply and facility water are no warmer than reckoned, and colder by no more than 2.5 K."""
    hall = TrainsPlant(Scenario(climate=climate, utilisation=lambda _rack, _at_s: 0.9))
    group, start_s = hall.site.groups["tcs-1"], climate.start_s(SUMMER) + 14 * HOUR_S
    hall.reset(start_s)
    runs = {"tower": 4, "economiser": left.get("tower", 4), "chiller": 0, "fws-pump": 4} | left
    on = {f"{kind}-{n}" for kind, count in runs.items() for n in range(1, count + 1)}
    told = {f"{unit}/enable_command": float(unit in on) for unit in hall.water.switches}
    shown = hall.advance(told | {group.commands[role]: value for role, value in POINT.items()}, HOUR_S)
    rack = hall.site.equipment["rack-01"]
    heat_w = rack.design["liquid_fraction"] * sum(shown[f"{name}/power"] for name in group.racks)
    air = climate.at(start_s + HOUR_S)
    load = Load(heat_w=heat_w, it_w=heat_w, gpu_w=1350.0, air=Outdoor(air.dry_bulb_c, air.wet_bulb_c))
    design = loop_design(hall.site, group, hall.water.switches.keys() - on)
    at = Setpoints.of(np.array([list(POINT.values())]))
    supply_c, facility_c = (float(c[0]) for c in reached_c(Left(design=design, seconds=HOUR_S), load, at, np.ones(1)))
    assert -0.1 < supply_c - shown["cdu-1/tcs_supply_temperature"] < 2.5
    assert -0.1 < facility_c - shown["cdu-1/fws_supply_temperature"] < 2.5
    assert (supply_c > POINT["supply_temperature"] + 1.0) == bites


def test_facility_water_holds_a_lost_tower_back(climate):
    """Minutes after the loss the water is no colder than reckoned for them, and has far to go; untold, it is there."""
    hall = TrainsPlant(Scenario(climate=climate, utilisation=lambda _rack, _at_s: 0.9))
    group, start_s = hall.site.groups["tcs-1"], climate.start_s(SUMMER) + 14 * HOUR_S
    hall.reset(start_s)
    kinds = {"tower": 3, "economiser": 3, "chiller": 0, "fws-pump": 3}
    on = {f"{kind}-{n}" for kind, count in kinds.items() for n in range(1, count + 1)}
    told = {f"{unit}/enable_command": float(unit in on) for unit in hall.water.switches}
    hall.advance(told | {group.commands[role]: value for role, value in POINT.items()}, HOUR_S)
    shown = hall.advance({"tower-3/enable_command": 0.0}, 180.0)
    heat_w = hall.site.equipment["rack-01"].design["liquid_fraction"] * sum(shown[f"{r}/power"] for r in group.racks)
    air = climate.at(start_s + HOUR_S + 180.0)
    load = Load(heat_w=heat_w, it_w=heat_w, gpu_w=1350.0, air=Outdoor(air.dry_bulb_c, air.wet_bulb_c))
    design = loop_design(hall.site, group, hall.water.switches.keys() - on | {"tower-3", "economiser-3"})
    untold = replace(design, lags=replace(design.lags, facility_m3=0.0))
    at = Setpoints.of(np.array([list(POINT.values())]))
    soon_c, late_c, settled_c = (
        float(reached_c(Left(design=d, seconds=seconds), load, at, np.ones(1))[1][0])
        for d, seconds in ((design, 180.0), (design, 3 * HOUR_S), (untold, 180.0))
    )
    assert shown["cdu-1/fws_supply_temperature"] < soon_c < 0.5 * (POINT["facility_supply_temperature"] + late_c) + 0.5
    assert settled_c == pytest.approx(late_c, abs=0.01)

"""A hall whose tower takes a setpoint of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import sites
from simulator.plant import SimulatedPlant

JULY_S = 1_783_764_000.0
HALL = Path(__file__).parents[2] / "site-configs" / "hall.yaml"


def test_a_commanded_tower_holds_its_setpoint_apart_from_the_facility_water():
    """Condenser water follows `tower/leaving_temperature_setpoint`, facility water the economiser's."""
    plant = SimulatedPlant(sites.load_site(HALL), JULY_S, work=lambda _rack, _at_s: 0.6)
    for beat in range(80):
        for device, value_c in (("tower", 29.0), ("economiser", 32.0)):
            plant.command(f"{device}/remote_enable", 1.0)
            plant.command(f"{device}/heartbeat", float(beat))
            plant.command(f"{device}/leaving_temperature_setpoint", value_c)
        plant.step(30.0)
    assert plant.facility is not None
    assert plant.facility.wet is not None
    assert plant.facility.wet.supply_c == pytest.approx(29.0, abs=0.7)
    assert plant.facility.supply_c == pytest.approx(32.0, abs=0.7)

"""What shows at commissioning that a setpoint is followed."""

from __future__ import annotations

import pytest

from actuator.watch import witness
from benchmarks.flow_twin import flow_site


@pytest.mark.parametrize(
    ("kind", "point", "shown"),
    [
        ("each", "cdu-2/flow_setpoint", "cdu-2/tcs_flow"),
        ("speed", "cdu-1/pump_speed_setpoint", "cdu-1/pump_speed"),
        ("master", "cdu-1/flow_setpoint", ""),
        ("master", "cdu-1/supply_temperature_setpoint", "cdu-1/tcs_supply_temperature"),
        ("master", "air-unit/air_temperature_setpoint", ""),
    ],
)
def test_a_step_is_seen_where_the_device_shows_it(kind, point, shown):
    """A master that holds a flow for two CDUs shows only its own part of it."""
    assert witness(flow_site(kind), point) == shown

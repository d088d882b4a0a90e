"""A unit's switch: 0 or 1 and nothing between, on its way from the lease to the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from actuator.watch import resolution, tolerance
from plant.leases import Envelope
from plant.points import Point
from plant.quantities import Quantity

COMMAND = "pump-1/enable_command"
SWITCH = Envelope(point=COMMAND, minimum=0, maximum=1, max_step=1, min_dwell_s=600, min_off_s=300, source="test")
POINT = Point(
    id=COMMAND, quantity=Quantity.STATE, equipment="pump-1", link="", period_s=10.0, minimum=None, maximum=None,
    quantum=1.0, writable=True, max_age_s=60.0,
)  # fmt: skip


@dataclass
class Switched:
    """What the functions look at of a site."""

    envelopes: dict
    points: dict


def test_on_and_off_are_never_the_same():
    """Not even within ten times the tolerance, which is what following is judged by; a register of whole numbers too."""
    site = Switched({COMMAND: SWITCH}, {COMMAND: POINT})
    assert 10 * tolerance(site, COMMAND) < 1.0
    assert resolution(site, COMMAND) == 0.0
    plain = Switched({COMMAND: replace(SWITCH, min_off_s=None)}, {COMMAND: POINT})
    assert tolerance(plain, COMMAND) == 1.0

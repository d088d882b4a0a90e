"""How fast a loop's supply follows a new setpoint, from what is left of each move a cycle later."""

from __future__ import annotations

import math

from controller.identification.estimates import Observation
from controller.identification.sensing import Accuracy, Read, seen
from plant.live import Snapshot
from plant.topology import CoolingGroup

USUAL_S = 60.0
"""Before any move was seen."""
LEAST_ERROR_K, LEFT = 0.4, (0.05, 0.9)
"""A move smaller than this, or of which all or nothing is left, tells noise."""
MOST_DT_S = 120.0
_DIFFERENCE = Accuracy(noise=0.05)
"""The sensor's bias is the device's own: it regulates by the same one."""


def error_k(snapshot: Snapshot, group: CoolingGroup, setpoint_c: float) -> float:
    """Supply at the master less its setpoint [K]; NaN where it is not known."""
    return snapshot.get(f"{group.master}/tcs_supply_temperature") - setpoint_c


def response(before_k: float, after_k: float, dt_s: float) -> Observation | None:
    """Log of the time constant over the usual one: an exponential through two errors dt_s [s] apart."""
    if abs(before_k) < LEAST_ERROR_K or not 0.0 < dt_s <= MOST_DT_S:
        return None
    return seen(lambda a, b: _log(a, b, dt_s), Read(before_k, _DIFFERENCE), Read(after_k, _DIFFERENCE))


def _log(before_k: float, after_k: float, dt_s: float) -> float:
    left = after_k / before_k
    return math.log(-dt_s / math.log(left) / USUAL_S) if LEFT[0] < left < LEFT[1] else math.nan

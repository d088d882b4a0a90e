"""Heat rejection: air that fans must move, their power by speed, and the chillers' COP."""

from __future__ import annotations

import math

import numpy as np

from controller.chillers import ChillerDesign, chiller_w
from controller.dry_coolers import DryCoolers
from controller.fluids import Fluid
from controller.towers import TowerDesign, fan_share

FAN_TELLS = (0.2, 0.97)
"""Below it free convection and a bypass do the work, above it the fans no longer follow."""
LEAST_DIFFERENCE_K = 2.0
LEAST_CHILLER = 0.1
_ROUNDS = 14
"""To a ten-thousandth: what instruments tell is a hundred times coarser."""


def cooler_log(cooler: DryCoolers, entering_c: float, leaving_c: float, flow: float, dry_c: float, fan: float) -> float:
    """Log of the air that dry coolers need over the site file's: 0.1 is 10 % more for the same heat; flow [m³/s]."""
    difference_k, stream_w_k = entering_c - dry_c, flow * cooler.water.heat_j_m3_k
    heat_w = stream_w_k * (entering_c - leaving_c)
    if not FAN_TELLS[0] < fan < FAN_TELLS[1] or min(difference_k, entering_c - leaving_c) < LEAST_DIFFERENCE_K:
        return math.nan
    low, high = math.log(0.4), math.log(2.5)
    speed, stream, difference = np.array(fan), np.array(stream_w_k), np.array(difference_k)
    for _ in range(_ROUNDS):
        middle = 0.5 * (low + high)
        enough = float(cooler.with_air(math.exp(middle)).coil_w(speed, stream, difference)) > heat_w
        low, high = (middle, high) if enough else (low, middle)
    return middle if abs(middle) < 0.9 else math.nan


def tower_log(
    tower: TowerDesign, water: Fluid, entering_c: float, leaving_c: float, flow: float, wet_c: float, fan: float
) -> float:
    """Log of the air that a tower needs over the site file's: fan speed over the one the model would run."""
    heat_w = flow * water.heat_j_m3_k * (entering_c - leaving_c)
    if not FAN_TELLS[0] < fan < FAN_TELLS[1] or min(entering_c - leaving_c, leaving_c - wet_c) < 1.0:
        return math.nan
    expected = float(fan_share(tower, water, np.array([heat_w]), np.array([flow]), np.array([leaving_c]), wet_c)[0])
    return math.log(fan / expected) if FAN_TELLS[0] < expected < FAN_TELLS[1] else math.nan


def fan_log(rated_w: float, fan: float, power_w: float) -> float:
    """Log of fan power over rated power times speed cubed."""
    return math.log(power_w / rated_w / fan**3) if fan > FAN_TELLS[0] and power_w > 0 else math.nan


def cop_log(chiller: ChillerDesign, heat_w: float, power_w: float, leaving_c: float, hot_c: float) -> float:
    """Log of a chiller's COP over the site file's at this load; hot_c: outdoor air or entering condenser water [°C]."""
    if heat_w < LEAST_CHILLER * chiller.heat_w / chiller.machines or power_w <= 0:
        return math.nan
    expected_w = float(chiller_w(chiller, np.array([heat_w]), np.array([leaving_c]), np.array([hot_c]))[0])
    return math.log(expected_w / power_w)

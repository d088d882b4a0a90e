"""Efficiency of centrifugal pumps away from their best point: what makes fewer pumps in parallel cheaper, or dearer."""

from __future__ import annotations

import numpy as np

from controller.exchange import Array

SHUT_OFF = 0.25
"""Head at no flow above head at best efficiency [1]: a usual flat curve."""
LEAST = 0.1


def efficiency_share(flow_share: Array, head_share: Array) -> Array:
    """Efficiency over its best [1] of a variable-speed pump that gives flow and head, both as shares of its design.

    Head = (1 + a) speed² - a flow²; efficiency = 1 - (1 - flow/speed)²: affinity laws, and a parabola through no flow
    and the best point (Karassik, Pump Handbook, ch. 2).
    """
    speed = np.sqrt((head_share + SHUT_OFF * flow_share**2) / (1 + SHUT_OFF))
    return np.maximum(1 - (1 - flow_share / speed) ** 2, LEAST)


def full_speed_share(flow_share: Array) -> Array:
    """Head over efficiency, both as shares of design [1], of a pump without a drive: valves take what is too much."""
    head = np.maximum(1 + SHUT_OFF - SHUT_OFF * flow_share**2, LEAST)
    return head / np.maximum(1 - (1 - flow_share) ** 2, LEAST)

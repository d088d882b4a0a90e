"""How deep to cap which job, so that a group of racks draws less for the least work lost.

A node's dynamic power falls with speed: P = D s^2.5 (a limit that slows by 5 % saves 7-12 % energy in Zeus' traces of
P100 and A40, NSDI 2023; 2.5 is the cautious end). The least work is lost where the last watt costs the same in every
job: 2.5 D s^1.5 is one number, the group's price, so hot jobs are slowed first and all of them little.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POWER_EXPONENT = 2.5
LEAST_SPEED = 0.76
"""Half the dynamic power: makers allow no deeper limit than some 40-50 % of a GPU's power."""
_HALVINGS = 40


def drawn(speed: Floats) -> Floats:
    """Dynamic power at a speed, as a share of that at full speed."""
    share: Floats = speed**POWER_EXPONENT
    return share


def speed_at(share: Floats) -> Floats:
    """Speed [0..1] at a share of dynamic power."""
    speed: Floats = np.clip(share, 0.0, 1.0) ** (1.0 / POWER_EXPONENT)
    return speed


def least_loss(
    group: Ints, nodes: Floats, dynamic_w: Floats, need_w: Floats, least_speed: float | Floats = LEAST_SPEED
) -> Floats:
    """Speed of each part (p,), so that every group (g,) draws need_w [W] less; else the least speed.

    group: of each part; nodes: that it has there; dynamic_w: what each of them draws above idle at full speed [W].
    """
    dynamic_w = np.maximum(dynamic_w, 1e-9)
    low, high = np.zeros(len(need_w)), np.full(len(need_w), float(np.max(dynamic_w, initial=0)))
    for _ in range(_HALVINGS):
        price = (low + high) / 2.0
        enough = _relief(group, nodes, dynamic_w, _speed(price[group], dynamic_w, least_speed), len(need_w)) >= need_w
        low, high = np.where(enough, price, low), np.where(enough, high, price)
    return _speed(low[group], dynamic_w, least_speed)


def _speed(price_w: Floats, dynamic_w: Floats, least_speed: float | Floats) -> Floats:
    speed: Floats = np.clip((price_w / dynamic_w) ** (1.0 / (POWER_EXPONENT - 1.0)), least_speed, 1.0)
    return speed


def _relief(group: Ints, nodes: Floats, dynamic_w: Floats, speed: Floats, groups: int) -> Floats:
    return np.asarray(np.bincount(group, nodes * dynamic_w * (1.0 - drawn(speed)), groups), dtype=np.float64)

"""From a minute's looks at the live table: the means that a loop's balances weigh, and how restless the loop was. Pure.

A temperature difference is weighted with its flow, look by look: while a valve swings, the product of two means is not
the mean heat. What the loop's own coolant stored comes from the temperatures at the minute's two ends: a heat balance
of a loop that warms up does not close without it.
"""

from __future__ import annotations

import numpy as np

from collector.balance import MINUTE_S, Floats, Means, heat_change
from collector.loop_points import RACK, UNIT, LoopPoints

RACK_LAG_S = 15.0
"""How long a rack's heat takes from its chips to its return sensor [s]."""
UNIT_LAG_S = 20.0
"""And from a unit's secondary to its primary side [s]."""
VOLUME_DOUBT = 0.3
"""Share of the stored heat that may be wrong where the site file gives the loop's volume; without one, all of it."""


def minute_means(points: LoopPoints, looks: Floats, before: Floats) -> Means:
    """Means [SI] of looks (k, points) in the order of `points.points`; `before` (points,) is the last look before."""
    racks = len(points.racks) * len(RACK)
    flow, supply, back, power = _columns(looks[:, :racks], RACK)
    own, own_supply, own_back, primary, cold, warm, pump = _columns(looks[:, racks:], UNIT)
    return Means(
        rack_flow=flow.mean(axis=0),
        rack_rise=_rise(flow, back - supply),
        rack_power=power.mean(axis=0),
        unit_flow=own.mean(axis=0),
        unit_rise=_rise(own, own_back - own_supply),
        primary_flow=primary.mean(axis=0),
        primary_rise=_rise(primary, warm - cold),
        pump_power=pump.mean(axis=0),
        stored_w=_stored_w(points, looks[-1], before),
    )


def _columns(looks: Floats, names: tuple[str, ...]) -> Floats:
    """(columns, k, equipment)."""
    found: Floats = np.moveaxis(looks.reshape(len(looks), -1, len(names)), -1, 0)
    return found


def _rise(flow: Floats, rise: Floats) -> Floats:
    total = flow.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(total > 0.0, (flow * rise).sum(axis=0) / total, rise.mean(axis=0))
    return found


def _stored_w(points: LoopPoints, after: Floats, before: Floats) -> Floats:
    """Heat flow [W] into the loop's two halves, (1,); 0 where a sensor is missing or the volume is unknown.

    The half that returns is as warm as the units receive it, the half that is supplied as the racks do.
    """
    racks = len(points.racks) * len(RACK)
    change = after - before
    warmed_k = change[racks:].reshape(-1, len(UNIT))[:, 2].mean() + change[:racks].reshape(-1, len(RACK))[:, 1].mean()
    found: Floats = np.nan_to_num(np.array([points.known.half_j_k * warmed_k / MINUTE_S]), nan=0.0)
    return found


def unrest(points: LoopPoints, means: Means, then: Means, values: Floats, before: Floats) -> Floats:
    """How much each balance changed from one minute's means to the next: its heat, and what its coolant stores."""
    moved = np.nan_to_num(np.abs(values - before), nan=0.0)
    racks = moved[: len(points.racks) * len(RACK)].reshape(-1, len(RACK))
    units = moved[len(points.racks) * len(RACK) :].reshape(-1, len(UNIT))
    doubt = VOLUME_DOUBT if points.known.half_j_k > 0.0 else 1.0
    loop = doubt * (units[:, 1].max() + racks[:, 2].mean()) * points.lag_s
    own = (units[:, 1] + units[:, 2] + units[:, 5]) * UNIT_LAG_S
    stored = np.concatenate([racks[:, 1] * RACK_LAG_S, [loop, 0.0], own]) / MINUTE_S
    rise = np.concatenate([means.rack_rise, [np.mean(means.rack_rise), 1.0], means.unit_rise])
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = np.nan_to_num(stored / np.abs(rise), nan=1.0, posinf=1.0)
    found: Floats = np.minimum(heat_change(means, then, points.known) + 2.0 * kept, 1.0)
    return found

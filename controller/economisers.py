"""What the water at economisers and towers tells of the economisers' UA, whose own condenser flow nobody meters.

Their valves take no more than the towers give. So while they hold what is asked of them their UA is at least what
carries the heat with all of that water; where they do not hold it, or where the towers' pumps give more than their
least because of them, it is just that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.curves import Curve
from controller.device_state import idle
from controller.identification.exchangers import ua_of
from controller.rejection import WetSide
from plant.live import Snapshot

LEAST_RANGE_K, LEAST_GAP_K, LEAST_SHARE = 1.0, 0.05, 0.05
"""Less cooling of facility water, less between it and condenser water, and less of design flow tell nothing."""
HELD_K, MISSED_K = 0.15, 0.4
"""Facility water this near what is asked is held, this far above it is not; between the two it is on its way."""
ABOVE_LEAST = 1.03
BALANCED = 0.25
"""Heat on both sides may differ by this share, that of pumps within; beyond it the water is on its way."""
MOST_EFFECTIVENESS = 0.98
PROBES = 1.0
"""What holds is tried with more UA by so many standard deviations: the valve tells nobody what it has left."""
SHOWN_SD, AT_LEAST_SD = 0.12, 0.25
"""What one look is off by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Economised:
    """One look.

    share: facility flow of design; log: of UA over the model's at these flows, or of the least that it must be; flat:
    likewise of UA over design's, whatever the flows.
    """

    share: float
    log: float
    flat: float
    at_least: bool


def mixed(snapshot: Snapshot, units: Sequence[str]) -> tuple[float, float, float]:
    """Flow [m³/s], entering and leaving water [°C] of units in parallel; NaN where one does not tell."""
    names = "flow", "entering_temperature", "leaving_temperature"
    rows = np.array([[snapshot.get(f"{u}/{n}") for n in names] for u in units]).reshape(-1, 3)
    flow = float(rows[:, 0].sum())
    if not (flow > 0 and np.isfinite(rows).all()):
        return math.nan, math.nan, math.nan
    return flow, *(rows[:, 0] @ rows[:, 1:] / flow).tolist()


def economised(
    snapshot: Snapshot, units: Mapping[str, list[str]], side: WetSide, asked_c: float, *, chills: bool
) -> Economised | None:
    """What this look tells; None where it tells nothing.

    units: by kind; side: as the units that run are; asked_c: facility water asked for [°C];
    chills: a chiller runs or may, so that a part of the towers' water is its.
    """
    if chills:  # their water can't be told from the economisers', and what is tried and fails costs their power
        return None
    running = {kind: [u for u in names if not idle(snapshot, u)] for kind, names in units.items()}
    return of_waters(side, asked_c, mixed(snapshot, running["economiser"]), mixed(snapshot, running["cooling-tower"]))


def of_waters(
    side: WetSide, asked_c: float, waters: tuple[float, float, float], rejected: tuple[float, float, float]
) -> Economised | None:
    """What six readings tell: flow [m³/s], entering and leaving water [°C] of economisers, and of towers."""
    (flow, into_c, out_c), (condenser, hot_c, cold_c) = waters, rejected
    plate, heat_j_m3_k = side.economiser, side.water.heat_j_m3_k
    assert plate is not None
    hot_w_k, cold_w_k = flow * heat_j_m3_k, condenser * heat_j_m3_k
    heat_w, rejected_w = hot_w_k * (into_c - out_c), cold_w_k * (hot_c - cold_c)
    share, gap_k = hot_w_k / plate.hot_w_k, out_c - cold_c
    tells = into_c - out_c > LEAST_RANGE_K and gap_k > LEAST_GAP_K and share > LEAST_SHARE
    if not (tells and abs(rejected_w / heat_w - 1) < BALANCED):  # NaN too
        return None
    wide_open = out_c > asked_c + MISSED_K
    wide_open |= condenser > ABOVE_LEAST * side.tower.least_flow_share * side.tower.flow_m3_s
    if not (wide_open or out_c < asked_c + HELD_K):
        return None
    low_w_k, wanted_w_k = min(hot_w_k, cold_w_k), heat_w / (into_c - cold_c)
    beyond = wanted_w_k > MOST_EFFECTIVENESS * low_w_k
    ua_w_k = ua_of(min(wanted_w_k, MOST_EFFECTIVENESS * low_w_k), hot_w_k, cold_w_k)
    films = math.log(float(plate.ua_at(np.array(hot_w_k), np.array(cold_w_k))) / plate.ua_w_k)
    flat = math.log(ua_w_k / plate.ua_w_k)
    return Economised(share=share, log=flat - films, flat=flat, at_least=beyond or not wide_open)


def told(seen: Economised, believed: Curve) -> tuple[float, float]:
    """(log of UA over the model's, what it is off by) to learn; NaN where it is no news. believed: as it is now."""
    if not seen.at_least:
        return seen.log, SHOWN_SD
    log = seen.log + PROBES * believed.sd_at(seen.share)
    return log if log > float(believed.log_at(np.array(seen.share))) else math.nan, AT_LEAST_SD

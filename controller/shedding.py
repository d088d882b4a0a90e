"""Does what cooling is left carry the load, and if not: how much has to come off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from controller import inputs
from controller.causes import Cause, Found, stopped_members
from controller.cold_plates import hottest_plates, most_heat_w
from controller.explaining import PLAN_LIFE_S
from controller.losses import losses_of, scaled, stacked
from controller.reasons import condition, message
from controller.rejection_left import rejection_left_w, taken_now
from controller.transient import Losses, seconds_to_limit
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.records import Condition, Forecast, Severity, ShedRequest
from plant.topology import CoolingGroup, Site

SHARES: tuple[float, ...] = tuple(np.linspace(1.0, 0.0, 41).tolist())


def carries(site: Site, snapshot: Snapshot, group: CoolingGroup, found: tuple[Found, ...], ahead: Forecast) -> bool:
    """Whether what is left carries the forecast's highest quantile for an hour as it stands; False where not known."""
    try:
        rows = _rows(site, snapshot, group, found, most_heat_w(ahead))
    except (StaleError, ConfigError):
        return False
    return bool(np.isinf(seconds_to_limit(stacked(rows))).all())


def nothing_left(group: CoolingGroup, found: tuple[Found, ...]) -> bool:
    """Whether no heat leaves a loop any more: every CDU stands, or there is no facility water."""
    return set(group.members) <= stopped_members(found) or any(f.cause is Cause.FACILITY_LOST for f in found)


def all_off(site: Site, snapshot: Snapshot, group: CoolingGroup, now_s: float) -> ShedRequest:
    """All of a loop's load, at once. A rack whose power is not known counts with its nameplate."""
    it_w = sum(snapshot.get(f"{r}/power", site.equipment[r].design.get("power_w", 0.0)) for r in group.racks)
    return request(group, it_w, it_w, 0.0, now_s)


def shed_request(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    found: tuple[Found, ...],
    ahead: Forecast,
    goal: Mapping[str, float],
    now_s: float,
) -> ShedRequest | None:
    """The least load to take off so that no case meets its limit within the hour; None where there is reserve."""
    try:
        share = _bearable(site, snapshot, group, found, ahead, goal)
        if share >= 1.0:
            return None
        it_w = sum(inputs.rack_power(site, snapshot, rack) for rack in group.racks)
        expected_w = most_heat_w(ahead, 0.5)[group.id] * it_w / inputs.racks_heat(site, snapshot, group.racks)
    except (StaleError, ConfigError):
        return None  # nothing can be promised, so nothing is asked: the causes' own conditions stand
    return request(group, (1.0 - share) * it_w, it_w, share * expected_w, now_s)


def request(group: CoolingGroup, power_w: float, it_w: float, bearable_w: float, now_s: float) -> ShedRequest:
    """A wish for power_w [W] less of the it_w [W] that a loop's racks draw; bearable_w: what they may draw [W]."""
    return ShedRequest(
        loop=group.id,
        at_s=now_s,
        expires_s=now_s + PLAN_LIFE_S,
        power_w=power_w,
        it_w=it_w,
        bearable_w=bearable_w,
        racks=group.racks,
        reason=message("shed_load", subject=group.id, it_kw=it_w / 1e3, bearable_kw=bearable_w / 1e3),
    )


def shed_conditions(shed: ShedRequest | None) -> tuple[Condition, ...]:
    """The condition of a wish, if there is one."""
    if shed is None:
        return ()
    powers = {"it_kw": shed.it_w / 1e3, "bearable_kw": shed.bearable_w / 1e3}
    return (condition("shed_load", shed.loop, shed.at_s, Severity.CRITICAL, **powers),)


def _bearable(
    site: Site,
    snapshot: Snapshot,
    group: CoolingGroup,
    found: tuple[Found, ...],
    ahead: Forecast,
    goal: Mapping[str, float],
) -> float:
    """The largest share of the expected load that what is left carries for an hour, once the goal is reached [1]."""
    rows = [_reached(row, goal) for row in _rows(site, snapshot, group, found, most_heat_w(ahead, 0.5))]
    grid = stacked([scaled(row, share) for share in SHARES for row in rows])
    holds = np.isinf(seconds_to_limit(grid)).reshape(len(SHARES), len(rows)).all(axis=1)
    return SHARES[int(np.argmax(holds))] if holds.any() else 0.0


def _rows(
    site: Site, snapshot: Snapshot, group: CoolingGroup, found: tuple[Found, ...], upper_w: Mapping[str, float]
) -> list[Losses]:
    """The loop as it is now, with what has failed."""
    plates = hottest_plates(site, snapshot, group, upper_w)
    rows = losses_of(site, snapshot, group, plates, upper_w, stopped_members(found))
    failed = {f.subject for f in found}
    left_w = rejection_left_w(site, snapshot, group, failed)
    if left_w is not None:
        return [replace(row, facility_w=np.maximum(row.heat_w - left_w, 0.0)) for row in rows]
    taken = taken_now(site, snapshot, group, failed)
    held = not any(row.facility_w.any() for row in rows) and all(f.cause is not Cause.CHILLER_TRIP for f in found)
    if taken is None or held:
        return rows
    taken_w, more_w_k = taken
    return [
        replace(row, facility_w=np.maximum(row.heat_w - taken_w, 0.0), facility_w_k=np.array([more_w_k]))
        for row in rows
    ]


def _reached(row: Losses, goal: Mapping[str, float]) -> Losses:
    """A loss once the reserve is used: the goal's supply held where it can be, all flow that the pumps must give."""
    supply_c = np.minimum(row.least_supply_c, goal.get(inputs.SUPPLY, math.inf))
    return replace(
        row, least_supply_c=supply_c, flow_first=row.flow_most, flow_last=row.flow_most, plate_tau_s=np.zeros(1)
    )

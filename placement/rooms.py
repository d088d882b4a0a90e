"""Headroom by CDU (or loop) and by node, from that of the racks. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from placement.budgets import Cap
from placement.hint_list import block_of
from placement.hints import HEADROOM_MAX_AGE_S
from plant.records import Headroom, RideThrough
from plant.topology import CoolingGroup, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """IT power that a CDU, a loop or a node can still take [W].

    now_w: now; ahead_w: over the next horizon_s [s], at the forecast's highest quantile; limiting: what lets it take no
    more; marginal_w_per_w: facility watts for each IT watt; ride_through_s: until the first case limit if a pump stops
    [s], None: for good, or not known (`ride_through_known`); risk: chance that what runs already will need more than
    there is (0..1). Nothing is said where not `known`, with the reason.
    """

    id: str
    level: str
    at_s: float
    now_w: float
    ahead_w: float
    horizon_s: float
    limiting: str
    marginal_w_per_w: float
    ride_through_s: float | None
    ride_through_known: bool
    risk: float
    known: bool
    reason: str = ""


def cdu_rooms(
    site: Site, headrooms: Iterable[Headroom], rides: Iterable[RideThrough], caps: Mapping[str, Cap]
) -> list[Room]:
    """One for each CDU, or for a loop where several share it: its racks' rooms together, no more than the loop has."""
    by_rack = {h.rack: h for h in headrooms}
    left = _worst_rides(rides)
    return [_of_group(group, by_rack, left.get(group.id), caps) for group in site.groups.values()]


def node_rooms(
    nodes: Mapping[str, str], full_w: Mapping[str, float], headrooms: Iterable[Headroom], caps: Mapping[str, Cap]
) -> list[Room]:
    """One for each node: its rack's room, no more than a node draws. nodes: node -> rack; full_w: rack -> power [W]."""
    by_rack, number = {h.rack: h for h in headrooms}, Counter(nodes.values())
    return [
        _of_node(node, rack, full_w.get(rack, math.nan) / number[rack], by_rack.get(rack), caps.get(rack))
        for node, rack in nodes.items()
    ]


def believed(headrooms: Iterable[Headroom], now_s: float) -> list[Headroom]:
    """The same headrooms; one that is too old or from the future tells nothing any more, with the reason."""
    return [_aged(h, now_s - h.at_s) for h in headrooms]


def _aged(headroom: Headroom, age_s: float) -> Headroom:
    if not headroom.known or 0 <= age_s <= HEADROOM_MAX_AGE_S:
        return headroom
    return replace(headroom, known=False, reason=f"its rack's headroom is {age_s:.0f} s old")


def _worst_rides(rides: Iterable[RideThrough]) -> dict[str, RideThrough]:
    """By loop: one that is not known first, then the shortest."""

    def order(found: RideThrough) -> tuple[bool, float]:
        return found.known, math.inf if found.seconds is None else found.seconds

    worst: dict[str, RideThrough] = {}
    for found in rides:
        worst[found.loop] = min(worst.get(found.loop, found), found, key=order)
    return worst


def _of_group(
    group: CoolingGroup, by_rack: Mapping[str, Headroom], ride: RideThrough | None, caps: Mapping[str, Cap]
) -> Room:
    known = [by_rack[r] for r in group.racks if r in by_rack and by_rack[r].known]
    missing = len(group.racks) - len(known)
    shared = [h.shared_w for h in known if math.isfinite(h.shared_w)]
    rooms = {
        "racks": sum(min(h.power_w, h.cooling_w) for h in known),
        "cooling": min(shared, default=math.inf),
        "budget": min((caps[r].room_w for r in group.racks if r in caps), default=math.inf),
    }
    ahead_w = sum(h.ahead_w for h in known)
    return Room(
        id=block_of(group),
        level="cdu",
        at_s=min((h.at_s for h in known), default=0.0),
        now_w=min(rooms.values()),
        ahead_w=min(ahead_w, rooms["cooling"], rooms["budget"]) if math.isfinite(ahead_w) else math.nan,
        horizon_s=max((h.horizon_s for h in known), default=0.0),
        limiting=min(rooms, key=rooms.__getitem__) if known else "",
        marginal_w_per_w=max((h.marginal_w_per_w for h in known), default=math.nan),
        ride_through_s=ride.seconds if ride is not None and ride.known else None,
        ride_through_known=ride is not None and ride.known,
        risk=max((h.risk for h in known), default=math.nan),
        known=bool(known),
        reason=f"the headroom of {missing} racks is not known; they count for nothing" if missing else "",
    )


def _of_node(node: str, rack: str, most_w: float, headroom: Headroom | None, cap: Cap | None) -> Room:
    if headroom is None or not headroom.known:
        why = "no headroom has been computed for its rack" if headroom is None else headroom.reason
        headroom = Headroom(
            rack=rack, at_s=0.0, power_w=0.0, cooling_w=0.0, marginal_w_per_w=math.nan, known=False, reason=why
        )
    now_w = min(headroom.power_w, headroom.cooling_w)
    rooms = {headroom.limiting: now_w, "node": most_w, "budget": cap.room_w if cap is not None else math.inf}
    lowest_w = min(w for w in rooms.values() if not math.isnan(w))
    return Room(
        id=node,
        level="node",
        at_s=headroom.at_s,
        now_w=lowest_w,
        ahead_w=min(lowest_w, headroom.ahead_w) if math.isfinite(headroom.ahead_w) else math.nan,
        horizon_s=headroom.horizon_s,
        limiting=next(limit for limit, w in rooms.items() if w == lowest_w),
        marginal_w_per_w=headroom.marginal_w_per_w,
        ride_through_s=None,
        ride_through_known=False,
        risk=headroom.risk,
        known=headroom.known,
        reason=headroom.reason,
    )

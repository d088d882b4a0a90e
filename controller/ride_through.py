"""Ride-through: seconds until the first GPU case limit if this CDU's pump stops now and nobody does anything.

Never optimistic: heat of loop and racks at the forecast's highest quantile, the remaining pumps and valves slow, no
more flow than centrifugal pumps must give, nothing counted that is not measured or in the site file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from controller.cold_plates import hottest_plates, most_heat_w
from controller.losses import losses_of, stacked
from controller.transient import Losses, seconds_to_limit
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.records import Forecast, RideThrough
from plant.topology import CoolingGroup, Site


def ride_throughs(site: Site, snapshot: Snapshot, ahead: Forecast, now_s: float) -> tuple[RideThrough, ...]:
    """One figure for every CDU and sidecar of the site; unknown, with the reason, where an input is missing."""
    rows: list[Losses] = []
    owners: list[tuple[str, str]] = []
    found: list[RideThrough] = []
    upper_w = most_heat_w(ahead)
    for group in site.groups.values():
        try:
            plates = hottest_plates(site, snapshot, group, upper_w)
            losses = {m: losses_of(site, snapshot, group, plates, upper_w, {m}) for m in group.members}
        except (StaleError, ConfigError) as error:
            reason = error.message if isinstance(error, ConfigError) else str(error)
            found += [_figure(group, member, now_s, None, reason) for member in group.members]
            continue
        rows += [row for own in losses.values() for row in own]
        owners += [(group.id, member) for member, own in losses.items() for _ in own]
    found += _figures(site, rows, owners, now_s)
    order = [m for g in site.groups.values() for m in g.members]
    return tuple(sorted(found, key=lambda f: order.index(f.cdu)))


def _figures(site: Site, rows: list[Losses], owners: list[tuple[str, str]], now_s: float) -> Iterable[RideThrough]:
    if not rows:
        return
    seconds = seconds_to_limit(stacked(rows)).tolist()
    worst: dict[tuple[str, str], float] = {}
    for owner, left_s in zip(owners, seconds, strict=True):
        worst[owner] = min(left_s, worst.get(owner, math.inf))
    for (group, member), left_s in worst.items():
        yield _figure(site.groups[group], member, now_s, left_s if math.isfinite(left_s) else None)


def _figure(
    group: CoolingGroup, member: str, now_s: float, seconds: float | None, reason: str | None = None
) -> RideThrough:
    return RideThrough(
        cdu=member, loop=group.id, at_s=now_s, seconds=seconds, known=reason is None, reason=reason or ""
    )

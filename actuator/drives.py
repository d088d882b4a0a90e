"""Which devices may be driven, by which of their setpoints, and why another may not."""

from __future__ import annotations

from plant.points import PointId
from plant.topology import Drive, Site


def drivable(drive: Drive) -> bool:
    """Whether the device lets go by itself when nobody drives it any more."""
    return drive.kind == "native_heartbeat" and bool(drive.heartbeat) and drive.timeout_s > 0


def setpoints_of(site: Site, drive: Drive) -> tuple[PointId, ...]:
    """The drive's share of its device's setpoints."""
    own = [p for p in site.envelopes if p.rpartition("/")[0] == drive.equipment]
    return tuple(p for p in own if drive.link in ("", site.points[p].link))


def why_advisory(site: Site, point: PointId) -> str:
    """Why no lease of this point is written."""
    equipment = point.rpartition("/")[0]
    drive = site.drives.get(equipment)
    if point not in site.envelopes:
        return "no envelope in the site file allows writing it"
    if drive is None or not drivable(drive):
        return "the device has no fallback of its own, so it is advisory only"
    return f"writing to {equipment} is not enabled in this run, so it is advisory only"

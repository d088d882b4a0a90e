"""From the site file to who reads what: devices per link, and what is plausible for each point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from collector.plausible import rule, with_witnesses
from collector.rules import Rule
from devices.profiles import Profile, ProfilePoint, load_profile
from plant.points import PointId
from plant.topology import Site


@dataclass(frozen=True)
class Wire:
    """One equipment's source on a link: its profile, and its Modbus unit or the name that publishers use.

    gpus: how many of a rack's GPUs it tells of, 0 for all.
    """

    equipment: str
    profile: Profile
    unit: int
    object: str
    gpus: int = 0


def wires(site: Site, link: str) -> list[Wire]:
    """Everything that hangs on a link."""
    return [
        Wire(equipment.id, load_profile(source.profile), source.unit, source.object or equipment.id, source.gpus)
        for equipment in site.equipment.values()
        for source in equipment.sources
        if source.link == link
    ]


def gpu_point(equipment: str, index: int, name: str) -> PointId:
    """Id of a per-GPU point."""
    return f"{equipment}/gpu-{index:02d}/{name}"


def rules(site: Site) -> dict[PointId, Rule]:
    """What is plausible for each point: see `collector.plausible`."""
    found = {
        point_id: rule(site, point_id, point)
        for link in site.links
        for wire in wires(site, link)
        for point_id, point in _points(site, wire)
    }
    return with_witnesses(site, found)


def only_said(site: Site) -> frozenset[PointId]:
    """Points of a bus that we write and nobody sends back to us, so that nobody waits for them."""
    mqtt = [wire for link in site.links.values() if link.transport == "mqtt" for wire in wires(site, link.id)]
    return frozenset(
        f"{wire.equipment}/{point.name}" for wire in mqtt for point in wire.profile.points if point.writable
    )


def equipment_of(point: PointId) -> str:
    """The equipment that a point belongs to; found points (`dsx/...`) count as one."""
    return point.partition("/")[0]


def _points(site: Site, wire: Wire) -> Iterator[tuple[PointId, ProfilePoint]]:
    for point in wire.profile.points:
        if wire.profile.per_gpu:
            for index in range(wire.gpus or site.gpus_per_rack):
                yield gpu_point(wire.equipment, index, point.name), point
        else:
            yield f"{wire.equipment}/{point.name}", point

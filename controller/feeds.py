"""What the electric feeds above each rack can still give."""

from __future__ import annotations

from collections.abc import Iterator

from controller import inputs
from plant.errors import StaleError
from plant.live import Snapshot
from plant.topology import Equipment, Site

KINDS = ("utility", "ups", "pdu", "power-shelf")


def feed_rooms_w(site: Site, snapshot: Snapshot) -> dict[str, float]:
    """Rack -> watts left below the rating (`design.power_w`) of the feeds above it; absent where none has one.

    A feed carries the racks below it; one whose power is not good counts with its design power.
    """
    rooms: dict[str, float] = {}
    for feed in site.equipment.values():
        if feed.kind not in KINDS or "power_w" not in feed.design:
            continue
        racks = set(_racks_below(site, feed))
        left_w = feed.design["power_w"] - sum(_drawn_w(site, snapshot, rack) for rack in racks)
        rooms |= {rack: min(left_w, rooms.get(rack, left_w)) for rack in racks}
    return rooms


def _racks_below(site: Site, feed: Equipment) -> Iterator[str]:
    for name in feed.feeds:
        equipment = site.equipment[name]
        if equipment.kind == "rack":
            yield name
        elif equipment.kind in KINDS:
            yield from _racks_below(site, equipment)


def _drawn_w(site: Site, snapshot: Snapshot, rack: str) -> float:
    try:
        return inputs.rack_power(site, snapshot, rack)
    except StaleError:
        return site.equipment[rack].design.get("power_w", 0.0)

"""What a profile may not say, though each of its values is of the right type."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from plant.quantities import UNIT, measures

if TYPE_CHECKING:  # the profiles are checked as they are read, there
    from devices.profiles import Profile, ProfilePoint

MOST_ADDRESSES = 0x10000
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Fault:
    """What is wrong at a place of the file (keys and list positions), and what to do."""

    place: Place
    text: str
    remedy: str


_FALLBACK_POINTS = {
    "heartbeat": "name the point that must keep changing",
    "enable": "name the point by which the remote setpoint is taken",
    "owner": "name the point that says who commands the device",
}


def faults(profile: Profile) -> Iterator[Fault]:
    """Every fault of a profile, the first one first."""
    yield from _ranges(profile)
    yield from _names(profile)
    yield from _fallback(profile)
    for index, point in enumerate(profile.points):
        for fault in _point(profile, point):
            yield Fault(("points", index, *fault.place), f"{point.name}: {fault.text}", fault.remedy)
    if profile.transport == "modbus-tcp":
        yield from _overlaps(profile)


def _ranges(profile: Profile) -> Iterator[Fault]:
    for index, area in enumerate(profile.readable):
        if not 0 <= area.first <= area.last < MOST_ADDRESSES:
            yield Fault(("readable", index), f"{area.first}..{area.last} is no range of addresses", "use 0 to 65535")


def _names(profile: Profile) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, point in enumerate(profile.points):
        if first.setdefault(point.name, index) != index:
            remedy = "give each point a name of its own"
            yield Fault(("points", index, "name"), f"{point.name} is the name of an earlier point too", remedy)


def _fallback(profile: Profile) -> Iterator[Fault]:
    fallback, names = profile.fallback, {point.name for point in profile.points}
    for field, remedy in _FALLBACK_POINTS.items():
        named = getattr(fallback, field)
        if named and named not in names:
            yield Fault(("fallback", field), f"no point {named} in this profile", remedy)
    if fallback.kind == "native_heartbeat" and not (fallback.heartbeat and 0 < fallback.timeout_s < math.inf):
        remedy = "name heartbeat and timeout_s, or say kind: none, which is never written to"
        yield Fault(
            ("fallback",), "a device that lets go by a heartbeat has one, and a time after which it does", remedy
        )


def _point(profile: Profile, point: ProfilePoint) -> Iterator[Fault]:
    yield from _numbers(point)
    yield from _bits(point)
    if point.scale_from:
        yield from _scale_factor(profile, point)
    if profile.transport == "modbus-tcp":
        yield from _address(profile, point)


def _numbers(point: ProfilePoint) -> Iterator[Fault]:
    if not measures(point.unit, point.quantity):
        text, fit = f"no {point.quantity.replace('_', ' ')} is told in {point.unit!r}", UNIT[point.quantity]
        yield Fault(("unit",), text, f"give the unit of the raw number, one that becomes {fit}")
    if not math.isfinite(point.scale) or point.scale == 0:
        yield Fault(("scale",), f"scale {point.scale:g} is impossible", "give the factor from raw numbers to the unit")
    if point.fixed and point.type.startswith("f"):
        yield Fault(("fixed",), f"binary fixed point in a float ({point.type})", "remove fixed, or use an integer type")
    if point.period_s <= 0:
        yield Fault(("period_s",), f"period {point.period_s:g} s is impossible", "give seconds above 0")
    if point.max_age_s < 0:
        yield Fault(("max_age_s",), f"max_age_s {point.max_age_s:g} is below 0", "give seconds, or leave it out")
    for name in ("max_jump", "natural_run_s", "rolls_over_at"):
        if (given := getattr(point, name)) is not None and given <= 0:
            yield Fault((name,), f"{name} {given:g} is impossible", "give more than 0, or leave it out")
    beyond = [word for word in point.invalid if not _holds(point, word)]
    if beyond:
        yield Fault(("invalid",), f"no {point.type} register holds {beyond[0]}", "give raw words of that size")
    if point.min is not None and point.max is not None and point.min > point.max:
        yield Fault(("min",), f"min {point.min:g} is above max {point.max:g}", "exchange them")


def _holds(point: ProfilePoint, word: int) -> bool:
    bits = 16 * point.words
    return (-(1 << bits - 1) if point.type.startswith("s") else 0) <= word < 1 << bits


def _bits(point: ProfilePoint) -> Iterator[Fault]:
    if point.bit is None:
        return
    if not point.type.startswith("u"):
        yield Fault(("bit",), f"bits of a {point.type} register", "use an unsigned type")
    elif point.bit + point.bit_width > 16 * point.words:
        last = point.bit + point.bit_width - 1
        yield Fault(("bit",), f"bit {last} is beyond a {point.type} register", "use a lower bit or a wider type")


def _scale_factor(profile: Profile, point: ProfilePoint) -> Iterator[Fault]:
    factor = next((p for p in profile.points if p.name == point.scale_from), None)
    if factor is None:
        yield Fault(("scale_from",), f"no point {point.scale_from} in this profile", "name the point with the exponent")
    elif factor is point or factor.scale_from or factor.type.startswith("f"):
        yield Fault(("scale_from",), f"{point.scale_from} is no exponent", "name an integer point without scale_from")


def _address(profile: Profile, point: ProfilePoint) -> Iterator[Fault]:
    if point.table is None or point.address is None:
        yield Fault((), "has no table or no address", "give both, e.g. table: holding, address: 0")
        return
    if point.table in ("coil", "discrete") and point.words > 1:
        yield Fault(("type",), f"a {point.type} in a table of single bits", "use u16")
    if not 0 <= point.address <= MOST_ADDRESSES - point.words:
        yield Fault(("address",), f"address {point.address} is beyond 65535", "use the protocol's address, from 0")
    areas = [area for area in profile.readable if area.table == point.table]
    inside = any(area.first <= point.address and point.address + point.words - 1 <= area.last for area in areas)
    if areas and not inside:
        text = f"address {point.address} is outside of what `readable` declares for {point.table}"
        yield Fault(("address",), text, "widen readable, or correct the address")


def _overlaps(profile: Profile) -> Iterator[Fault]:
    placed = [(i, p) for i, p in enumerate(profile.points) if p.table is not None and p.address is not None]
    for table in {p.table for _, p in placed}:
        rows = sorted(((i, p) for i, p in placed if p.table == table), key=lambda row: (row[1].address or 0, row[0]))
        yield from _overlaps_in(rows)


def _overlaps_in(rows: Sequence[tuple[int, ProfilePoint]]) -> Iterator[Fault]:
    for place, (_, earlier) in enumerate(rows):
        for index, later in rows[place + 1 :]:
            if (later.address or 0) >= (earlier.address or 0) + earlier.words:
                break
            if not _may_share(earlier, later):
                text = f"{later.name} overlaps {earlier.name} at address {later.address}"
                remedy = "correct an address or a type; parts of one register need bit and bit_width"
                yield Fault(("points", index, "address"), text, remedy)


def _may_share(one: ProfilePoint, other: ProfilePoint) -> bool:
    """Bit fields of one register that have no bit in common, or a bit field beside its whole register."""
    if one.address != other.address or one.words != other.words or (one.bit is None and other.bit is None):
        return False
    if one.bit is None or other.bit is None:
        return True
    spans = sorted((p.bit or 0, (p.bit or 0) + p.bit_width) for p in (one, other))
    return all(end <= start for (_, end), (start, _) in pairwise(spans))

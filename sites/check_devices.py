"""Faults of links, equipment, profiles, addresses and meters."""

from __future__ import annotations

from collections.abc import Iterator

from devices.profiles import OWN_PROFILES, Profile, load_profile, profile_names
from plant.quantities import Quantity
from sites.check_http import http_faults
from sites.check_link_options import link_option_faults
from sites.check_modbus import modbus_faults
from sites.form import EquipmentForm, SiteForm, SourceForm
from sites.problem import Fault, one_of


def device_faults(form: SiteForm) -> Iterator[Fault]:
    """All faults of links, equipment and their sources."""
    yield from _shared_endpoints(form)
    yield from _repeated_ids(form)
    yield from _bad_sources(form)
    yield from _shared_addresses(form)
    yield from http_faults(form)
    yield from modbus_faults(form)
    yield from link_option_faults(form)
    yield from _bad_meters(form)
    yield from _pue_meters(form)


def _shared_endpoints(form: SiteForm) -> Iterator[Fault]:
    seen: dict[tuple[str, int], str] = {}
    for name, link in form.links.items():
        other = seen.setdefault((link.host, link.port), name)
        if other != name:
            yield Fault(
                place=("links", name),
                message=f"link {name!r} has the same address {link.host}:{link.port} as link {other!r}",
                remedy=f"use link {other!r} with another unit, or correct the port",
            )


def _repeated_ids(form: SiteForm) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, equipment in enumerate(form.equipment):
        if equipment.id in seen:
            message = f"equipment id {equipment.id!r} is used twice"
            yield Fault(place=("equipment", index, "id"), message=message, remedy="give each equipment its own id")
        seen.add(equipment.id)


def sources_of(form: SiteForm) -> Iterator[tuple[int, int, EquipmentForm, SourceForm]]:
    """Index of equipment, index of source, and both."""
    for index, equipment in enumerate(form.equipment):
        for number, source in enumerate(equipment.sources):
            yield index, number, equipment, source


def known_profile(source: SourceForm) -> Profile | None:
    """The source's profile, if it exists."""
    return load_profile(source.profile) if source.profile in profile_names() else None


def _bad_sources(form: SiteForm) -> Iterator[Fault]:
    for index, number, equipment, source in sources_of(form):
        place = ("equipment", index, "sources", number)
        profile = known_profile(source)
        if profile is None:
            yield Fault(
                place=(*place, "profile"),
                message=f"{equipment.id}: unknown profile {source.profile!r}",
                remedy=f"{one_of(source.profile, profile_names())}; your own are looked for in ${OWN_PROFILES}",
            )
        elif profile.kind != equipment.kind:
            message = f"{equipment.id}: profile {source.profile!r} is for a {profile.kind}, not for a {equipment.kind}"
            remedy = f"use a profile of a {equipment.kind}, or correct the kind"
            yield Fault(place=(*place, "profile"), message=message, remedy=remedy)
        yield from _bad_gpus(form, equipment, source, profile, place)
        yield from _bad_link(form, equipment, source, profile, place)


def _bad_gpus(
    form: SiteForm, equipment: EquipmentForm, source: SourceForm, profile: Profile | None, place: tuple[str | int, ...]
) -> Iterator[Fault]:
    if source.gpus and profile is not None and profile.format != "gpu":
        message = f"{equipment.id}: profile {source.profile!r} takes no `gpus`"
        remedy = "remove it; profile gpu-node takes it, dcgm-gpu takes GPUs by name in `object`"
        yield Fault(place=(*place, "gpus"), message=message, remedy=remedy)
    elif source.gpus > form.site.gpus_per_rack:
        message = f"{equipment.id}: {source.gpus} GPUs are told of, a rack has {form.site.gpus_per_rack}"
        yield Fault(place=(*place, "gpus"), message=message, remedy="name fewer, or correct site.gpus_per_rack")


def _bad_link(
    form: SiteForm, equipment: EquipmentForm, source: SourceForm, profile: Profile | None, place: tuple[str | int, ...]
) -> Iterator[Fault]:
    link = form.links.get(source.link)
    if link is None:
        yield Fault(
            place=(*place, "link"),
            message=f"{equipment.id}: unknown link {source.link!r}",
            remedy=one_of(source.link, form.links),
        )
    elif profile is not None and profile.transport != link.transport:
        wanted = [name for name, other in form.links.items() if other.transport == profile.transport]
        yield Fault(
            place=(*place, "link"),
            message=f"{equipment.id}: profile {source.profile!r} speaks {profile.transport}, "
            f"link {source.link!r} is {link.transport}",
            remedy=f"use a {profile.transport} link" + (f" such as {wanted[0]!r}" if wanted else ""),
        )


def _shared_addresses(form: SiteForm) -> Iterator[Fault]:
    seen: dict[tuple[str, ...], tuple[int, int]] = {}
    for index, number, equipment, source in sources_of(form):
        profile = known_profile(source)
        if profile is None or source.link not in form.links:
            continue
        key = _address(equipment, source, profile)
        other = seen.setdefault(key, (index, number))
        if other != (index, number):
            place = ("equipment", index, "sources", number)
            user = form.equipment[other[0]].id
            message = f"{equipment.id}: {key[1]} at link {source.link!r} is already used by {user}"
            yield Fault(place=place, message=message, remedy=f"give each device its own {key[1].partition(' ')[0]}")


def _address(equipment: EquipmentForm, source: SourceForm, profile: Profile) -> tuple[str, ...]:
    if profile.transport == "modbus-tcp":
        return source.link, f"unit {source.unit}"
    return source.link, f"object {source.object or equipment.id!r}", profile.format, profile.kind


def _bad_meters(form: SiteForm) -> Iterator[Fault]:
    known = [e.id for e in form.equipment if e.kind != "meter"]
    for index, equipment in enumerate(form.equipment):
        place = ("equipment", index, "meters")
        if equipment.kind == "meter" and not equipment.meters:
            message = f"{equipment.id}: a meter must say what it measures"
            yield Fault(place=place, message=message, remedy="add `meters: ID` with the id of an equipment")
        elif equipment.meters and equipment.kind != "meter":
            message = f"{equipment.id}: only a meter has `meters`, this is a {equipment.kind}"
            yield Fault(place=place, message=message, remedy="remove it, or correct the kind")
        elif equipment.meters and equipment.meters not in known:
            message = f"{equipment.id}: measures unknown equipment {equipment.meters!r}"
            yield Fault(place=place, message=message, remedy=one_of(equipment.meters, known))


IT_KINDS = ("ups", "pdu", "rack")
"""Where IT energy may be metered: PUE categories 1, 2 and 3."""


def _pue_meters(form: SiteForm) -> Iterator[Fault]:
    """A total and the IT energy need a register at each of their places, and one only."""
    metered: dict[str, str] = {}
    of_kind = {kind: {e.id for e in form.equipment if e.kind == kind} for kind in ("utility", *IT_KINDS)}
    for index, meter in enumerate(form.equipment):
        if meter.kind == "meter" and _counts_energy(meter):
            first = metered.setdefault(meter.meters, meter.id)
            if first != meter.id and any(meter.meters in places for places in of_kind.values()):
                message = f"{meter.id}: {meter.meters} has an energy meter already, {first}, so there will be no PUE"
                remedy = "name a feed of its own for each, or leave out the spare one"
                yield Fault(place=("equipment", index, "meters"), message=message, remedy=remedy, warning=True)
    everywhere = {kind: bool(ids) and ids <= metered.keys() for kind, ids in of_kind.items()}
    if not everywhere["utility"]:
        yield _no_pue("no energy meter at a utility feed", "a meter with `meters:` the utility feed")
    if not any(everywhere[kind] for kind in IT_KINDS):
        remedy = "a meter with `meters:` each UPS or PDU, or one for each rack"
        yield _no_pue("no energy meter at every UPS, PDU or rack", remedy)


def _no_pue(what: str, remedy: str) -> Fault:
    message = f"{what}, so there will be no PUE"
    return Fault(place=("equipment",), message=message, remedy=f"add {remedy}", warning=True)


def _counts_energy(equipment: EquipmentForm) -> bool:
    profiles = [known_profile(s) for s in equipment.sources]
    return any(point.quantity is Quantity.ENERGY for p in profiles if p is not None for point in p.points)

"""Faults of what is scraped over HTTP: hosts that can't share out a rack's GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from devices.profiles import load_profile, profile_names
from sites.form import EquipmentForm, SiteForm, SourceForm
from sites.problem import Fault


def http_faults(form: SiteForm) -> Iterator[Fault]:
    """All faults of what is scraped."""
    for index, equipment in enumerate(form.equipment):
        yield from _bad_hosts(form, index, equipment)


def _bad_hosts(form: SiteForm, index: int, equipment: EquipmentForm) -> Iterator[Fault]:
    place = ("equipment", index, "sources")
    sources = [source for source in equipment.sources if _is_scraped(source)]
    entries = [e for source in sources for e in (source.object or equipment.id).replace(",", " ").casefold().split()]
    twice = [entry for entry, number in Counter(entries).items() if number > 1]
    if twice:
        message = f"{equipment.id}: GPU host {twice[0]!r} is named twice"
        yield Fault(place=place, message=message, remedy="give each of its sources the `object` of its own hosts")
        return
    given = form.site.gpus_per_rack
    hosts = [entry for entry in entries if not entry.startswith("gpu-")]
    left = given - (len(entries) - len(hosts))
    if left < 0:
        message = f"{equipment.id}: {len(entries) - len(hosts)} GPUs are named, a rack has {given}"
        yield Fault(place=place, message=message, remedy="name fewer, or correct site.gpus_per_rack")
    elif hosts and left % len(hosts):
        message = f"{equipment.id}: {left} GPUs can't be shared out equally among {len(hosts)} hosts"
        remedy = "name all hosts of the rack in `object`, or correct site.gpus_per_rack"
        yield Fault(place=place, message=message, remedy=remedy)


def _is_scraped(source: SourceForm) -> bool:
    return source.profile in profile_names() and load_profile(source.profile).format == "dcgm"

"""Faults of devices that are commanded over more than one path."""

from __future__ import annotations

from collections.abc import Iterator

from devices.profiles import load_profile
from sites.form import EquipmentForm, SiteForm, SourceForm
from sites.groups import commanded_points, commanded_sources
from sites.problem import Fault


def path_faults(form: SiteForm) -> Iterator[Fault]:
    """One remote switch puts every setpoint of its path in force, also those that are commanded over another path."""
    commanded = commanded_points(form)
    for index, equipment in enumerate(form.equipment):
        paths = commanded_sources(equipment, commanded)
        for source in paths if len(paths) > 1 else ():
            for name in sorted(_setpoints(equipment, source) - commanded):
                message = f"{equipment.id}: {name} comes into force with what is commanded over {source.link!r}"
                remedy = f"use a profile without it (generic-cdu-pressure), or command it over {source.link!r}"
                yield Fault(place=("equipment", index, "sources"), message=message, remedy=remedy)


def _setpoints(equipment: EquipmentForm, source: SourceForm) -> set[str]:
    profile = load_profile(source.profile)
    switches = {profile.fallback.heartbeat, profile.fallback.enable, profile.fallback.owner}
    names = (point.name for point in profile.points if point.writable and point.name not in switches)
    return {f"{equipment.id}/{name}" for name in names}

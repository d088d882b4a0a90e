"""All faults of a site file, each with its line and a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from plant.errors import ConfigError
from sites.build import all_points
from sites.check_devices import device_faults, known_profile, sources_of
from sites.check_feeds import feed_faults
from sites.check_figures import figure_faults, limit_figure_faults
from sites.check_flow import flow_faults
from sites.check_groups import group_faults
from sites.check_limits import tolerance_faults, unmet_limits
from sites.check_loops import loop_faults
from sites.check_paths import path_faults
from sites.check_rule import rule_faults
from sites.check_sensors import sensor_faults
from sites.check_stages import stage_faults
from sites.document import Document, read_document
from sites.form import LimitForm, SiteForm
from sites.jobs import job_faults
from sites.problem import Fault, Problem, located, one_of, suggestion
from sites.service import service_faults
from sites.shape import read_form
from sites.tariffs import hourly_prices
from sites.usual_figures import usual_faults

__all__ = ["Problem", "faults_of", "inspect", "problems"]


def problems(path: str | Path) -> list[Problem]:
    """Every fault and warning of the file at `path`, in the order of its lines."""
    try:
        document = read_document(path)
    except ConfigError as error:
        return [Problem(where=error.where, message=error.message, remedy=error.remedy)]
    return inspect(document)[1]


def inspect(document: Document) -> tuple[SiteForm | None, list[Problem]]:
    """The form (only for use if there is no fault) and all problems."""
    form, faults = faults_of(document.data)
    found = {(p.where, p.message): p for p in (located(f, document) for f in faults)}
    return form, sorted(found.values(), key=_line)


def faults_of(data: dict[str, Any]) -> tuple[SiteForm | None, list[Fault]]:
    """The form (only for use if there is no fault) and all faults of a site file's data."""
    form, faults = read_form(data)
    return form, faults if form is None else faults + _meaning_faults(form)


def _line(problem: Problem) -> int:
    return int(problem.where.rpartition(":")[2])


def _meaning_faults(form: SiteForm) -> list[Fault]:
    faults = [*_head_faults(form), *figure_faults(form), *limit_figure_faults(form), *_limit_faults(form)]
    faults += [*device_faults(form), *feed_faults(form)]
    if all(known_profile(source) for *_, source in sources_of(form)):
        points = all_points(form)
        faults += [*group_faults(form, points), *stage_faults(form, points), *rule_faults(form), *path_faults(form)]
        faults += [*unmet_limits(form), *tolerance_faults(form), *usual_faults(form), *loop_faults(form)]
        faults += [*flow_faults(form, points), *sensor_faults(form, points)]
        zone = ZoneInfo(form.site.timezone if _is_timezone(form.site.timezone) else "UTC")
        faults += service_faults(form, points, zone)
    return faults


def _head_faults(form: SiteForm) -> Iterator[Fault]:
    if not _is_timezone(form.site.timezone):
        near = suggestion(form.site.timezone, available_timezones())
        remedy = f"did you mean {near!r}?" if near else "use an IANA name such as Europe/Berlin, Asia/Shanghai or UTC"
        yield Fault(place=("site", "timezone"), message=f"unknown timezone {form.site.timezone!r}", remedy=remedy)
    try:
        hourly_prices(form.tariff.energy_per_kwh)
    except ConfigError as error:
        yield Fault(place=("tariff", "energy_per_kwh"), message=error.message, remedy=error.remedy)
    yield from job_faults(form)
    racks = [e.id for e in form.equipment if e.kind == "rack"]
    for name in form.workload.racks:
        if name not in racks:
            message = f"workload names unknown rack {name!r}"
            yield Fault(place=("workload", "racks", name), message=message, remedy=one_of(name, racks))


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


def _limit_faults(form: SiteForm) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, limit in enumerate(form.limits):
        place = ("limits", index)
        if limit.id in seen:
            message = f"limit id {limit.id!r} is used twice"
            yield Fault(place=(*place, "id"), message=message, remedy="give each limit its own id")
        seen.add(limit.id)
        yield from _bounds(limit, place)


def _bounds(limit: LimitForm, place: tuple[str | int, ...]) -> Iterator[Fault]:
    if limit.min is None and limit.max is None:
        message = f"limit {limit.id!r} has neither min nor max"
        yield Fault(place=place, message=message, remedy="add `min:` or `max:`, or remove the limit")
    elif limit.min is not None and limit.max is not None and limit.min > limit.max:
        message = f"limit {limit.id!r}: min {limit.min:g} is above max {limit.max:g}"
        yield Fault(place=place, message=message, remedy="let min be at most max")

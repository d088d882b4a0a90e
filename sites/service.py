"""What is out of service: when it ends, and faults of such entries."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from plant.errors import ConfigError
from plant.points import PointId
from plant.topology import OutOfService
from sites.form import OutOfServiceForm, SiteForm
from sites.problem import Fault, one_of


def out_of_service(form: SiteForm) -> tuple[OutOfService, ...]:
    """The entries; `form` must have no faults."""
    zone = ZoneInfo(form.site.timezone)
    return tuple(
        OutOfService(subject=e.what, reason=e.reason, until_s=end_of(e, zone).timestamp()) for e in form.out_of_service
    )


def end_of(entry: OutOfServiceForm, zone: ZoneInfo) -> datetime:
    """When an entry ends.

    Raises:
        ConfigError: `until` is no date-time.
    """
    try:
        end = datetime.fromisoformat(entry.until)
        end = end if end.tzinfo else end.replace(tzinfo=zone)
        end.timestamp()
    except (ValueError, OverflowError) as error:
        remedy = "give an ISO date-time such as 2027-03-31T18:00"
        raise ConfigError(f"{entry.what}: until {entry.until!r} is no date-time", remedy=remedy) from error
    return end


def service_faults(form: SiteForm, points: Collection[PointId], zone: ZoneInfo) -> Iterator[Fault]:
    """Unknown subjects, repeated ones, and ends that are no date-time."""
    known = [*(e.id for e in form.equipment), *points]
    seen: set[str] = set()
    for index, entry in enumerate(form.out_of_service):
        place = ("out_of_service", index)
        if entry.what not in known and not any(p.startswith(f"{entry.what}/") for p in points):
            message = f"out of service: unknown equipment or point {entry.what!r}"
            yield Fault(place=(*place, "what"), message=message, remedy=one_of(entry.what, known))
        if entry.what in seen:
            message = f"{entry.what} is out of service twice"
            yield Fault(place=(*place, "what"), message=message, remedy="keep one entry, with the later end")
        seen.add(entry.what)
        try:
            end_of(entry, zone)
        except ConfigError as error:
            yield Fault(place=(*place, "until"), message=error.message, remedy=error.remedy)

"""Faults of Modbus links: settings."""

from __future__ import annotations

from collections.abc import Iterator

from devices.modbus_options import read_options
from plant.errors import ConfigError
from sites.form import SiteForm
from sites.problem import Fault


def modbus_faults(form: SiteForm) -> Iterator[Fault]:
    """All faults of the options of Modbus links."""
    for name, link in form.links.items():
        if link.transport == "modbus-tcp":
            try:
                read_options(link.options, "")
            except ConfigError as error:
                message = f"link {name!r}: {error.message}"
                yield Fault(place=("links", name, "options"), message=message, remedy=error.remedy)

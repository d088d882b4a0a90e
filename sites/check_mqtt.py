"""Faults of MQTT links."""

from __future__ import annotations

from collections.abc import Iterator

from devices.mqtt_options import read_options
from plant.errors import ConfigError
from sites.form import SiteForm
from sites.problem import Fault


def mqtt_faults(form: SiteForm) -> Iterator[Fault]:
    """All faults of what the site file says of brokers."""
    for name, link in form.links.items():
        if link.transport == "mqtt":
            try:
                read_options(link.options)
            except ConfigError as error:
                message = f"link {name!r}: {error.message}"
                yield Fault(place=("links", name, "options"), message=message, remedy=error.remedy)

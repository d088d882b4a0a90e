"""Faults of what the site file says of links to brokers and HTTP hosts."""

from __future__ import annotations

from collections.abc import Iterator

from devices import http_options, mqtt_options
from plant.errors import ConfigError
from sites.form import SiteForm
from sites.problem import Fault

READERS = {"mqtt": mqtt_options.read_options, "http": http_options.read_options}
"""By transport, the one that reads them when the link is opened."""


def link_option_faults(form: SiteForm) -> Iterator[Fault]:
    """Options that their reader refuses: settings, secrets in clear."""
    for name, link in form.links.items():
        read = READERS.get(link.transport)
        if read is None:
            continue
        try:
            read(link.options)
        except ConfigError as error:
            yield Fault(
                place=("links", name, "options"), message=f"link {name!r}: {error.message}", remedy=error.remedy
            )

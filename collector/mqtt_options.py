"""What the site file says of a broker, with the name that we have there."""

from __future__ import annotations

from dataclasses import replace

from devices.mqtt_options import MqttOptions, read_options
from plant.errors import ConfigError
from plant.topology import Link, Site


def link_options(site: Site, link: Link) -> MqttOptions:
    """A link's options, checked.

    Raises:
        ConfigError: see `devices.mqtt_options.read_options`.
    """
    try:
        found = read_options(link.options)
    except ConfigError as error:
        raise ConfigError(error.message, where=f"link {link.id}", remedy=error.remedy) from error
    share = f"-{found.partition}of{found.partitions}" if found.partitions > 1 else ""
    return replace(found, client_id=found.client_id or f"coldplate-{site.id}-{link.id}{share}")

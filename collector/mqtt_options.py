"""What the site file says of a broker, checked."""

from __future__ import annotations

from dataclasses import dataclass

from devices.tls import Tls
from plant.errors import ConfigError
from plant.topology import Link, Site


@dataclass(frozen=True, slots=True)
class Options:
    """A link's options, checked."""

    client_id: str
    protocol: int
    username: str
    password: str
    tls: Tls | None
    discover: bool
    rebirth: bool
    partitions: int
    partition: int

    @classmethod
    def of(cls, site: Site, link: Link) -> Options:
        """From the site file.

        Raises:
            ConfigError: out of range, or names that no MQTT link has.
        """
        given = link.options
        where = f"link {link.id}"
        unknown = sorted(set(given) - _KNOWN_OPTIONS)
        if unknown:
            remedy = f"an MQTT link has {', '.join(sorted(_KNOWN_OPTIONS))}"
            raise ConfigError(f"unknown option {unknown[0]!r}", where=where, remedy=remedy)
        partitions, partition = int(given.get("partitions", 1)), int(given.get("partition", 0))
        if not 0 <= partition < partitions:
            message = f"partition {partition} of {partitions}"
            raise ConfigError(message, where=where, remedy="count partition from 0 to partitions - 1")
        if int(given.get("protocol", 4)) not in (4, 5):
            raise ConfigError("unknown protocol", where=where, remedy="use 4 for MQTT 3.1.1 or 5")
        share = f"-{partition}of{partitions}" if partitions > 1 else ""
        files = [str(given.get(name, "")) for name in ("tls_ca", "tls_cert", "tls_key")]
        return cls(
            client_id=str(given.get("client_id", f"coldplate-{site.id}-{link.id}{share}")),
            protocol=int(given.get("protocol", 4)),
            username=str(given.get("username", "")),
            password=str(given.get("password", "")),
            tls=Tls(*files) if any(files) or given.get("tls") else None,
            discover=bool(given.get("discover", False)),
            rebirth=bool(given.get("rebirth", True)),
            partitions=partitions,
            partition=partition,
        )


_KNOWN_OPTIONS = frozenset(Options.__dataclass_fields__) | {"tls_ca", "tls_cert", "tls_key", "integration"}

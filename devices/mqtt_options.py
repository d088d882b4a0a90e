"""Settings of an MQTT link: who we are at the broker, TLS, and which of several collectors this is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devices.tls import Tls
from plant.errors import ConfigError

Option = str | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions:
    """What a link's `options` say. client_id: "" for one that is made of the names of site and link.

    discover: take what no equipment names, too; rebirth: Sparkplug nodes may be asked for their birth.
    """

    client_id: str
    protocol: int
    username: str
    password: str
    tls: Tls | None
    discover: bool
    rebirth: bool
    partitions: int
    partition: int


_KNOWN = frozenset(MqttOptions.__dataclass_fields__) | {"tls_ca", "tls_cert", "tls_key", "integration"}


def read_options(given: Mapping[str, Option]) -> MqttOptions:
    """From the site file.

    Raises:
        ConfigError: out of range, not of its kind, or names that no MQTT link has.
    """
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise ConfigError(f"unknown option {unknown[0]!r}", remedy=f"an MQTT link has {', '.join(sorted(_KNOWN))}")
    partitions, partition = _whole(given, "partitions", 1), _whole(given, "partition", 0)
    if not 0 <= partition < partitions:
        remedy = "count partition from 0 to partitions - 1"
        raise ConfigError(f"partition {partition} of {partitions}", remedy=remedy)
    protocol = _whole(given, "protocol", 4)
    if protocol not in (4, 5):
        raise ConfigError("unknown protocol", remedy="use 4 for MQTT 3.1.1 or 5")
    if given.get("password") and not given.get("username") and protocol == 4:
        raise ConfigError("a password without a username", remedy="give a username, or protocol: 5")
    files = [str(given.get(name, "")) for name in ("tls_ca", "tls_cert", "tls_key")]
    return MqttOptions(
        client_id=str(given.get("client_id", "")),
        protocol=protocol,
        username=str(given.get("username", "")),
        password=str(given.get("password", "")),
        tls=Tls(*files) if _yes(given, "tls", usually=False) or any(files) else None,
        discover=_yes(given, "discover", usually=False),
        rebirth=_yes(given, "rebirth", usually=True),
        partitions=partitions,
        partition=partition,
    )


def _whole(given: Mapping[str, Option], name: str, usual: int) -> int:
    value = given.get(name, usual)
    if isinstance(value, bool) or not str(value).removesuffix(".0").isdecimal():
        raise ConfigError(f"{name} {value!r} is no whole number", remedy=f"write e.g. {name}: {usual}")
    return int(float(value))


def _yes(given: Mapping[str, Option], name: str, *, usually: bool) -> bool:
    value = given.get(name, usually)
    if not isinstance(value, bool):
        raise ConfigError(f"{name} {value!r} is neither true nor false", remedy="write true or false")
    return value

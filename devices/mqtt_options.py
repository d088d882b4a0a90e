"""Settings of an MQTT link: who we are at the broker, TLS, and which of several collectors this is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devices.secrets_at import secret_at
from devices.tls import Tls
from plant.errors import ConfigError

Option = str | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions:
    """What a link's `options` say. client_id: "" for one that is made of the names of site and link.

    password: in the site file; better in a file or an environment variable: password_file, password_env.
    discover: take what no equipment names, too; rebirth: Sparkplug nodes may be asked for their birth.
    """

    client_id: str
    protocol: int
    username: str
    password: str
    password_file: str
    password_env: str
    tls: Tls | None
    discover: bool
    rebirth: bool
    partitions: int
    partition: int

    def secret(self) -> str:
        """The password, read now; empty where there is none.

        Raises:
            ConfigError: its file or variable does not hold it.
        """
        if self.password_file or self.password_env:
            return secret_at("password", self.password_file, self.password_env)
        return self.password


_TEXTS = (
    *("client_id", "username", "password", "password_file", "password_env"),
    *("tls_ca", "tls_cert", "tls_key", "integration"),
)
_KNOWN = frozenset({*MqttOptions.__dataclass_fields__, *_TEXTS})


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
    texts = {name: _text(given, name) for name in _TEXTS}
    places = [name for name in ("password", "password_file", "password_env") if texts[name]]
    if len(places) > 1:
        raise ConfigError(f"{' and '.join(places)} are given", remedy="let the password stand in one place")
    if places and not texts["username"] and protocol == 4:
        raise ConfigError("a password without a username", remedy="give a username, or protocol: 5")
    files = [texts[name] for name in ("tls_ca", "tls_cert", "tls_key")]
    return MqttOptions(
        client_id=texts["client_id"],
        protocol=protocol,
        username=texts["username"],
        password=texts["password"],
        password_file=texts["password_file"],
        password_env=texts["password_env"],
        tls=Tls(*files) if _yes(given, "tls", usually=False) or any(files) else None,
        discover=_yes(given, "discover", usually=False),
        rebirth=_yes(given, "rebirth", usually=True),
        partitions=partitions,
        partition=partition,
    )


def _text(given: Mapping[str, Option], name: str) -> str:
    """Of a number the digits are not known any more: 0123 and 123.0 are one. What it is, a password, is not told."""
    value = given.get(name, "")
    if not isinstance(value, str):
        raise ConfigError(f"{name} is no text", remedy=f'quote it: {name}: "…"')
    return value


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

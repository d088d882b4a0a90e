"""What a site file's link says about a Modbus endpoint, checked."""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from devices.modbus import ModbusEndpoint
from devices.profiles import Profile
from plant.errors import ConfigError

Options = Mapping[str, str | float | bool]
_FRAMINGS = ("tcp", "rtu")
_TEXTS = ("framing", "tls_ca", "tls_cert", "tls_key", "tls_name")
_TIMES = ("timeout_s", "pause_s", "connect_delay_s")


@dataclass(frozen=True)
class ModbusOptions:
    """Options of a link, checked. framing: `tcp`, or `rtu` for RTU frames over TCP; the tls_ ones are file paths.

    Modbus/TLS is spoken where tls_ca (who signed the device's certificate) is given; tls_cert and tls_key are the
    client's own, tls_name is the name in the device's certificate where it is not the host.
    """

    framing: str = "tcp"
    timeout_s: float = 1.0
    pause_s: float = 0.0
    connect_delay_s: float = 0.0
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_name: str = ""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return bool(self.tls_ca)


def read_options(options: Options, where: str) -> ModbusOptions:
    """A link's options.

    Raises:
        ConfigError: an unknown one, a wrong type, or TLS options that do not go together.
    """
    for name, value in options.items():
        if name not in (*_TEXTS, *_TIMES):
            raise ConfigError(f"unknown option {name!r}", where=where, remedy=f"use {', '.join((*_TEXTS, *_TIMES))}")
        if name in _TEXTS and not isinstance(value, str):
            raise ConfigError(f"{name} is {value!r}", where=where, remedy="give a text")
        if name in _TIMES and not _is_time(value):
            raise ConfigError(f"{name} is {value!r}", where=where, remedy="give seconds, 0 to 60")
    found = ModbusOptions(
        framing=str(options.get("framing", "tcp")),
        timeout_s=float(options.get("timeout_s", 1.0)),
        pause_s=float(options.get("pause_s", 0.0)),
        connect_delay_s=float(options.get("connect_delay_s", 0.0)),
        tls_ca=str(options.get("tls_ca", "")),
        tls_cert=str(options.get("tls_cert", "")),
        tls_key=str(options.get("tls_key", "")),
        tls_name=str(options.get("tls_name", "")),
    )
    _check_together(found, where)
    return found


def modbus_endpoint(host: str, port: int, options: Options, profiles: Iterable[Profile], where: str) -> ModbusEndpoint:
    """The endpoint of a link; of the pauses that its options and its devices' profiles ask for, the longest counts.

    Raises:
        ConfigError: wrong options, or certificate files that can't be read.
    """
    found, known = read_options(options, where), list(profiles)
    return ModbusEndpoint(
        host,
        port,
        timeout_s=found.timeout_s,
        pause_s=max([found.pause_s, *(p.pause_s for p in known)]),
        connect_delay_s=max([found.connect_delay_s, *(p.connect_delay_s for p in known)]),
        rtu=found.framing == "rtu",
        tls=_tls_context(found, where) if found.tls else None,
        tls_name=found.tls_name,
    )


def _is_time(value: str | float | bool) -> bool:
    longest = 60
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= longest


def _check_together(found: ModbusOptions, where: str) -> None:
    if found.framing not in _FRAMINGS:
        raise ConfigError(f"framing is {found.framing!r}", where=where, remedy="use tcp, or rtu for RTU over TCP")
    if math.isclose(found.timeout_s, 0.0):
        raise ConfigError("timeout_s is 0", where=where, remedy="give the seconds that a device has for its answer")
    if (found.tls_cert or found.tls_key or found.tls_name) and not found.tls_ca:
        remedy = "add tls_ca, the file with the authority that signed the device's certificate"
        raise ConfigError("TLS without an authority", where=where, remedy=remedy)
    if found.tls_key and not found.tls_cert:
        raise ConfigError("tls_key without tls_cert", where=where, remedy="add tls_cert, the client's certificate")
    if found.tls and found.framing == "rtu":
        raise ConfigError("RTU frames do not travel over TLS", where=where, remedy="remove framing: rtu")


def _tls_context(found: ModbusOptions, where: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=found.tls_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if found.tls_cert:
            context.load_cert_chain(found.tls_cert, found.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (found.tls_ca, found.tls_cert, found.tls_key)))
        remedy = "give PEM files that this user may read, and a key that belongs to its certificate"
        raise ConfigError(f"TLS files {files}: {error.strerror or error}", where=where, remedy=remedy) from error
    return context

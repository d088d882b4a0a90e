"""Where page and API are served: address, names, TLS."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.processes import check_port_free
from plant.errors import ConfigError

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """names: more that the Host header may have, e.g. a proxy's; tls_cert, tls_key: PEM files, both or neither."""

    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def check(self) -> None:
        """Say what is wrong before anything starts.

        Raises:
            ConfigError: the port is in use, or the files are no certificate with its key.
        """
        check_port_free(self.host, self.port)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("a certificate needs its key", remedy="give --tls-cert and --tls-key")
        if self.tls_cert is not None and self.tls_key is not None:
            _check_pair(self.tls_cert, self.tls_key)

    @property
    def open(self) -> bool:
        """Whether others than this host may come."""
        return self.host not in _LOOPBACK

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Names that the Host header may have: loopback's, those of the address served, and those that were given."""
        named = _LOOPBACK | {name.lower() for name in self.names}
        if not self.open:
            return named
        if _is_everything(self.host):
            return named | {socket.gethostname().lower(), socket.getfqdn().lower(), *_own_addresses()}
        return named | {self.host}

    def arguments(self) -> list[str | Path]:
        """The same for a child's command line."""
        found: list[str | Path] = ["--host", self.host, "--port", str(self.port)]
        for name in self.names:
            found += ["--name", name]
        if self.tls_cert is not None and self.tls_key is not None:
            found += ["--tls-cert", self.tls_cert, "--tls-key", self.tls_key]
        return found

    def uvicorn(self) -> dict[str, Any]:
        """Its options."""
        tls = {"ssl_certfile": self.tls_cert, "ssl_keyfile": self.tls_key} if self.tls_cert else {}
        return {"host": self.host, "port": self.port, **tls}


def _check_pair(cert: Path, key: Path) -> None:
    for file in (cert, key):
        try:
            file.read_bytes()
        except OSError as error:
            remedy = "name a PEM file that this user may read"
            raise ConfigError(error.strerror or str(error), where=str(file), remedy=remedy) from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        remedy = "give the certificate with its chain, and the key it was made for, without a password"
        raise ConfigError("not a certificate and its key", where=f"{cert}, {key}", remedy=remedy) from error


def _is_everything(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _own_addresses() -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()

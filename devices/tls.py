"""What a link needs to speak TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from plant.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tls:
    """A link's TLS: file with the broker's authority ("" for the system's), own certificate and key ("" for none)."""

    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """Certificates and host names are always checked.

        Raises:
            ConfigError: a file is missing or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except OSError as error:
            raise _no_file("tls_ca", self.ca, error) from error
        if self.cert:
            try:
                context.load_cert_chain(self.cert, self.key or None)
            except OSError as error:
                raise _no_file("tls_cert and tls_key", self.cert, error) from error
        return context


def _no_file(option: str, path: str, error: OSError) -> ConfigError:
    remedy = "name PEM files that belong together and that this user may read"
    return ConfigError(f"{option}: {str(error.strerror or error).lower()}", where=path, remedy=remedy)

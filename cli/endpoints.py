"""Where the devices of a simulated or tunnelled site answer, apart from its file."""

from __future__ import annotations

import json
from pathlib import Path

from plant.errors import ConfigError

_REMEDY = 'write {"link": ["host", port]}'


def read_endpoints(path: Path | None) -> dict[str, tuple[str, int]] | None:
    """The override of link addresses, if there is one.

    Raises:
        ConfigError: not a JSON object of link -> [host, port].
    """
    if path is None:
        return None
    try:
        given = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"can't be read: {error}", where=str(path), remedy=_REMEDY) from error
    if not isinstance(given, dict):
        raise ConfigError("holds no links", where=str(path), remedy=_REMEDY)
    return {link: _endpoint(address, f"{path}: {link}") for link, address in given.items()}


def _endpoint(address: object, where: str) -> tuple[str, int]:
    match address:
        case [str(host), int(port)] if host and not isinstance(port, bool) and 0 < port < 65536:
            return host, port
    raise ConfigError(f"{json.dumps(address)[:60]} is no address", where=where, remedy=_REMEDY)

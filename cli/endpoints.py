"""Where the devices of a simulated or tunnelled site answer, apart from its file."""

from __future__ import annotations

import json
from pathlib import Path

from plant.errors import ConfigError


def read_endpoints(path: Path | None) -> dict[str, tuple[str, int]] | None:
    """The override of link addresses, if there is one.

    Raises:
        ConfigError: not a JSON object of link -> [host, port].
    """
    if path is None:
        return None
    try:
        return {link: (str(host), int(port)) for link, (host, port) in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(str(error), where=str(path), remedy='expected {"link": ["host", port]}') from error

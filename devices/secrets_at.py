"""Secrets that a site file names and never holds: in a file, or in an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

from plant.errors import ConfigError


def one_place(what: str, file: str, variable: str) -> None:
    """Raises: ConfigError, a secret is in no place or in two."""
    if bool(file) == bool(variable):
        number = "both are" if file else "neither is"
        remedy = f"name exactly one of {what}_file and {what}_env"
        raise ConfigError(f"the {what} can't be had: {number} given", remedy=remedy)


def secret_at(what: str, file: str, variable: str) -> str:
    """A secret, read now.

    Raises:
        ConfigError: it can't be had.
    """
    if variable:
        value = os.environ.get(variable, "")
        if not value:
            raise ConfigError(f"environment variable {variable} of the {what} is empty", remedy="set it and restart")
        return value
    try:
        value = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{what} file: {reason}", where=file, remedy="let the service's user read it") from error
    if not value:
        raise ConfigError(f"{what} file is empty", where=file, remedy=f"write the {what} into it")
    return value

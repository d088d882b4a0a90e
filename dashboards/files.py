"""Where the built page lies inside the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from plant.errors import ConfigError


def dist_folder() -> Path:
    """The folder of the built page, with `index.html` in it.

    Raises:
        ConfigError: the page is not built.
    """
    folder = Path(str(resources.files("dashboards") / "dist"))
    if not (folder / "index.html").is_file():
        raise ConfigError("the page is not built", where=str(folder), remedy="run make setup")
    return folder

"""A starting site file, as a template or from a point list in CSV."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from plant.errors import ConfigError
from sites.problem import Problem
from sites.table import Table, read_table
from sites.written import site_text


def site_id(path: Path) -> str:
    """A site id from a file's name."""
    words = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-._")
    return words[:64] or "my-site"


def starting_site(name: str) -> str:
    """Text of a small valid site file with comments."""
    template = (resources.files("sites") / "starting-site.yaml").read_text(encoding="utf-8")
    return template.replace("SITE_ID", name)


def site_from_csv(path: Path, name: str) -> tuple[str, list[Problem]]:
    """Text of a site file from a point list, or the faults of the list with its line numbers (then no text).

    Columns: equipment, kind; optional: name, profile, link, host, port, unit, object, feeds, meters.
    One line for each source of an equipment; several ids in `feeds` are parted by `;` or spaces.
    """
    try:
        table: Table = read_table(path, name)
    except ConfigError as error:
        return "", [Problem(where=error.where, message=error.message, remedy=error.remedy)]
    problems = table.problems()
    faults = [p for p in problems if p.severity == "fault"]
    return ("" if faults else site_text(table.data)), problems

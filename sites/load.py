"""Loading a site file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plant.topology import Site
from sites.build import build_site
from sites.check import inspect
from sites.document import read_document


def load_site(path: str | Path, endpoints: Mapping[str, tuple[str, int]] | None = None) -> Site:
    """The plant that a site file describes.

    endpoints: link id to (host, port), instead of the file's.

    Raises:
        ConfigError: the first fault of the file, with `file:line` and remedy; or an endpoint of an unknown link.
    """
    document = read_document(path)
    form, problems = inspect(document)
    for problem in problems:
        if problem.severity == "fault":
            raise problem.error()
    assert form is not None, "a file without a form has a fault"
    return build_site(form, document, endpoints or {})

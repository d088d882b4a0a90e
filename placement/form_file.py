"""A YAML file that a form describes: read, checked, its faults told with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from plant.errors import ConfigError
from sites.document import Document, read_document

F = TypeVar("F", bound=BaseModel)


def read_form(path: Path, form: type[F], kind: str, see: str) -> tuple[F, Document]:
    """The file at `path` as a form, with the document for lines of what only the whole shows.

    Raises:
        ConfigError: it can't be read or is wrong; names file and line, `see` is the remedy.
    """
    document = read_document(path, kind, see)
    try:
        return form.model_validate(document.data), document
    except ValidationError as error:
        first = error.errors()[0]
        text = str(first["msg"]).removeprefix("Value error, ")
        name = ".".join(map(str, first["loc"])) or "file"
        raise ConfigError(f"{name}: {text}", where=document.where(first["loc"]), remedy=see) from error

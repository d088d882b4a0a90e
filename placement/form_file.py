"""YAML files that a form describes: read, checked, faults told with file and line; what forms of clusters share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from placement.form_words import said
from placement.slurm.commands import TIMEOUT_S
from plant.errors import ConfigError
from sites.document import Document, read_document

F = TypeVar("F", bound=BaseModel)
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[\w.-]+$")]


class Form(BaseModel):
    """A part of a file: nothing in it that it does not name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClusterForm(Form):
    """A scheduler and how it is reached. conf: slurm.conf; timeout_s: of one command or request [s]."""

    name: Name
    kind: Literal["slurm", "kubernetes"]
    conf: Path | None = None
    kubeconfig: Path | None = None
    timeout_s: Annotated[float, Field(ge=0.5, le=120, strict=True)] = TIMEOUT_S

    @model_validator(mode="after")
    def _reached(self) -> Self:
        if self.conf is not None and self.kind != "slurm":
            raise ValueError("conf is for kind: slurm")
        if self.kubeconfig is not None and self.kind != "kubernetes":
            raise ValueError("kubeconfig is for kind: kubernetes")
        return self


def read_form(path: Path, form: type[F], kind: str, see: str) -> tuple[F, Document]:
    """The file at `path` as a form, with the document for lines of what only the whole shows.

    Raises:
        ConfigError: it can't be read or is wrong; names file and line, `see` is the remedy.
    """
    document = read_document(path, kind, see)
    try:
        return form.model_validate(document.data), document
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        text, remedy = said(first, form)
        remedies = "; ".join(filter(None, (remedy, see)))
        raise ConfigError(text, where=document.where(first["loc"]), remedy=remedies) from error


def refused(check: Callable[[], object], where: str) -> Iterator[ConfigError]:
    """What a check of a part of the file at `where` says against it, if anything."""
    try:
        check()
    except ConfigError as error:
        yield ConfigError(error.message, where=where, remedy=error.remedy)

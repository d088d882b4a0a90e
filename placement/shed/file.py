"""The file of `coldplate shed`: which schedulers' jobs it may requeue, and where the power of which node is limited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from devices.http_options import Option, read_options
from placement.form_file import ClusterForm, Form, read_form, refused
from placement.slurm.stoppable import Stoppable, stoppable
from plant.errors import ConfigError
from plant.hostlist import hosts
from sites.document import Document

_SEE = "docs/schedulers.md shows a shed file"
_PLACEHOLDER = re.compile(r"\{[^}]*\}?")
Watts = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False, strict=True)]


def _https() -> dict[str, Option]:
    return {"tls": True}


class SchedulerForm(ClusterForm):
    """One cluster. interruptible: how Slurm's jobs say that they may be requeued; checkpoint_s: what USR1 may take."""

    interruptible: tuple[str, ...] = ()
    checkpoint_s: Annotated[float, Field(ge=0, le=3600, strict=True)] = 10.0

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.interruptible and self.kind != "slurm":
            raise ValueError("interruptible is for kind: slurm; pods say it by their annotation")
        return self

    @property
    def ways(self) -> tuple[Stoppable, ...]:
        """How jobs say it."""
        return tuple(stoppable(text) for text in self.interruptible)


class LimitsForm(Form):
    """Where the power of some nodes is limited. bmc: host, `{node}` stands for the node's name; options: as of a link.

    paths: of Redfish resources; one with `{gpu}` is one for each of `gpus` GPUs, from first_gpu on.
    full_w, idle_w: of what one path limits, without a limit and without work [W].
    """

    nodes: Annotated[tuple[str, ...], Field(min_length=1)]
    bmc: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^/\s]+$")]
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] = 443
    options: dict[str, Option] = Field(default_factory=_https)
    paths: Annotated[tuple[Annotated[str, Field(pattern=r"^/")], ...], Field(min_length=1, max_length=64)]
    gpus: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    first_gpu: Annotated[int, Field(ge=0, le=1, strict=True)] = 0
    full_w: Watts
    idle_w: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False, strict=True)] = 0.0

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.idle_w >= self.full_w:
            raise ValueError("idle_w must be below full_w")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPlace:
    """One power limit: the node it belongs to, host, port and path, and its powers [W]."""

    node: str
    host: str
    port: int
    path: str
    full_w: float
    idle_w: float

    @property
    def name(self) -> str:
        """`host:port/path`."""
        return f"{self.host}:{self.port}{self.path}"


class ShedForm(Form):
    """The whole file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    schedulers: Annotated[tuple[SchedulerForm, ...], Field(min_length=1, max_length=20)]
    limits: tuple[LimitsForm, ...] = ()
    _lines: tuple[str, ...] = PrivateAttr(())

    def read_from(self, document: Document) -> Self:
        """The same, which knows where its nodes are named."""
        self._lines = tuple(document.where(("limits", i, "nodes")) for i in range(len(self.limits)))
        return self

    @property
    def node_at(self) -> dict[str, str]:
        """Node with power limits -> `file:line` where it is named."""
        pairs = zip(self.limits, self._lines, strict=True)
        return {node: line for limits, line in pairs for word in limits.nodes for node in hosts(word)}


def read_shed_file(path: Path) -> ShedForm:
    """The file at `path`.

    Raises:
        ConfigError: it can't be read or is wrong; names file and line.
    """
    form, document = read_form(path, ShedForm, "shed file", _SEE)
    for fault in _faults(form, document):
        raise fault
    return form.read_from(document)


def places_of(limits: LimitsForm) -> list[LimitPlace]:
    """Every limit that it names."""
    return [
        LimitPlace(
            node=node,
            host=limits.bmc.replace("{node}", node),
            port=limits.port,
            path=path,
            full_w=limits.full_w,
            idle_w=limits.idle_w,
        )
        for word in limits.nodes
        for node in hosts(word)
        for path in _paths(limits, node)
    ]


def _paths(limits: LimitsForm, node: str) -> Iterator[str]:
    for path in limits.paths:
        numbers = range(limits.first_gpu, limits.first_gpu + limits.gpus) if "{gpu}" in path else (0,)
        for gpu in numbers:
            yield path.replace("{node}", node).replace("{gpu}", str(gpu))


def _faults(form: ShedForm, document: Document) -> Iterator[ConfigError]:
    names = [scheduler.name for scheduler in form.schedulers]
    for i, scheduler in enumerate(form.schedulers):
        if scheduler.name in names[:i]:
            where = document.where(("schedulers", i, "name"))
            yield ConfigError(f"two schedulers are called {scheduler.name!r}", where=where, remedy="name each once")
        for text in scheduler.interruptible:
            yield from refused(partial(stoppable, text), document.where(("schedulers", i, "interruptible")))
    seen: set[str] = set()
    for i, limits in enumerate(form.limits):
        yield from refused(partial(read_options, limits.options), document.where(("limits", i, "options")))
        yield from refused(partial(places_of, limits), document.where(("limits", i, "nodes")))
        for place in places_of(limits):
            strange = _PLACEHOLDER.search(place.name)
            if strange:
                where, remedy = document.where(("limits", i)), "{node} does, and in paths {gpu}"
                yield ConfigError(f"{strange[0]} stands for nothing", where=where, remedy=remedy)
            if place.name in seen:
                where = document.where(("limits", i, "paths"))
                yield ConfigError(f"{place.name} stands twice", where=where, remedy="name each limit once")
            seen.add(place.name)

"""The pools file: which clusters lend nodes to one another, whose node is whose, and who may allow it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from placement.form_file import ClusterForm, Form, read_form, refused
from plant.errors import ConfigError
from plant.hostlist import hosts, names_there
from sites.document import Document

LEAST_POOLS = 2
_SEE = "docs/schedulers.md shows a pools file"


class Allow(StrEnum):
    """Whose word moves a node: nobody's, an operator's for each loan, or also the planner's."""

    NONE = "none"
    OPERATOR = "operator"
    PLANNER = "planner"


class PoolForm(ClusterForm):
    """One cluster; `nodes` are at home in it (Slurm's way of writing ranges), `keep_idle` of them it never lends.

    names: what it calls nodes that loans, the site file and the other clusters call otherwise, ranges for ranges.
    """

    nodes: tuple[str, ...] = ()
    names: dict[str, str] = Field(default_factory=dict)
    keep_idle: Annotated[int, Field(ge=0, le=20_000, strict=True)] = 1
    gpus_per_node: Annotated[int, Field(ge=1, le=1000, strict=True)] = 8

    @property
    def home(self) -> tuple[str, ...]:
        """Every node at home here, by name."""
        return tuple(node for word in self.nodes for node in hosts(word))

    @property
    def own_names(self) -> dict[str, str]:
        """Node -> its name there, of those that have another; `read_pools` has looked that it can be said."""
        return names_there(self.names, self.home)


class PlannerForm(Form):
    """What the planner may propose. node_kw: what a full node draws; least_score: of a node worth lending (0..100)."""

    node_kw: Annotated[float, Field(gt=0, le=1000, strict=True)] = 10.0
    least_score: Annotated[int, Field(ge=0, le=100, strict=True)] = 34
    most_loans: Annotated[int, Field(ge=0, le=20_000, strict=True)] = 8
    hours: Annotated[float, Field(gt=0, le=24 * 365, strict=True)] = 8.0
    drain_limit_s: Annotated[float, Field(gt=0, le=30 * 86400, strict=True)] = 3600.0


class PoolsForm(Form):
    """The whole file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    allow: Allow = Allow.NONE
    pools: Annotated[tuple[PoolForm, ...], Field(max_length=20)]
    planner: PlannerForm = PlannerForm()

    @property
    def home_of(self) -> dict[str, str]:
        """Node -> the pool that it is at home in."""
        return {node: pool.name for pool in self.pools for node in pool.home}


def read_pools(path: Path) -> PoolsForm:
    """The file at `path`.

    Raises:
        ConfigError: it can't be read or is wrong; names file and line.
    """
    form, document = read_form(path, PoolsForm, "pools file", _SEE)
    for fault in _faults(form, document):
        raise fault
    return form


def _faults(form: PoolsForm, document: Document) -> Iterator[ConfigError]:
    if len(form.pools) < LEAST_POOLS:
        remedy = f"name the cluster that lends and the one that borrows; {_SEE}"
        message = f"{len(form.pools)} pool is named, and a loan needs two" if form.pools else "no pool is named"
        yield ConfigError(message, where=document.where(("pools",)), remedy=remedy)
    seen: dict[str, str] = {}
    for i, pool in enumerate(form.pools):
        if pool.name in {p.name for p in form.pools[:i]}:
            where = document.where(("pools", i, "name"))
            yield ConfigError(f"two pools are called {pool.name!r}", where=where, remedy="give each its own name")
        yield from refused(partial(getattr, pool, "home"), document.where(("pools", i, "nodes")))
        for node in pool.home:
            if node in seen:
                message = f"node {node!r} is at home in {seen[node]} and {pool.name}"
                where = document.where(("pools", i, "nodes"))
                yield ConfigError(message, where=where, remedy="name it under one pool only")
            seen[node] = pool.name
        yield from refused(partial(names_there, pool.names, pool.home), document.where(("pools", i, "names")))

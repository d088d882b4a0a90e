"""Hints for one workload: the best nodes, and a place for all of it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from api.commands import Body
from api.hint_book import HintBook
from api.problems import ProblemError
from placement.even_place import even_place
from placement.explaining import Comparison, compare
from placement.hint_list import MODEL_VERSION, confidence
from placement.hints import HINT_LIFE_S
from placement.nodes import first, judged
from placement.workload import Locality, Workload, judged_for, place
from placement.workload_hints import WorkloadHints
from plant.errors import ConfigError
from plant.hostlist import hosts
from plant.job_knowledge import JobKnowledge
from plant.topology import Site

DEFAULT_K = 20
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class WorkloadBody(Body):
    """What is to be placed: exactly one of power_kw and gpus, over all its nodes."""

    power_kw: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = None
    gpus: Count | None = None
    gpu_type: Annotated[str, Field(max_length=100, description="A type of the site file's jobs.gpu_power_w")] = ""
    nodes: Annotated[int, Field(ge=1, le=100_000)] = 1
    duration_s: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = None
    interruptible: bool = Field(default=False, description="May be stopped at any time: uses what is free only for now")
    locality: Locality = Field(default="any", description="All nodes in one rack, on one CDU, or in one network leaf")
    even: bool = Field(default=False, description="Keep the fullest feed, CDU and rack as low as can be")
    free: list[str] = Field(
        default_factory=list, max_length=20_000, description="Its place is among these, e.g. gpu[001-018]; empty: any"
    )
    k: Annotated[int, Field(ge=1, le=1000, description="How many of the best nodes to name")] = DEFAULT_K

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.power_kw is None) == (self.gpus is None):
            raise ValueError("give exactly one of power_kw and gpus")
        return self

    def workload(self, site: Site, gpu_w: float) -> Workload:
        """In SI. gpu_w: of a GPU without a type [W].

        Raises:
            ProblemError: an unknown GPU type, or nothing known of GPUs.
        """
        total_w = self.power_kw * 1e3 if self.power_kw is not None else (self.gpus or 0) * self._gpu_w(site, gpu_w)
        return Workload(
            power_w=total_w / self.nodes,
            nodes=self.nodes,
            duration_s=float("inf") if self.duration_s is None else self.duration_s,
            interruptible=self.interruptible,
            locality=self.locality,
        )

    def _gpu_w(self, site: Site, gpu_w: float) -> float:
        known = site.jobs.gpu_power_w
        if self.gpu_type and self.gpu_type not in known:
            names = ", ".join(known) or "none"
            raise ProblemError(422, f"gpu_type: unknown type {self.gpu_type!r}", f"the site file has {names}")
        found_w = known[self.gpu_type] if self.gpu_type else gpu_w
        if found_w <= 0:
            raise ProblemError(422, "gpus: the racks have no design power", "give power_kw")
        return found_w


def hints_for(book: HintBook, site: Site, body: WorkloadBody) -> WorkloadHints:
    """Hints of this moment.

    Raises:
        ProblemError: the body names a GPU type that nobody knows.
    """
    edition, work = book.now(), body.workload(site, book.pod_power.gpu_w)
    table = judged_for(edition.table, work)
    found = judged(table, work.power_w)
    usable = replace(found, fits=found.fits & _mask(book, site.jobs, body.free)) if body.free else found
    even = even_place(table, usable, book.layout, book.draws(), edition.shared_w, work) if body.even else None
    return WorkloadHints(
        id=secrets.token_hex(8),
        generated_at=edition.table.made_s,
        valid_until=min(edition.table.expires_s, book.now_s + HINT_LIFE_S),
        model_version=MODEL_VERSION,
        confidence=confidence(table),
        inputs=edition.inputs,
        node_power_w=work.power_w,
        nodes=tuple(first(table, found, body.k)),
        place=even or place(table, usable, book.layout, edition.shared_w, work),
    )


def _mask(book: HintBook, jobs: JobKnowledge, words: list[str]) -> npt.NDArray[np.bool_]:
    """Which nodes they name, (n,).

    Raises:
        ProblemError: one of them that the site file does not have, or no list of hosts.
    """
    mask = np.zeros(len(book.node_index), dtype=np.bool_)
    try:
        for node in (node for word in words for node in hosts(word)):
            mask[book.node_index[jobs.node(node)]] = True
    except KeyError as error:
        raise ProblemError(422, f"free: no node {error.args[0]!r}", "nodes are named in jobs.nodes") from error
    except ConfigError as error:
        raise ProblemError(422, f"free: {error.message}", error.remedy) from error
    return mask


def comparison(book: HintBook, site: Site, node: str, before: str, power_kw: float | None) -> Comparison:
    """Two nodes side by side, for power_kw [kW], or one more busy node.

    Raises:
        ProblemError: 404 for a node that the site file does not have.
    """
    table, node, before = book.now().table, site.jobs.node(node), site.jobs.node(before)
    for name in (node, before):
        if name not in book.node_index:
            raise ProblemError(404, f"no node {name!r}", "see GET /v1/hints/nodes; nodes are named in jobs.nodes")
    power_w = float(book.node_w[book.node_index[node]]) if power_kw is None else power_kw * 1e3
    return compare(table, node, before, power_w)

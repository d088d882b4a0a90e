"""One cycle of the annotation, label and taint writer; a dry run unless somebody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from placement.kubernetes.marks import Mark, NodeNow, patch_for, steady


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """patches: what was (or, dry, would have been) written; failed: node -> why not.

    unknown: nodes with a mark that are not there; unmarked: nodes there without a mark.
    """

    dry: bool
    patches: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    unmarked: tuple[str, ...] = ()


class Nodes(Protocol):
    """What the writer needs of a cluster."""

    async def nodes(self) -> dict[str, NodeNow]:
        """All nodes by name."""

    async def patch_nodes(self, patches: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Merge patches by node; what was not done, with the reason."""


async def write(cluster: Nodes, marks: Mapping[str, Mark], now_s: float, *, dry: bool = True) -> Written:
    """Bring all nodes to their marks; a node without one, or whose mark is over, loses what is ours. now_s [s].

    Raises:
        SilentError: the API server did not answer; the next cycle repeats all.
        RefusedError: it does not permit to list nodes.
    """
    nodes = await cluster.nodes()
    valid = {name: mark for name, mark in marks.items() if mark.until_s > now_s}
    wanted = {name: steady(node, valid[name], now_s) for name, node in nodes.items() if name in valid}
    made = {name: patch_for(node, wanted.get(name)) for name, node in nodes.items()}
    patches = {name: patch for name, patch in made.items() if patch is not None}
    failed = {} if dry else await cluster.patch_nodes(patches)
    return Written(
        dry=dry,
        patches=patches,
        failed=failed,
        unknown=tuple(sorted(marks.keys() - nodes.keys())),
        unmarked=tuple(sorted(nodes.keys() - marks.keys())),
    )

"""The list of all nodes with a score each: what a scheduler's adapter reads once a cycle. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from placement.node_table import Array, NodeTable
from placement.nodes import reasons, scores
from plant.topology import CoolingGroup, Site

MODEL_VERSION = "headroom-2"
"""What scores are made by; another name where the same telemetry would give other scores."""
USUAL_GPUS = 8
"""Of a node that nobody named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAge:
    """One thing that hints rest on, and how old it was when they were made [s, site time]; None: never heard of."""

    name: str
    age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeScore:
    """A node's score for one more node's worth of load, 0 (none) to 100 (costs nothing), and why.

    cdu: the CDU that cools its rack, or the loop where several do: nodes that a job should not be torn from.
    """

    node: str
    score: int
    rack: str
    cdu: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHints:
    """All nodes' scores; generated_at, valid_until: [s since 1970, the site's clock]; confidence: 0..1.

    names: by scheduler what it calls nodes that it calls otherwise, node -> its name there.
    """

    id: str
    generated_at: float
    valid_until: float
    model_version: str
    confidence: float
    inputs: tuple[InputAge, ...]
    nodes: tuple[NodeScore, ...]
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def known_as(self, scheduler: str) -> dict[str, NodeScore]:
        """The nodes by the names that a scheduler has for them."""
        own = self.names.get(scheduler, {})
        return {own.get(n.node, n.node): n for n in self.nodes}


def nodes_of(site: Site) -> dict[str, str]:
    """Node -> rack, by the site file; where it names no nodes, every rack is one."""
    return dict(site.jobs.rack_of_node) or {r.id: r.id for r in site.of_kind("rack")}


def block_of(group: CoolingGroup) -> str:
    """What a loop's racks share: its CDU, or the loop itself where it has several."""
    return group.members[0] if len(group.members) == 1 else group.id


def blocks_of(site: Site) -> dict[str, str]:
    """Rack -> the CDU or loop that cools it; racks that nothing cools are absent."""
    return {rack: block_of(group) for group in site.groups.values() for rack in group.racks}


def node_power_w(site: Site, full_w: Mapping[str, float]) -> Array:
    """What one more busy node draws [W], (n,) as `nodes_of`: its rack's power by the rack's nodes, full_w by rack [W].

    Where the site file names no nodes, by eight GPUs each: a whole rack more has room in an idle one only.
    """
    racks = list(nodes_of(site).values())
    number, unnamed = Counter(racks), 1.0 if site.jobs.rack_of_node else max(site.gpus_per_rack / USUAL_GPUS, 1.0)
    return np.array([full_w.get(rack, 0.0) / (number[rack] * unnamed) for rack in racks], dtype=np.float64)


def hint_list(
    table: NodeTable,
    power_w: Array,
    blocks: Mapping[str, str],
    inputs: tuple[InputAge, ...],
    names: Mapping[str, Mapping[str, str]],
) -> NodeHints:
    """The list for power_w [W] more on each node, (n,); names: as `NodeHints` has them."""
    made, words = scores(table, power_w).tolist(), _words(table, power_w)
    nodes = tuple(
        NodeScore(node=name, score=score, rack=rack, cdu=blocks.get(rack, ""), reasons=why)
        for name, score, rack, why in zip(table.names, made, table.racks, words, strict=True)
    )
    digest = hashlib.blake2b(msgspec.json.encode((table.made_s, nodes)), digest_size=8).hexdigest()
    return NodeHints(
        id=f"hints-{digest}",
        generated_at=table.made_s,
        valid_until=table.expires_s,
        model_version=MODEL_VERSION,
        confidence=confidence(table),
        inputs=inputs,
        nodes=nodes,
        names=names,
    )


def confidence(table: NodeTable) -> float:
    """Share of nodes whose headroom is known, those without a forecast by half [1]."""
    if not table.names:
        return 0.0
    return round(float(0.5 * table.known.mean() + 0.5 * (table.known & table.ahead).mean()), 3)


def _words(table: NodeTable, power_w: Array) -> list[tuple[str, ...]]:
    """Reasons of every node, made once for all that share a rack and a power."""
    made: dict[tuple[str, float], tuple[str, ...]] = {}
    keys = list(zip(table.racks, power_w.tolist(), strict=True))
    for i, key in enumerate(keys):
        if key not in made:
            made[key] = tuple(message.text for message in reasons(table, i, key[1]))
    return [made[key] for key in keys]

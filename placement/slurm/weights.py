"""Scores of nodes as Slurm weights: sixteen levels for each block of nodes, repaired whenever they are not there.

Slurm takes nodes of the least weight first, before it looks at its topology: single nodes with their own weights would
tear jobs across network leaves. So all nodes of a block get the block's mean score. Weights are forgotten by every
`scontrol reconfigure` and every restart of the controller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from placement.slurm.commands import Slurm
from placement.slurm.nodes import Node, read_nodes

LEVELS = 16
NEUTRAL = 50
"""Score of a node that nobody knows anything about: neither attractive nor shunned."""


@dataclass(frozen=True, slots=True)
class Sync:
    """What one cycle found and did: nodes that had another weight than ours, nodes without a score, unknown nodes."""

    changed: tuple[str, ...]
    unscored: tuple[str, ...]
    unknown: tuple[str, ...]
    commands: int


@dataclass(slots=True)
class WeightWriter:
    """base: the administrator's weight of each node, to which ours are added; wrote: what we last wrote.

    blocks: nodes that jobs should find together (a network leaf, a CDU's racks); a node in none is its own.
    """

    slurm: Slurm
    blocks: Sequence[Sequence[str]] = ()
    base: dict[str, int] = field(default_factory=dict)
    wrote: dict[str, int] = field(default_factory=dict)

    async def sync(self, scores: Mapping[str, int]) -> Sync:
        """One cycle: read all weights, write those that differ. scores: node -> 0..100, higher is better.

        Raises:
            SilentError: the controller did not answer; nothing is lost, the next cycle repeats all.
            RefusedError: it refused.
        """
        nodes = await read_nodes(self.slurm)
        self._learn(nodes)
        wanted = weights_for(nodes, scores, self.blocks, self.base)
        wrong = {name: weight for name, weight in wanted.items() if nodes[name].weight != weight}
        lines = commands(wrong)
        self.wrote |= wrong
        await self.slurm.update_all(lines)
        return Sync(
            changed=tuple(sorted(wrong)),
            unscored=tuple(sorted(nodes.keys() - scores.keys())),
            unknown=tuple(sorted(scores.keys() - nodes.keys())),
            commands=len(lines),
        )

    async def restore(self) -> None:
        """Give every node its administrator's weight back.

        Raises:
            SilentError: the controller did not answer.
            RefusedError: it refused.
        """
        nodes = await read_nodes(self.slurm)
        self._learn(nodes)
        back = {n: self.base[n] for n in self.wrote if n in nodes and nodes[n].weight != self.base[n]}
        await self.slurm.update_all(commands(back))
        self.wrote.clear()

    def _learn(self, nodes: Mapping[str, Node]) -> None:
        """A weight that is not the one we wrote is the administrator's."""
        for name, node in nodes.items():
            if node.weight != self.wrote.get(name):
                self.base[name] = node.weight


def weights_for(
    nodes: Mapping[str, Node], scores: Mapping[str, int], blocks: Sequence[Sequence[str]], base: Mapping[str, int]
) -> dict[str, int]:
    """Node -> weight: its base and a level 0 (best) to 15 of its block's mean score."""
    members = [[n for n in block if n in nodes] for block in blocks]
    grouped = {n for block in members for n in block}
    found: dict[str, int] = {}
    for block in [*members, *([n] for n in nodes if n not in grouped)]:
        if block:
            mean = sum(scores.get(n, NEUTRAL) for n in block) / len(block)
            found |= {n: base[n] + level(mean) for n in block}
    return found


def level(score: float) -> int:
    """0 (score 100) to 15 (score 0)."""
    return min(int((100.0 - min(max(score, 0.0), 100.0)) * LEVELS / 100.0), LEVELS - 1)


def commands(wanted: Mapping[str, int]) -> list[str]:
    """One update for all nodes of a weight."""
    groups: dict[int, list[str]] = {}
    for name, weight in sorted(wanted.items()):
        groups.setdefault(weight, []).append(name)
    return [f"update nodename={','.join(names)} weight={weight}" for weight, names in sorted(groups.items())]

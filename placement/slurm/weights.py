"""Scores of nodes as Slurm weights: sixteen levels for each block of nodes, repaired whenever they are not there.

Slurm takes nodes of the least weight first, before it looks at its topology: single nodes with their own weights would
tear jobs across network leaves. So all nodes of a block get the block's mean score. Weights are forgotten by every
`scontrol reconfigure` and every restart of the controller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from placement.slurm.commands import Slurm
from placement.slurm.nodes import Node, read_nodes

LEVELS = 16
NEUTRAL = 50
"""Score of a node that nobody knows anything about: neither attractive nor shunned."""


@dataclass(frozen=True, slots=True)
class Sync:
    """What one cycle found and did: nodes that had another weight than they should have, nodes without a score.

    repaired: those of them that should have what we last wrote, which somebody or a restart had changed; unknown: nodes
    that have a score and are not there.
    """

    changed: tuple[str, ...]
    repaired: tuple[str, ...]
    unscored: tuple[str, ...]
    unknown: tuple[str, ...]
    commands: int


@dataclass(slots=True)
class WeightWriter:
    """base: the administrator's weight of each node, to which ours are added.

    wrote: what we last wrote and, while that may not have been done, what we wrote before. blocks: nodes that jobs
    should find together (a network leaf, a CDU's racks); a node in none is its own. remember: writes base and wrote
    down, called before a change: a process that forgets them takes our weights for the administrator's. meet: raises
    where weights, seen for the first time, are not his but those of another run of ours.
    """

    slurm: Slurm
    blocks: Sequence[Sequence[str]] = ()
    base: dict[str, int] = field(default_factory=dict)
    wrote: dict[str, tuple[int, ...]] = field(default_factory=dict)
    remember: Callable[[WeightWriter], None] | None = None
    meet: Callable[[Mapping[str, int]], None] | None = None

    async def sync(self, scores: Mapping[str, int], *, dry: bool = False) -> Sync:
        """One cycle: read all weights, write those that differ (dry: tell them). scores: node -> 0..100, high is good.

        Raises:
            SilentError: the controller did not answer; nothing is lost, the next cycle repeats all.
            RefusedError: it refused.
            ConfigError: weights are those of a run under another name.
        """
        nodes = await read_nodes(self.slurm)
        self._learn(nodes)
        wanted = weights_for(nodes, scores, self.blocks, self.base)
        wrong = {name: weight for name, weight in wanted.items() if nodes[name].weight != weight}
        repaired = tuple(sorted(n for n in wrong if self.wrote.get(n, ())[-1:] == (wanted[n],)))
        lines = commands(wrong)
        if not dry and lines:
            stands = {n: nodes[n].weight for n in wrong if nodes[n].weight in self.wrote.get(n, ())}
            self.wrote |= {n: (*([stands[n]] if n in stands else []), weight) for n, weight in wrong.items()}
            self._remember()
            await self.slurm.update_all(lines)
        return Sync(
            changed=tuple(sorted(wrong)),
            repaired=repaired,
            unscored=tuple(sorted(nodes.keys() - scores.keys())),
            unknown=tuple(sorted(scores.keys() - nodes.keys())),
            commands=len(lines),
        )

    async def restore(self, *, dry: bool = False) -> tuple[str, ...]:
        """Give every node its administrator's weight back; which were (dry: would be) changed.

        Raises:
            SilentError: the controller did not answer.
            RefusedError: it refused.
        """
        nodes = await read_nodes(self.slurm)
        self._learn(nodes)
        back = {n: self.base[n] for n in self.wrote if n in nodes and nodes[n].weight != self.base[n]}
        if not dry:
            await self.slurm.update_all(commands(back))
            self.wrote.clear()
            self._remember()
        return tuple(sorted(back))

    def _remember(self) -> None:
        if self.remember is not None:
            self.remember(self)

    def _learn(self, nodes: Mapping[str, Node]) -> None:
        """A weight that is not the one we wrote is the administrator's."""
        if self.meet is not None and not self.base:
            self.meet({name: node.weight for name, node in nodes.items()})
        for name, node in nodes.items():
            if node.weight not in self.wrote.get(name, ()):
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

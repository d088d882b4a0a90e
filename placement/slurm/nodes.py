"""Nodes as Slurm has them now."""

from __future__ import annotations

from dataclasses import dataclass

from placement.slurm.commands import Slurm
from placement.slurm.rows import row_begin, rows_of

PREFIX = "coldplate:"
"""Begins every drain reason that is ours; any other is somebody else's, and left alone."""
LOANED = f"{PREFIX} loan"
"""Begins the reason of a node that is lent, or at home elsewhere: of the pools, not of the cooling."""
_FIELDS = "%N|%w|%T|%E"


@dataclass(frozen=True, slots=True)
class Node:
    """name, scheduling weight (lower is chosen first), state without flags, whether it answers, reason of a drain."""

    name: str
    weight: int
    state: str
    answers: bool
    reason: str

    @property
    def drained_by_us(self) -> bool:
        """Whether the reason is one of coldplate's."""
        return self.reason.startswith(PREFIX)

    @property
    def drained_for_a_loan(self) -> bool:
        """Whether it is drained because another pool has it."""
        return self.reason.startswith(LOANED)

    @property
    def drains(self) -> bool:
        """Whether it takes no new job by anybody's will."""
        return self.state.startswith("drain")


async def read_nodes(slurm: Slurm) -> dict[str, Node]:
    """Every node of every partition by name.

    Raises:
        SilentError: no answer.
        RefusedError: Slurm refused.
    """
    begin = row_begin()
    text = await slurm.run("sinfo", "-a", "-h", "-N", "-o", begin + _FIELDS)
    found = (_node(row) for row in rows_of(text, begin))
    return {node.name: node for node in found}


def _node(row: str) -> Node:
    name, weight, state, reason = row.split("|", 3)
    plain = state.rstrip("*~#!%$@^-+")
    return Node(
        name.strip(), int(weight), plain, answers="*" not in state, reason="" if reason.strip() == "none" else reason
    )

"""A Slurm cluster that lends and borrows nodes which it has in its configuration: drained is away, resumed is here."""

from __future__ import annotations

from dataclasses import dataclass

from placement.slurm.commands import Slurm
from placement.slurm.drains import drain_reason
from placement.slurm.nodes import Node, read_nodes
from plant.errors import RefusedError

_WORKING = ("idle", "mixed", "allocated")


@dataclass(frozen=True, slots=True)
class SlurmPool:
    """name: how people call it."""

    name: str
    slurm: Slurm

    async def drain(self, node: str, reason: str) -> None:
        """Drain it for a reason of ours; running jobs end by themselves.

        Raises:
            RefusedError: it is drained for somebody else's reason, or unknown.
            SilentError: no answer.
        """
        found = await self._node(node)
        if found.drains and not found.drained_by_us:
            raise RefusedError(f"{node} is drained by others: {found.reason}")
        if not found.drains:
            why = f"reason={drain_reason(reason)}"
            await self.slurm.run("scontrol", "update", f"nodename={node}", "state=drain", why)

    async def idle(self, node: str) -> bool:
        """Drained and empty.

        Raises:
            RefusedError: unknown.
            SilentError: no answer.
        """
        return (await self._node(node)).state == "drained"

    async def release(self, node: str) -> None:
        """It stays drained; nothing else is to be done.

        Raises:
            RefusedError: it was put back into service by others, or is unknown.
            SilentError: no answer.
        """
        if not (await self._node(node)).drains:
            await self.drain(node, "lent")

    async def admit(self, node: str) -> None:
        """Resume it, if it was us who drained it.

        Raises:
            RefusedError: it is drained by others, or unknown.
            SilentError: no answer.
        """
        found = await self._node(node)
        if found.drains and not found.drained_by_us:
            raise RefusedError(f"{node} is drained by others: {found.reason}")
        if found.drains:
            await self.slurm.run("scontrol", "update", f"nodename={node}", "state=resume")

    async def usable(self, node: str) -> bool:
        """Answers and takes jobs.

        Raises:
            RefusedError: unknown.
            SilentError: no answer.
        """
        found = await self._node(node)
        return found.answers and found.state in _WORKING

    async def _node(self, node: str) -> Node:
        found = (await read_nodes(self.slurm)).get(node)
        if found is None:
            raise RefusedError(f"{self.name} has no node {node}")
        return found

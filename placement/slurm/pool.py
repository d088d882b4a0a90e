"""A Slurm cluster that lends and borrows nodes which it has in its configuration: drained is away, resumed is here."""

from __future__ import annotations

from dataclasses import dataclass

from placement.demand import Demand, slurm_demand
from placement.slurm.commands import Slurm
from placement.slurm.drains import drain_reason
from placement.slurm.nodes import Node, read_nodes
from plant.errors import RefusedError, SilentError

_WORKING = ("idle", "mixed", "allocated")


@dataclass(frozen=True, slots=True)
class SlurmPool:
    """name: how people call it."""

    name: str
    slurm: Slurm

    async def drain(self, node: str, reason: str) -> None:
        """Drain it; running jobs end by themselves. The reason begins with `loan`.

        Raises:
            RefusedError: it is drained for somebody else's reason, or unknown.
            SilentError: no answer.
        """
        found = await self._node(node)
        if found.drains and not found.drained_for_a_loan:
            raise RefusedError(f"{node} is drained by others: {found.reason}")
        if not found.drains:
            why = f"reason={drain_reason(reason)}"
            await self.slurm.run("scontrol", "update", f"nodename={node}", "state=drain", why)

    async def idle(self, node: str) -> bool:
        """Drained and empty.

        Raises:
            RefusedError: unknown.
            SilentError: no answer, of Slurm or of the node.
        """
        found = await self._node(node)
        if not found.answers:
            raise SilentError(f"{node} does not answer {self.name}: what runs there is not known")
        return found.state == "drained"

    async def release(self, node: str) -> None:
        """It stays drained; nothing else is to be done.

        Raises:
            RefusedError: it is drained for another reason, or unknown.
            SilentError: no answer.
        """
        if not (await self._node(node)).drains:
            await self.drain(node, "loan: put back into service by others while it was lent")

    async def admit(self, node: str) -> None:
        """Resume it, if it was us who drained it.

        Raises:
            RefusedError: it is drained by others, or unknown.
            SilentError: no answer.
        """
        found = await self._node(node)
        if found.drains and not found.drained_for_a_loan:
            raise RefusedError(f"{node} is drained by others: {found.reason}")
        if found.drains:
            await self.slurm.run("scontrol", "update", f"nodename={node}", "state=resume")

    async def usable(self, node: str) -> bool:
        """Answers and takes jobs.

        Raises:
            RefusedError: unknown.
            SilentError: no answer.
        """
        return _works(await self._node(node))

    async def serves(self) -> frozenset[str]:
        """All such nodes.

        Raises:
            RefusedError: Slurm refused.
            SilentError: no answer.
        """
        return frozenset(n.name for n in (await read_nodes(self.slurm)).values() if _works(n))

    async def demand(self) -> Demand:
        """What is free and what waits.

        Raises:
            RefusedError: Slurm refused.
            SilentError: no answer.
        """
        return await slurm_demand(self.slurm)

    async def _node(self, node: str) -> Node:
        found = (await read_nodes(self.slurm)).get(node)
        if found is None:
            raise RefusedError(f"{self.name} has no node {node}")
        return found


def _works(node: Node) -> bool:
    return node.answers and node.state in _WORKING

"""A pool whose cluster calls nodes by other names than loans do: Slurm's gpu001 may be Kubernetes' ip-10-0-1-1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from placement.demand import Demand
from placement.loans import Pool


@dataclass(slots=True)
class RenamedPool:
    """own: what the cluster calls a node that loans call otherwise; every other node has one name."""

    pool: Pool
    own: Mapping[str, str]
    _loans: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """And the way back."""
        self._loans = {own: node for node, own in self.own.items()}

    @property
    def name(self) -> str:
        """The pool's."""
        return self.pool.name

    async def drain(self, node: str, reason: str) -> None:
        """As the pool does."""
        await self.pool.drain(self._own(node), reason)

    async def idle(self, node: str) -> bool:
        """As the pool says."""
        return await self.pool.idle(self._own(node))

    async def release(self, node: str) -> None:
        """As the pool does."""
        await self.pool.release(self._own(node))

    async def admit(self, node: str) -> None:
        """As the pool does."""
        await self.pool.admit(self._own(node))

    async def usable(self, node: str) -> bool:
        """As the pool says."""
        return await self.pool.usable(self._own(node))

    async def serves(self) -> frozenset[str]:
        """Names that loans use."""
        return frozenset(self._loans.get(own, own) for own in await self.pool.serves())

    async def demand(self) -> Demand:
        """The same."""
        found = await self.pool.demand()
        return Demand(tuple(self._loans.get(own, own) for own in found.idle), found.waiting)

    def _own(self, node: str) -> str:
        return self.own.get(node, node)

"""What nodes are worth to the pods of a request for packing: learnt when it is first asked for, then remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

from api.problems import ProblemError
from placement.gpu_cluster import Node, Pod
from placement.learn_apart import learn_apart
from placement.learnt import Learnt, case_of
from placement.node_worth import Worth
from placement.rehearsal import can_learn

LIMIT_S = 300.0
"""For learning [s]."""
ALIKE = 0.1
"""Of pods that merely run nobody says that they are typical: what was learnt holds while so much of the mix changes."""


class PackingWorth:
    """Learns for one request at a time: `async with` waits for the others."""

    def __init__(self) -> None:
        self._learnt, self._turn = Learnt(), asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._turn.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._turn.release()

    async def of(self, nodes: Sequence[Node], expected: Sequence[Pod], *, declared: bool) -> Worth | None:
        """Worth for these nodes and this mix, a declared one as it is; None where nothing can be learnt.

        Raises:
            ProblemError: it takes too long.
        """
        if not can_learn(nodes, expected):
            return None
        case = case_of(nodes, expected)
        known = self._learnt.find(case, 0.0 if declared else ALIKE)
        if known is not None:
            return known
        try:
            worth = await learn_apart(nodes, expected, LIMIT_S)
        except TimeoutError as error:
            text = f"learning for {len(nodes)} nodes took longer than {LIMIT_S:.0f} s"
            raise ProblemError(503, text, "ask with learn: false, or for fewer kinds of nodes and pods") from error
        self._learnt.keep(case, worth)
        return worth

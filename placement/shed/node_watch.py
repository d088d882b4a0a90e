"""Power limits of nodes that no scheduler has: a wrong name would else show only when load has to come off."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from placement.shed.stops import Scheduler
from plant.errors import ColdplateError

MOST_TOLD = 1000
LOOK_S = 300.0
"""Schedulers are asked for their nodes no more often than this [s]."""


@dataclass(slots=True)
class NodeWatch:
    """node_at: node with power limits -> `file:line`; steady_s: a clock that never jumps [s].

    unknown: the first of those of them that no scheduler has, with where they are named, as last seen.
    """

    schedulers: Mapping[str, Scheduler]
    node_at: Mapping[str, str]
    steady_s: Callable[[], float] = time.monotonic
    unknown: tuple[str, ...] = ()
    _looked_s: float = -math.inf
    _said: tuple[str, ...] = field(default=())

    async def look(self) -> list[str]:
        """Ask if it is time to; lines for people where something is another than before."""
        if self.steady_s() - self._looked_s < LOOK_S:
            return []
        self._looked_s = self.steady_s()
        try:
            answers = await asyncio.gather(*(scheduler.nodes() for scheduler in self.schedulers.values()))
        except ColdplateError as error:
            return self._news([f"which nodes of the shed file schedulers have is not known: {error}"])
        here = frozenset[str]().union(*answers)
        lost = [f"{node} ({at})" for node, at in self.node_at.items() if node not in here]
        self.unknown = tuple(lost[:MOST_TOLD])
        bare = sorted(here - self.node_at.keys()) if self.node_at else []
        lines = [f"no scheduler has {name}; correct it under limits" for name in self.unknown[:8]]
        lines += [f"{len(bare)} nodes have no power limit in the shed file, e.g. {bare[0]}"] if bare else []
        return self._news(lines)

    def _news(self, lines: list[str]) -> list[str]:
        news, self._said = [line for line in lines if line not in self._said], tuple(lines)
        return news

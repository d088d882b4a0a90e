"""One cycle of `k8s sync`: marks of all nodes as hints and budgets say, pods for the forecast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from placement.kubernetes.cluster import Kubernetes
from placement.kubernetes.marks import Mark
from placement.kubernetes.writer import write
from placement.sync_cycle import Cycle
from placement.wishes import Wishes


@dataclass(slots=True)
class KubernetesCycle:
    """write: False is a dry run; node_kw: what a full node draws [kW]; shut: scopes that are closed."""

    cluster: Kubernetes
    write: bool = False
    node_kw: float = 10.0
    wall_s: Callable[[], float] = time.time
    shut: frozenset[str] = field(default_factory=frozenset)

    async def run(self, wishes: Wishes) -> Cycle:
        """Read all nodes, patch those that differ."""
        cycle = Cycle()
        await cycle.part(self._clock(cycle))
        # Before budgets were heard once, what a run before us has closed stays closed: nothing is written at all
        if wishes.budgets_known:
            await cycle.part(self._marks(wishes, cycle))
        return cycle

    async def _clock(self, cycle: Cycle) -> None:
        begin_s, there_s = self.wall_s(), await self.cluster.clock()
        cycle.skew_s = None if there_s is None else there_s - begin_s

    async def _marks(self, wishes: Wishes, cycle: Cycle) -> None:
        now_s = self.wall_s() + (cycle.skew_s or 0.0)  # by the cluster's clock: its people read when a mark is over
        done = await write(self.cluster, marks(wishes, self.node_kw, self.shut, now_s), now_s, dry=not self.write)
        self.shut = frozenset(wishes.shut_scopes(self.node_kw, self.shut))
        if not wishes.nodes:
            cycle.say("no valid hints: marks taken back", list(done.patches))
        else:
            cycle.say("marks", list(done.patches))
        cycle.errors += [f"{node}: {why}" for node, why in list(done.failed.items())[:5]]
        cycle.compare(len(wishes.places) - len(done.unknown), done.unknown, done.unmarked, wishes.strangers)


def marks(wishes: Wishes, node_kw: float, before: frozenset[str], now_s: float) -> dict[str, Mark]:
    """Node -> what it is to say; now_s [s since 1970]. With the site over its budget no node takes a new pod."""
    closed = set(wishes.places) if wishes.over_site else set(wishes.shut(node_kw, before))
    until_s = now_s + wishes.left_s
    budgets_s = now_s + max((b.left_s for b in wishes.budgets), default=0.0)
    return {
        name: Mark(
            score=wishes.nodes[name].score if name in wishes.nodes else None,
            until_s=until_s if name in wishes.nodes else budgets_s,
            shut=name in closed,
        )
        for name in wishes.places
        if name in wishes.nodes or name in closed
    }

"""Who places jobs in `bench closed-loop`: selectors that know nothing of cooling, and coldplate's.

All of them keep a job in one block where one has room for it, as a site with a network does. `first-fit` takes the
first block and its first racks (nodes of equal weight, in the order of their names); `best-fit` the fullest block that
fits, as Slurm's topology/tree takes the smallest leaf that suffices; `random` any block, any nodes in it. `ours` is
`placement.balance` on what was learned of earlier jobs (`placement.job_power`): the true power of a job is never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from placement.balance import Expected, Layout, choose
from placement.job_power import JobPower
from simulator.cluster import SimCluster
from simulator.cluster_jobs import IDLE_SHARE, Floats, Ints

UPPER = 1.0
"""Standard deviations above the mean that a job is expected to draw."""
UNKNOWN_SHARE = 0.75
"""Power of a kind that never ran, as a share of full: rather too much."""

Select = Callable[[SimCluster, int, Ints], Ints | None]
"""select(cluster, job, free nodes by rack) -> nodes by rack, or None."""


def first_fit(layout: Layout, rng: np.random.Generator) -> Select:  # noqa: ARG001 - it draws nothing
    """The first block with room, its first nodes."""
    return _by_block(layout, lambda room, nodes: np.argmax(room >= nodes), _first)


def best_fit(layout: Layout, rng: np.random.Generator) -> Select:  # noqa: ARG001 - it draws nothing
    """The block that is left with least room."""
    return _by_block(
        layout, lambda room, nodes: np.argmin(np.where(room >= nodes, room, np.iinfo(np.int64).max)), _first
    )


def at_random(layout: Layout, rng: np.random.Generator) -> Select:
    """Any block with room, any of its nodes."""
    return _by_block(
        layout,
        lambda room, nodes: rng.choice(np.nonzero(room >= nodes)[0]),
        lambda usable, nodes: _drawn(usable, nodes, rng),
    )


def _by_block(layout: Layout, pick: Callable[[Ints, int], np.intp | Ints], fill: Callable[[Ints, int], Ints]) -> Select:
    def select(cluster: SimCluster, job: int, free: Ints) -> Ints | None:
        nodes, room = int(cluster.jobs.nodes[job]), np.bincount(layout.block, free).astype(np.int64)
        if (room >= nodes).any():
            return fill(free * (layout.block == pick(room, nodes)), nodes)
        if room.sum() < nodes:
            return None
        largest = np.argsort(-room, kind="stable")
        enough = largest[: int(np.searchsorted(np.cumsum(room[largest]), nodes)) + 1]
        return fill(free * np.isin(layout.block, enough), nodes)

    return select


def _first(usable: Ints, nodes: int) -> Ints:
    before = np.cumsum(usable) - usable
    taken: Ints = np.clip(nodes - before, 0, usable)
    return taken


def _drawn(usable: Ints, nodes: int, rng: np.random.Generator) -> Ints:
    return np.asarray(rng.multivariate_hypergeometric(usable, nodes), dtype=np.int64)


class Ours:
    """coldplate's selector, and what it has learned: one for all clusters of a site.

    rack_w: what racks are expected to draw at most [W] (r,), kept up to date as jobs come and go.
    """

    def __init__(self, layout: Layout, nodes: Ints, node_w: float, most: tuple[Floats, Floats]) -> None:
        """nodes: by rack (r,); node_w: full power of one [W]; most: what racks (r,) and rows (n,) may draw [W]."""
        self.layout, self.node_w, self.most = layout, node_w, most
        self.power = JobPower(default_w=UNKNOWN_SHARE * node_w)
        self.rack_w = (IDLE_SHARE * node_w * nodes).astype(np.float64)
        self._rise_w: dict[tuple[int, int], float] = {}

    def upper_w(self, kind: int) -> float:
        """What a node of a kind draws at most, as far as is known [W]."""
        estimate = self.power.estimate(str(kind))
        return min(max(estimate.power_w + UPPER * estimate.sd_w, IDLE_SHARE * self.node_w), self.node_w)

    def select(self, cluster: SimCluster, job: int, free: Ints) -> Ints | None:
        """As `Select`: within the budgets if there is such a place, else wherever there is one.

        A rack's budget counts for jobs that nobody may slow later.
        """
        rise_w = self.upper_w(int(cluster.jobs.kind[job])) - IDLE_SHARE * self.node_w
        nodes, (rack_w, row_w) = int(cluster.jobs.nodes[job]), self.most
        free_rack_w = np.full_like(rack_w, np.inf)
        for rack_most_w, row_most_w in (
            (free_rack_w if cluster.jobs.interruptible[job] else rack_w, row_w),
            (free_rack_w, np.full_like(row_w, np.inf)),
        ):
            expected = Expected(rack_w=self.rack_w, rack_most_w=rack_most_w, row_most_w=row_most_w)
            place = choose(self.layout, expected, free, nodes, rise_w)
            if place is not None:
                self.rack_w += place * rise_w
                self._rise_w[id(cluster), job] = rise_w
                return place
        return None

    def gone(self, cluster: SimCluster, job: int, place: tuple[Ints, Ints], drew_w: float | None) -> None:
        """A job left its place; drew_w: what a node of it drew at most [W], None where it was cut short."""
        racks, counts = place
        self.rack_w[racks] -= counts * self._rise_w.pop((id(cluster), job))
        if drew_w is not None:
            self.power.learn(str(int(cluster.jobs.kind[job])), drew_w)


BLIND: Mapping[str, Callable[[Layout, np.random.Generator], Select]] = {
    "first-fit": first_fit,
    "best-fit": best_fit,
    "random": at_random,
}

"""Where to put a pod so that little GPU is stranded and little power is drawn, and why there.

One policy: of all places that fit, the cheapest in

    stranded GPU that the placement makes [GPUs]
    + `power` · power that it adds / `POWER_SCALE_W`
    + `balance` · imbalance that it makes [threads]

The first is fragmentation gradient descent (Weng et al., USENIX ATC 2023), the second is that of Lettich et al.
(CCGrid 2025), but for `shared` of it a processor package that is begun counts by the share of it that is taken:
whoever begins one does not pay for the threads that later pods will use, and a package of which the node has few
threads, or a node whose threads are dear, is left for need.

The imbalance of a node is |free threads − free GPU · `threads` · the workload's threads per GPU|: cheap cards may sit
beside many threads, and without this term they are given to pods that need few, until GPUs without threads remain and
nodes with few threads must begin their second package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from placement.fragmentation import Floats, Workload, stranded_milli
from placement.gpu_cluster import GPU_MILLI, Bools, Candidates, Cluster, Ints, Pod, candidates
from placement.gpu_power import NodePower

CPU_MILLI = 1000
"""Thousandths in a thread."""
POWER_SCALE_W = 250.0
"""What a GPU with work draws, about [W]: makes watts comparable with stranded GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What power and balance count against stranded GPU, as the module says.

    The defaults were chosen on arrivals of `bench placement` with seeds 100–104; it shows others.
    """

    power: float = 2.0
    shared: float = 0.8
    balance: float = 0.03
    threads: float = 1.65


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A node and its GPUs for a pod, and what that costs.

    Attributes:
        node: index among the cluster's nodes; `gpus` are indices of its GPUs.
        stranded_gpus: how much free GPU of the node becomes useless (negative: useful again) [GPUs].
        power_w: how much more the node then draws, by the model [W].
        reasons: why there, in words.
    """

    node: int
    name: str
    gpus: tuple[int, ...]
    stranded_gpus: float = 0.0
    power_w: float = 0.0
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class _Scores:
    """What a request costs on each node [n], as of `changes`; infinite where it does not fit."""

    changes: Ints
    cost: Floats
    stranded: Floats
    power_w: Floats
    gpus: Ints


@dataclass(slots=True)
class Packer:
    """The policy over one cluster; it remembers scores of requests that come again until their node changes."""

    cluster: Cluster
    workload: Workload
    weights: Weights = field(default_factory=Weights)
    _power: NodePower = field(init=False)
    _accepted: Bools = field(init=False)
    _known: dict[object, _Scores] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._power = NodePower(self.cluster)
        self._accepted = self.workload.accepts(self.cluster.models)[self.cluster.model]

    def place(self, pod: Pod) -> Placement | None:
        """The best place for the pod, which is not taken yet; None if it fits nowhere."""
        scores = self._scores(pod)
        node = int(np.argmin(scores.cost)) if scores.cost.size else 0
        if not (scores.cost.size and np.isfinite(scores.cost[node])):
            return None
        return Placement(
            node=node,
            name=self.cluster.nodes[node].name,
            gpus=tuple(scores.gpus[node, : pod.gpus].tolist()),
            stranded_gpus=float(scores.stranded[node]),
            power_w=float(scores.power_w[node]),
            reasons=_reasons(scores, node),
        )

    def _scores(self, pod: Pod) -> _Scores:
        """Scores of the pod's request, brought up to date where nodes have changed."""
        scores = self._known.setdefault(pod.request, _no_scores(len(self.cluster.nodes), pod.gpus))
        stale = np.nonzero(scores.changes != self.cluster.changes)[0]
        scores.changes[stale] = self.cluster.changes[stale]
        scores.cost[stale] = np.inf
        fitting = stale[self.cluster.fits(pod)[stale]]
        if fitting.size:
            self._score(scores, candidates(self.cluster, pod, fitting))
        return scores

    def _score(self, scores: _Scores, ways: Candidates) -> None:
        """Fill in the cheapest way on each node."""
        stranded, power_w = self._strands(ways), self._draws(ways, self._power.power_w)
        shared_w = self._draws(ways, self._power.shared_w)
        weights = self.weights
        counted_w = (1.0 - weights.shared) * power_w + weights.shared * shared_w
        cost = stranded + weights.power / POWER_SCALE_W * counted_w + weights.balance * self._unbalances(ways)
        order = np.lexsort((np.round(cost, 9), ways.node))
        nodes, first = np.unique(ways.node[order], return_index=True)
        best = order[first]
        scores.cost[nodes], scores.stranded[nodes], scores.power_w[nodes] = cost[best], stranded[best], power_w[best]
        scores.gpus[nodes] = ways.gpus[best]

    def _strands(self, ways: Candidates) -> Floats:
        """GPU that each way makes useless [GPUs]."""
        cluster, node = self.cluster, ways.node
        nodes, where = np.unique(node, return_inverse=True)
        before = stranded_milli(
            self.workload,
            self._accepted[nodes],
            cluster.cpu_free[nodes],
            cluster.memory_free[nodes],
            cluster.gpu_free[nodes],
        )[where]
        after = stranded_milli(self.workload, self._accepted[node], ways.cpu_free, ways.memory_free, ways.gpu_free)
        return (after - before) / GPU_MILLI

    def _draws(self, ways: Candidates, power_w: Callable[[Ints, Ints, Ints], Floats]) -> Floats:
        """Power that each way adds [W]."""
        cluster, node = self.cluster, ways.node
        before = power_w(node, cluster.cpu_free[node], cluster.gpu_free[node])
        return power_w(node, ways.cpu_free, ways.gpu_free) - before

    def _unbalances(self, ways: Candidates) -> Floats:
        """How many more threads are free without GPUs for them, or missing beside free GPUs."""
        cluster, node = self.cluster, ways.node
        after = self._imbalance(ways.cpu_free, ways.gpu_free)
        return after - self._imbalance(cluster.cpu_free[node], cluster.gpu_free[node])

    def _imbalance(self, cpu_free: Ints, gpu_free: Ints) -> Floats:
        wanted = self.weights.threads * self.workload.cpu_per_gpu * gpu_free.sum(axis=1)
        threads: Floats = np.abs(cpu_free - wanted) / CPU_MILLI
        return threads


def place(cluster: Cluster, pod: Pod, workload: Workload) -> Placement | None:
    """The best place for one pod, which is not taken yet; None if it fits nowhere. For many pods keep a `Packer`."""
    return Packer(cluster, workload).place(pod)


def _no_scores(nodes: int, gpus: int) -> _Scores:
    return _Scores(
        changes=np.full(nodes, -1, dtype=np.int64),
        cost=np.full(nodes, np.inf),
        stranded=np.zeros(nodes),
        power_w=np.zeros(nodes),
        gpus=np.zeros((nodes, gpus), dtype=np.int64),
    )


def _reasons(scores: _Scores, node: int) -> tuple[str, ...]:
    """What speaks for the node, against the other nodes that fit."""
    fit = np.isfinite(scores.cost)
    strands, draws = scores.stranded[fit], scores.power_w[fit]
    return (
        f"fits on {int(fit.sum())} nodes",
        f"strands {scores.stranded[node]:+.3f} GPUs (all that fit: {strands.min():+.3f} to {strands.max():+.3f})",
        f"draws {scores.power_w[node]:.0f} W more (all that fit: {draws.min():.0f} to {draws.max():.0f} W)",
    )

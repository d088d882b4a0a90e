"""Where to put a pod so that little GPU is stranded and little power is drawn, and why there.

One policy: of all places that fit, the cheapest in

    stranded GPU that the placement makes [GPUs]
    + `power` · power that it adds / `POWER_SCALE_W`
    + `balance` · imbalance of the node that it makes [threads]
    + `pairing` · imbalance of the node's packages with work that it makes [threads]

The first is fragmentation gradient descent (Weng et al., USENIX ATC 2023), the second is that of Lettich et al.
(CCGrid 2025), but for `shared` of it a processor package that is begun counts by the share of it that is taken:
whoever begins one does not pay for the threads that later pods will use, and a package of which the node has few
threads, or a node whose threads are dear, is left for need. Power counts most while the cluster is empty.

The imbalance of a node is |free threads − free GPU · `threads` · the workload's threads per GPU|: cheap cards may sit
beside many threads, and without this term they are given to pods that need few, until GPUs without threads remain.

The threads and the GPUs that a package has to serve should run out together, else GPUs wait for a further package or
threads for nobody: its imbalance is what is free in packages with work (in the first, if there is none) − free GPU ·
a package's threads per GPU of the node; what is missing counts by `missing`. So pods with many and with few threads
meet, and cards beside large packages are kept for pods with many.
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
    """What counts how much against stranded GPU, as the module says.

    `power` falls from its first value, where nothing is taken, to its second, where `settled` of the GPU is, and stays
    there. The defaults were chosen on arrivals of `bench placement` with seeds 100–109; it shows others.
    """

    power: tuple[float, float] = (3.0, 1.2)
    settled: float = 0.25
    shared: float = 0.86
    balance: float = 0.0154
    threads: float = 1.65
    pairing: float = 0.0385
    missing: float = 0.5

    def power_at(self, taken: float) -> float:
        """What power counts where this share of the GPU is taken [0..1]."""
        first, last = self.power
        return last + (first - last) * max(0.0, 1.0 - taken / self.settled)


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
    """What a request costs on each node [n], as of `changes`.

    `place` is all but power, infinite where the request does not fit; `watts` are as counted, `power_w` as drawn.
    """

    changes: Ints
    place: Floats
    watts: Floats
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
        cost = scores.place + self.weights.power_at(self.cluster.allocated_share) * scores.watts
        node = int(np.argmin(cost)) if cost.size else 0
        if not (cost.size and np.isfinite(cost[node])):
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
        scores.place[stale] = np.inf
        fitting = stale[self.cluster.fits(pod)[stale]]
        if fitting.size:
            self._score(scores, candidates(self.cluster, pod, fitting))
        return scores

    def _score(self, scores: _Scores, ways: Candidates) -> None:
        """Fill in the cheapest way on each node, by what power counts at last."""
        weights, stranded = self.weights, self._strands(ways)
        power_w, shared_w = self._adds(ways, self._power.power_w), self._adds(ways, self._power.shared_w)
        watts = ((1.0 - weights.shared) * power_w + weights.shared * shared_w) / POWER_SCALE_W
        place = stranded + weights.balance * self._adds(ways, self._imbalance)
        place += weights.pairing * self._adds(ways, self._package_imbalance)
        order = np.lexsort((np.round(place + weights.power[1] * watts, 9), ways.node))
        nodes, first = np.unique(ways.node[order], return_index=True)
        best = order[first]
        scores.place[nodes], scores.watts[nodes] = place[best], watts[best]
        scores.stranded[nodes], scores.power_w[nodes] = stranded[best], power_w[best]
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

    def _adds(self, ways: Candidates, of: Callable[[Ints, Ints, Ints], Floats]) -> Floats:
        """How much each way adds to a figure of its node's state: node [s], CPU free [s], GPU free [s, g]."""
        cluster, node = self.cluster, ways.node
        before = of(node, cluster.cpu_free[node], cluster.gpu_free[node])
        return of(node, ways.cpu_free, ways.gpu_free) - before

    def _imbalance(self, _: Ints, cpu_free: Ints, gpu_free: Ints) -> Floats:
        """Threads that are free without GPUs for them, or missing beside free GPUs."""
        wanted = self.weights.threads * self.workload.cpu_per_gpu * gpu_free.sum(axis=1)
        threads: Floats = np.abs(cpu_free - wanted) / CPU_MILLI
        return threads

    def _package_imbalance(self, node: Ints, cpu_free: Ints, gpu_free: Ints) -> Floats:
        """Threads of packages with work that are free without GPUs for them, or missing beside free GPUs (weighted)."""
        awake_free, per_gpu = self._power.awake(node, cpu_free)
        left = (awake_free - per_gpu * gpu_free.sum(axis=1) / GPU_MILLI) / CPU_MILLI
        threads: Floats = np.where(left > 0, left, -self.weights.missing * left)
        return threads


def place(cluster: Cluster, pod: Pod, workload: Workload) -> Placement | None:
    """The best place for one pod, which is not taken yet; None if it fits nowhere. For many pods keep a `Packer`."""
    return Packer(cluster, workload).place(pod)


def _no_scores(nodes: int, gpus: int) -> _Scores:
    return _Scores(
        changes=np.full(nodes, -1, dtype=np.int64),
        place=np.full(nodes, np.inf),
        watts=np.zeros(nodes),
        stranded=np.zeros(nodes),
        power_w=np.zeros(nodes),
        gpus=np.zeros((nodes, gpus), dtype=np.int64),
    )


def _reasons(scores: _Scores, node: int) -> tuple[str, ...]:
    """What speaks for the node, against the other nodes that fit."""
    fit = np.isfinite(scores.place)
    strands, draws, apart = scores.stranded, scores.power_w, scores.place - scores.stranded
    return (
        f"fits on {int(fit.sum())} nodes",
        f"strands {strands[node]:+.3f} GPUs (all that fit: {strands[fit].min():+.3f} to {strands[fit].max():+.3f})",
        f"draws {draws[node]:.0f} W more (all that fit: {draws[fit].min():.0f} to {draws[fit].max():.0f} W)",
        f"imbalance counts {apart[node]:+.3f} (all that fit: {apart[fit].min():+.3f} to {apart[fit].max():+.3f})",
    )

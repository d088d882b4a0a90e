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

`placement.node_costs` says what imbalances are. The last two terms and `shared` guess what threads and GPUs that are
left free will be worth to pods to come. Where `placement.rehearsal` has learnt what they are worth (`Worth`), that
takes the guesses' place: power counts as drawn, and the worth that the node loses is added. Worth is of a node among
others as they were expected: the more threads stand free in packages with work, the less is one more worth
(`Worth.crowding`). Without that all nodes of a shape begin, or wait for better pods, at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from placement.fragmentation import Floats, Workload
from placement.gpu_cluster import Candidates, Cluster, Ints, Pod, candidates
from placement.node_costs import CPU_MILLI, POWER_SCALE_W, NodeCosts, Weights
from placement.node_worth import Worth


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
    """What a request costs on each node [n], as of `changes` and a stage of worth.

    `place` is all but power, infinite where the request does not fit; `power` is as counted but for its weight,
    `power_w` as drawn; `awake` is how many more threads are then free in packages with work.
    """

    stage: int
    changes: Ints
    place: Floats
    power: Floats
    stranded: Floats
    power_w: Floats
    awake: Floats
    gpus: Ints


@dataclass(slots=True)
class _Before:
    """Figures of all nodes, as of `changes` and a stage of worth."""

    stage: int
    changes: Ints
    figures: Floats


@dataclass(slots=True)
class Packer:
    """The policy over one cluster; it remembers scores of requests that come again until their node changes.

    `worth` is what was learnt, for nodes of the same shapes; its weights count then, and `loose` is by how much more
    threads than usual may stand free in packages with work.
    """

    cluster: Cluster
    workload: Workload
    weights: Weights = field(default_factory=Weights)
    worth: Worth | None = None
    loose: float = 1.0
    _costs: NodeCosts = field(init=False)
    _shape: Ints = field(init=False)
    _threads: Floats = field(init=False)
    _before: _Before = field(init=False)
    _known: dict[object, _Scores] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.worth is not None:
            self.weights, self._shape = self.worth.weights, self.worth.states.of(self.cluster)
            shapes = len(self.worth.states.shapes.nodes)
            self._threads = np.bincount(self._shape, self.cluster.cpu / CPU_MILLI, shapes).astype(np.float64)
        self._costs = NodeCosts(self.cluster, self.workload, self.weights)
        count = len(self.cluster.nodes)
        self._before = _Before(0, np.full(count, -1, dtype=np.int64), np.zeros((5, count)))

    def place(self, pod: Pod, *, why: bool = True) -> Placement | None:
        """The best place for the pod, which is not taken yet, with reasons if asked `why`; None if it fits nowhere."""
        scores, cost = self._cost(pod)
        node = self._cheapest(scores, cost)
        if node is None:
            return None
        return Placement(
            node=node,
            name=self.cluster.nodes[node].name,
            gpus=tuple(scores.gpus[node, : pod.gpus].tolist()),
            stranded_gpus=float(scores.stranded[node]),
            power_w=float(scores.power_w[node]),
            reasons=_reasons(scores, node) if why else (),
        )

    def price(self, pod: Pod) -> float:
        """What the best place costs the pod but for crowding, in stranded GPUs; infinite if it fits nowhere.

        Crowding steers who is taken; in prices it would teach nodes to wait for pods that only a crowd makes dear.
        """
        scores, cost = self._cost(pod)
        node = self._cheapest(scores, cost)
        return np.inf if node is None else float(cost[node])

    def _cheapest(self, scores: _Scores, cost: Floats) -> int | None:
        """The node that costs least, crowding counted; None if none fits."""
        crowded = np.round(cost + self._crowding(scores), 9)
        node = int(np.argmin(crowded)) if crowded.size else 0
        return node if crowded.size and np.isfinite(crowded[node]) else None

    def _cost(self, pod: Pod) -> tuple[_Scores, Floats]:
        """The request's scores, and what it costs on each node now but for crowding [n]."""
        taken = self.cluster.allocated_share
        stage = self.worth.stage(taken) if self.worth else 0
        scores = self._scores(pod, stage)
        cost: Floats = np.round(scores.place + self._power_counts(stage, taken) * scores.power, 9)
        return scores, cost

    def _crowding(self, scores: _Scores) -> Floats | float:
        """What the threads count on each node [n] that would then be free in packages with work."""
        if self.worth is None:
            return 0.0
        free = np.bincount(self._shape, self._now(scores.stage)[4], self._threads.size).astype(np.float64)
        counts = self.worth.crowding(free, self._threads, self.cluster.allocated_share, self.loose)
        crowding: Floats = counts[self._shape] * scores.awake
        return crowding

    def _power_counts(self, stage: int, taken: float) -> float:
        return self.worth.power_at(stage) if self.worth else self.weights.power_at(taken)

    def _scores(self, pod: Pod, stage: int) -> _Scores:
        """Scores of the pod's request, brought up to date where nodes have changed."""
        scores = self._known.setdefault(pod.request, _no_scores(len(self.cluster.nodes), pod.gpus))
        if scores.stage != stage:
            scores.stage, scores.changes[:] = stage, -1
        stale = np.nonzero(scores.changes != self.cluster.changes)[0]
        scores.changes[stale] = self.cluster.changes[stale]
        scores.place[stale] = np.inf
        fitting = stale[self.cluster.fits(pod)[stale]]
        if fitting.size:
            self._score(scores, candidates(self.cluster, pod, fitting))
        return scores

    def _score(self, scores: _Scores, ways: Candidates) -> None:
        """Fill in the cheapest way on each node, by what power counts at last."""
        after = self._figures(scores.stage, ways.node, ways.cpu_free, ways.memory_free, ways.gpu_free)
        place, power, stranded, power_w, awake = after - self._now(scores.stage)[:, ways.node]
        at_last = self._power_counts(scores.stage, 1.0)
        order = np.lexsort((np.round(place + at_last * power, 9), ways.node))
        nodes, first = np.unique(ways.node[order], return_index=True)
        best = order[first]
        scores.place[nodes], scores.power[nodes] = place[best], power[best]
        scores.stranded[nodes], scores.power_w[nodes], scores.awake[nodes] = stranded[best], power_w[best], awake[best]
        scores.gpus[nodes] = ways.gpus[best]

    def _now(self, stage: int) -> Floats:
        """Figures of all nodes as they are [5, n], remembered too."""
        cluster, before = self.cluster, self._before
        if before.stage != stage:
            before.stage, before.changes[:] = stage, -1
        stale = np.nonzero(before.changes != cluster.changes)[0]
        if stale.size:
            free = (cluster.cpu_free[stale], cluster.memory_free[stale], cluster.gpu_free[stale])
            before.figures[:, stale] = self._figures(stage, stale, *free)
            before.changes[stale] = cluster.changes[stale]
        return before.figures

    def _figures(self, stage: int, node: Ints, cpu_free: Ints, memory_free: Ints, gpu_free: Ints) -> Floats:
        """Of states of nodes: costs but for power, power as counted, stranded GPU, power [W], threads awake [5, s]."""
        weights, costs = self.weights, self._costs
        stranded = costs.stranded(node, cpu_free, memory_free, gpu_free)
        power_w = counted_w = costs.power.power_w(node, cpu_free, gpu_free)
        place = weights.stranded * stranded + weights.balance * costs.imbalance(node, cpu_free, gpu_free)
        if self.worth is None:
            shared_w = costs.power.shared_w(node, cpu_free, gpu_free)
            counted_w = (1.0 - weights.shared) * power_w + weights.shared * shared_w
            place += weights.pairing * costs.package_imbalance(node, cpu_free, gpu_free)
            awake = np.zeros(len(node))
        else:
            states = self.worth.states
            shape = self._shape[node]
            packages, slack = states.awake(shape, cpu_free)
            place -= states.points(shape, packages, slack, *states.parts(gpu_free)).read(self.worth.tables[stage])
            awake = slack / CPU_MILLI
        figures = np.empty((5, len(node)))
        figures[0], figures[1], figures[2] = place, counted_w / POWER_SCALE_W, stranded
        figures[3], figures[4] = power_w, awake
        return figures


def place(cluster: Cluster, pod: Pod, workload: Workload) -> Placement | None:
    """The best place for one pod, which is not taken yet; None if it fits nowhere. For many pods keep a `Packer`."""
    return Packer(cluster, workload).place(pod)


def _no_scores(nodes: int, gpus: int) -> _Scores:
    return _Scores(
        stage=0,
        changes=np.full(nodes, -1, dtype=np.int64),
        place=np.full(nodes, np.inf),
        power=np.zeros(nodes),
        stranded=np.zeros(nodes),
        power_w=np.zeros(nodes),
        awake=np.zeros(nodes),
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
        f"what is left counts {apart[node]:+.3f} (all that fit: {apart[fit].min():+.3f} to {apart[fit].max():+.3f})",
    )

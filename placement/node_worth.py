"""What the states of nodes are worth to pods that are still to come, from the prices that pods pay elsewhere.

A pod that comes while a node is in state `s` would cost the best of all nodes a price; here it costs power and
stranding, and leaves the node in state `s'`. Who takes a pod for less than its price gains the difference:

    worth(s) now = worth(s) later + `offers` · Σ over kinds · (price − cost of taking it − worth(s) + worth(s'))⁺

backwards from where `settled` of the GPU is taken, in stages of the share that is taken. It is the policy for one node
in a market of many (a restless bandit relaxed by prices), so threads in a package with work are worth much beside GPUs
that they fit, and nodes with many threads a GPU are kept for pods with many. A node is offered a share of what comes
only, as others are as good: `offers` rises from its first to its second value while the cluster fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from placement.fragmentation import Floats
from placement.gpu_cluster import GPU_MILLI, Ints, Pod
from placement.node_costs import CPU_MILLI, POWER_SCALE_W, NodeCosts, Weights
from placement.node_states import FULL_USE, WHOLE_MILLI, NodeStates, Points

STAGES = 16
_STEPS = 2
"""Of a stage, when worth is reckoned."""
_NEWTON = 5
_MANY = 0.2
"""Share of the cluster's threads from which a shape's nodes count as a crowd."""
_SOME = 4
"""Packages' worth of threads that has to be usual: below, a single one that is begun looks like a crowd."""


@dataclass(frozen=True, slots=True)
class Worth:
    """Worth of the states by stage [STAGES + 1, points of the grid], in stranded GPUs; the last is for all later."""

    states: NodeStates
    weights: Weights
    tables: Floats

    def stage(self, taken: float) -> int:
        """The stage where this share of the GPU is taken."""
        return min(int(taken / self.weights.settled * STAGES), STAGES)

    def power_at(self, stage: int) -> float:
        """What power counts in a stage."""
        return self.weights.power_at((stage + 0.5) / STAGES * self.weights.settled)

    def crowding(self, free: Floats, threads: Floats, taken: float, loose: float) -> Floats:
        """What a thread more that is free in packages with work counts against a node, by shape [h].

        Args:
            free: threads that are free in packages with work of a shape's nodes [h].
            threads: all threads of those nodes [h].
            taken: share of the GPU that is taken [0..1].
            loose: by how much more than usual may be free.

        A package that is begun costs `crowd` more for each time that the free threads exceed what is usual, and less
        while they are fewer. Usual is, for each package of a node, a share of the cluster's threads that rises from the
        first value of `spare` to the second while the cluster fills. It is told only for shapes that have many of the
        threads, in clusters so large that several packages stand partly free: of few nodes none may be awake.
        """
        first, last = self.weights.spare
        full = taken / self.weights.settled
        if full >= 1.0:
            return np.zeros(len(threads))
        power = self.states.power
        packages = np.ceil(power.cpu / power.package_milli)
        package = power.package_milli / CPU_MILLI
        usual = threads.sum() * (first + (last - first) * full) * packages
        counts: Floats = self.weights.crowd * (free / (loose * usual) - 1.0) / package
        counts[(threads < _MANY * threads.sum()) | (usual < _SOME * package)] = 0.0
        return counts


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of pods that are expected (k): one of each, and its share of the arrivals."""

    pods: tuple[Pod, ...]
    share: Floats

    @property
    def mean_gpus(self) -> float:
        """GPU that an arrival asks for."""
        return float(self.share @ np.array([pod.asked_milli for pod in self.pods])) / GPU_MILLI


@dataclass(frozen=True, slots=True)
class _Moves:
    """All that may happen (m): a kind comes to a state that can take it; what it leads to, draws and costs besides."""

    state: Ints
    kind: Ints
    to: Points
    power: Floats
    cost: Floats


def first_worth(states: NodeStates, costs: NodeCosts) -> Worth:
    """Worth before anything is learnt: that of `Packer` without: free threads of packages with work, and pairing."""
    weights, power = costs.weights, costs.power
    place = (states.shape, states.cpu_free, states.gpu_free)
    begun = weights.shared * (power.power_w(*place) - power.shared_w(*place)) / POWER_SCALE_W
    pairing = weights.pairing * costs.package_imbalance(*place)
    worth = Worth(states, weights, np.zeros((STAGES + 1, states.size)))
    for stage in range(STAGES + 1):
        worth.tables[stage] = worth.power_at(stage) * begun - pairing
    return worth


class Market:
    """Reckons worth from prices, for the states of a cluster and the kinds of pods that come."""

    def __init__(self, states: NodeStates, costs: NodeCosts, kinds: Kinds, gpus: int) -> None:
        self.kinds, self._offers = kinds, costs.weights.offers
        place = (states.shape, states.cpu_free)
        stranded = costs.stranded(*place, states.memory_free, states.gpu_free)
        cost = costs.weights.stranded * stranded + costs.weights.balance * costs.imbalance(*place, states.gpu_free)
        self._moves = _join([_moves(states, kind, pod, cost) for kind, pod in enumerate(kinds.pods)])
        arrivals = costs.weights.settled * gpus / kinds.mean_gpus
        self._arrivals = arrivals / (STAGES * _STEPS)

    def improved(self, worth: Worth, prices: Floats, pace: float) -> Worth:
        """Worth moved by `pace` [0..1] towards what prices [stages, kinds] tell (−inf: the kind fits nowhere)."""
        tables = worth.tables.copy()
        later = tables[STAGES].copy()
        for stage in range(STAGES - 1, -1, -1):
            for _ in range(_STEPS):
                later = self._earlier(later, prices[stage], worth.power_at(stage), stage)
            tables[stage] += pace * (later - tables[stage])
        return Worth(worth.states, worth.weights, tables)

    def _earlier(self, later: Floats, prices: Floats, power: float, stage: int) -> Floats:
        """One step back. The state's own worth in the gain is the sought one (implicit, by Newton's method)."""
        moves, size = self._moves, len(later)
        first, last = self._offers
        margin = prices[moves.kind] - moves.cost - power * moves.power + moves.to.read(later)
        # Worth only grows towards the sought one from below, so what gains nothing now never will.
        gains = np.nonzero(margin > later[moves.state])[0]
        state, margin = moves.state[gains], margin[gains]
        offered = self._arrivals * (first + (last - first) * stage / STAGES) * self.kinds.share[moves.kind[gains]]
        worth = later.copy()
        for _ in range(_NEWTON):
            gain = margin - worth[state]
            taken = offered * (gain > 0)
            missing = later - worth + np.bincount(state, taken * np.maximum(gain, 0.0), size)
            if np.abs(missing).max(initial=0.0) < 1e-5:
                break
            worth += missing / (1.0 + np.bincount(state, taken, size))
        return worth


def _moves(states: NodeStates, kind: int, pod: Pod, cost: Floats) -> _Moves:
    """Where a kind leads from every state that can take it."""
    whole, part, begun = states.whole, states.part, np.zeros(states.size, dtype=np.int64)
    can = states.shapes.allowed(pod)[states.shape] & (states.cpu_free >= pod.cpu_milli)
    can &= states.memory_free >= pod.memory_mib
    if pod.gpus == 1 and pod.gpu_milli < WHOLE_MILLI:
        asked = FULL_USE * pod.gpu_milli / GPU_MILLI
        joins = part >= asked - 1e-9
        part = np.where(joins, part - asked, np.minimum(part + states.usable(GPU_MILLI - pod.gpu_milli), 1.0))
        begun = np.where(joins, 0, 1)
    elif pod.gpus:
        begun = np.full(states.size, pod.gpus)
    whole = whole - begun
    state = np.nonzero(can & (whole >= 0))[0]
    shape, before, after = states.shape[state], states.cpu_free[state], states.cpu_free[state] - pod.cpu_milli
    packages = states.power.packages(shape, after) - states.power.packages(shape, before)
    power_w = packages * states.power.package_rise_w[shape] + begun[state] * states.power.rise_w[shape]
    to = states.points(shape, *states.awake(shape, after), whole[state], np.maximum(part[state], 0.0))
    return _Moves(state, np.full(len(state), kind), to, power_w / POWER_SCALE_W, to.read(cost) - cost[state])


def _join(moves: Sequence[_Moves]) -> _Moves:
    to = Points(np.concatenate([m.to.index for m in moves]), np.concatenate([m.to.share for m in moves]))
    return _Moves(
        np.concatenate([m.state for m in moves]),
        np.concatenate([m.kind for m in moves]),
        to,
        np.concatenate([m.power for m in moves]),
        np.concatenate([m.cost for m in moves]),
    )

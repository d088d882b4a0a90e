"""Learning what nodes are worth by rehearsal.

The policy fills a part of the cluster with pods drawn from what is expected, notes what each kind of pod would have
cost on the best node, and reckons worth anew, a few times over.

It knows the mix of what is expected, of course, and no order of arrivals: its own generator draws them. What it learns
is good for every cluster of the same shapes and a like mix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from placement.fragmentation import Floats, Workload
from placement.gpu_cluster import Cluster, Node, Pod
from placement.node_costs import CPU_MILLI, NodeCosts, Weights
from placement.node_states import NodeStates, most_points
from placement.node_worth import STAGES, Kinds, Market, Worth, first_worth
from placement.packing import Packer

LEARNING = Weights(
    loads=((0.2, 1.3), (0.4, 0.1), (0.6, 0.05), (0.8, 3.45)),
    settled=0.8,
    late=0.44,
    stranded=0.6,
    balance=0.0095,
    missing=0.8,
    offers=(0.012, 0.0415),
    crowd=2.4,
    spare=(0.0021, 0.008),
)
"""Chosen on arrivals 100–123 of `bench placement`; it shows others."""
FEW = replace(LEARNING, loads=((0.2, 0.95), (0.4, 0.42), (0.6, 0.42), (0.8, 3.05)))
"""For clusters of fewer than `LEAST_NODES`: where hardly anything counts at 40 and 60 %, few nodes lose much there."""
SEED = 279
"""Of the rehearsals: what is learnt differs by some tenths of a per cent of power; chosen with the weights."""
ROUNDS = 6
PACE, SLOWER = 0.4, 0.2
"""How far worth moves in the first round, and by how much less later."""
PART = 2
"""Every which node takes part in a round."""
LEAST_NODES = 150
"""In a rehearsal; smaller clusters are taken several times over, as worth is of a node in whatever number."""
LOOSE = 2.6
"""How much more than usual may stand free in rehearsals: prices are to tell what is scarce, not what is crowded."""
PER_STAGE = 4
"""How often prices are asked in a stage."""
MOST_POINTS = 3_000_000
"""States times kinds of pods (some 200 bytes each) for which worth is reckoned."""
MOST_ARRIVALS = 60_000
"""Of a cluster that fills (a millisecond each)."""
_LIKE_MILLI = 40
"""Shares of a GPU that differ by less are one kind, as threads by less than one."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What is expected: each request once, sorted, and its share of the arrivals."""

    pods: tuple[Pod, ...]
    share: Floats

    def draw(self, rng: np.random.Generator) -> Pod:
        """An arrival."""
        drawn = int(np.searchsorted(np.cumsum(self.share), rng.random(), side="right"))
        return self.pods[min(drawn, len(self.pods) - 1)]


def mix_of(pods: Iterable[Pod]) -> Mix:
    """The mix of which these pods are a sample; their order does not matter."""
    counts = Counter(replace(pod, name="") for pod in pods)
    requests = sorted(counts, key=lambda pod: (*pod.request[:4], sorted(pod.models)))
    share = np.array([counts[pod] for pod in requests], dtype=float)
    return Mix(tuple(requests), share / share.sum())


def learn(nodes: Iterable[Node], pods: Sequence[Pod]) -> Worth:
    """Worth for a cluster of such nodes where such pods come, each as often as the others.

    Raises:
        ConfigError: no pod asks for a GPU.
    """
    nodes = sorted(nodes, key=lambda node: (node.model, node.cpu_milli, node.gpus, node.memory_mib, node.name))
    weights, nodes = LEARNING if len(nodes) >= LEAST_NODES else FEW, _many(nodes)
    cluster, workload, mix = Cluster(nodes), Workload(pods), mix_of(pods)
    states, kinds = NodeStates(cluster, workload), kinds_of(mix)
    costs = NodeCosts(states.shapes, workload, weights)
    market, worth = Market(states, costs, kinds, int(cluster.gpus.sum())), first_worth(states, costs)
    rng = np.random.default_rng(SEED)
    for turn in range(ROUNDS):
        some = Cluster(nodes[turn % PART :: PART])
        prices = rehearse(Packer(some, workload, worth=worth, loose=LOOSE), worth, mix, kinds, rng)
        worth = market.improved(worth, prices, PACE / (1.0 + SLOWER * turn))
    return worth


def _many(nodes: Sequence[Node]) -> list[Node]:
    """The nodes as often as it takes for prices of a few not to be those of a few pods' luck."""
    copies = range(-(-LEAST_NODES // len(nodes)))
    return [replace(node, name=f"{node.name}/{copy}") for node in nodes for copy in copies]


def can_learn(nodes: Sequence[Node], pods: Sequence[Pod]) -> bool:
    """Whether there is something to learn, and in proportion: not for a hundred kinds of nodes, or crumbs of GPUs."""
    kinds, gpus = kinds_of(mix_of(pods)), sum(node.gpus for node in nodes)
    few = LEARNING.settled * gpus <= MOST_ARRIVALS * kinds.mean_gpus
    return gpus > 0 and few and most_points(nodes) * len(kinds.pods) <= MOST_POINTS


def kinds_of(mix: Mix) -> Kinds:
    """Pods that ask for nearly the same, as one kind: its most frequent request, with all their arrivals."""
    alike: dict[object, list[int]] = {}
    for i, pod in enumerate(mix.pods):
        key = (round(pod.cpu_milli / CPU_MILLI), pod.gpus, round(pod.gpu_milli / _LIKE_MILLI), pod.models)
        alike.setdefault(key, []).append(i)
    often = [mix.pods[max(group, key=lambda i: float(mix.share[i]))] for group in alike.values()]
    return Kinds(tuple(often), np.array([mix.share[group].sum() for group in alike.values()]))


def rehearse(packer: Packer, worth: Worth, mix: Mix, kinds: Kinds, rng: np.random.Generator) -> Floats:
    """Mean price of each kind in each stage [stages, kinds]; −inf where it fitted nowhere or the stage was not seen."""
    cluster = packer.cluster
    total, asked = np.zeros((STAGES, len(kinds.pods))), np.zeros((STAGES, len(kinds.pods)))
    arrivals = worth.weights.settled * float(cluster.gpus.sum()) / kinds.mean_gpus
    every = max(1, round(arrivals / (STAGES * PER_STAGE)))
    for turn in range(round(2 * arrivals)):
        stage = worth.stage(cluster.allocated_share)
        if stage == STAGES:
            break
        if turn % every == 0:
            prices = np.array([packer.price(pod) for pod in kinds.pods])
            total[stage] += np.where(np.isfinite(prices), prices, 0.0)
            asked[stage] += np.isfinite(prices)
        pod = mix.draw(rng)
        place = packer.place(pod, why=False)
        if place is not None:
            cluster.take(pod, place.node, place.gpus)
    return np.where(asked > 0, total / np.maximum(asked, 1), -np.inf)

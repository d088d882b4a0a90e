"""Learning what nodes are worth by rehearsal.

The policy fills a part of the cluster with pods drawn from what is expected, notes what each kind of pod would have
cost on the best node, and reckons worth anew, a few times over.

It knows the mix of what is expected, of course, and no order of arrivals: its own generator draws them. What it learns
is good for every cluster of the same shapes and a like mix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from placement.fragmentation import Floats, Workload
from placement.gpu_cluster import Cluster, Node, Pod
from placement.node_costs import CPU_MILLI, NodeCosts, Weights
from placement.node_states import NodeStates
from placement.node_worth import STAGES, Kinds, Market, Worth, first_worth
from placement.packing import Packer

LEARNING = Weights(
    loads=((0.2, 0.95), (0.4, 0.42), (0.6, 0.42), (0.8, 3.05)),
    settled=0.8,
    late=0.4,
    stranded=0.6,
    balance=0.01,
    missing=0.8,
    offers=(0.012, 0.04),
)
"""Chosen as the defaults of `Weights`, on seeds 100–115."""
SEED = 1
"""Of the rehearsals: what is learnt differs by some tenths of a per cent of power; chosen with the weights."""
ROUNDS = 5
PACE, SLOWER = 0.4, 0.2
"""How far worth moves in the first round, and by how much less later."""
PART = 2
"""Every which node takes part in a round."""
LOOSE = 3.0
"""How much more than usual may stand free in rehearsals: prices are to tell what is scarce, not what is crowded."""
PER_STAGE = 4
"""How often prices are asked in a stage."""
_LIKE_MILLI = 40
"""Shares of a GPU that differ by less are one kind, as threads by less than one."""


def learn(nodes: Sequence[Node], pods: Sequence[Pod], weights: Weights = LEARNING, seed: int = SEED) -> Worth:
    """Worth for a cluster of such nodes where such pods come, each as often as the others.

    Raises:
        ConfigError: no pod asks for a GPU.
    """
    cluster, workload = Cluster(nodes), Workload(pods)
    states, kinds = NodeStates(cluster, workload), kinds_of(pods)
    costs = NodeCosts(states.shapes, workload, weights)
    market, worth = Market(states, costs, kinds, int(cluster.gpus.sum())), first_worth(states, costs)
    rng = np.random.default_rng(seed)
    for turn in range(ROUNDS):
        some = Cluster(nodes[turn % PART :: PART] or nodes)
        prices = rehearse(Packer(some, workload, worth=worth, loose=LOOSE), worth, pods, kinds, rng)
        worth = market.improved(worth, prices, PACE / (1.0 + SLOWER * turn))
    return worth


def kinds_of(pods: Sequence[Pod]) -> Kinds:
    """Pods that ask for nearly the same, as one kind: its most frequent request, with the mean of threads."""
    alike: dict[object, Counter[Pod]] = {}
    for pod in pods:
        key = (round(pod.cpu_milli / CPU_MILLI), pod.gpus, round(pod.gpu_milli / _LIKE_MILLI), pod.models)
        alike.setdefault(key, Counter())[replace(pod, name="")] += 1
    share = np.array([group.total() for group in alike.values()], dtype=float)
    return Kinds(tuple(group.most_common(1)[0][0] for group in alike.values()), share / share.sum())


def rehearse(packer: Packer, worth: Worth, pods: Sequence[Pod], kinds: Kinds, rng: np.random.Generator) -> Floats:
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
        pod = pods[int(rng.integers(len(pods)))]
        place = packer.place(pod)
        if place is not None:
            cluster.take(pod, place.node, place.gpus)
    return np.where(asked > 0, total / np.maximum(asked, 1), -np.inf)

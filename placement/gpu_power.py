"""Modelled electric power of GPU nodes: a GPU with work draws its full power, one without draws idle power.

The model is that of Lettich et al., *Power- and fragmentation-aware online scheduling for GPU datacenters*, CCGrid
2025 (arXiv 2412.17484): what is asked for is not what is drawn, and a shared GPU draws nearly as much as a whole one. A
processor package draws its thermal design power as soon as one of its threads is asked for. Memory, fans and power
supplies are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from placement.fragmentation import Floats
from placement.gpu_cluster import GPU_MILLI, Cluster, Ints


@dataclass(frozen=True, slots=True)
class Draw:
    """Power without and with work [W]."""

    idle_w: float
    full_w: float

    @property
    def rise_w(self) -> float:
        """What work adds [W]."""
        return self.full_w - self.idle_w


CARDS: Mapping[str, Draw] = {
    "T4": Draw(10.0, 70.0),
    "A10": Draw(30.0, 150.0),
    "P100": Draw(25.0, 250.0),
    "V100M16": Draw(30.0, 300.0),
    "V100M32": Draw(30.0, 300.0),
    "A100": Draw(50.0, 400.0),
    "G2": Draw(30.0, 150.0),
    "G3": Draw(50.0, 400.0),
}
"""By card: full power is the maker's board power, idle power as in the paper. The trace hides what G2 and G3 are; as in
the paper they are taken for A10 and A100."""
UNKNOWN_CARD = Draw(50.0, 400.0)
"""A card nobody described is taken for a large one, so that ignorance never attracts work."""
PACKAGE = Draw(15.0, 120.0)
"""A processor package: Intel Xeon E5-2682 v4, 120 W; the trace names no processors."""
PACKAGE_MILLI = 32_000
"""Its threads, in thousandths: sixteen cores, two threads each."""


class NodePower:
    """The power of a cluster's nodes, by what is taken of them."""

    def __init__(self, cluster: Cluster, cards: Mapping[str, Draw] = CARDS) -> None:
        draws = [cards.get(node.model, UNKNOWN_CARD) for node in cluster.nodes]
        self.rise_w: Floats = np.array([draw.rise_w for draw in draws])
        self.idle_w: Floats = np.array([draw.idle_w for draw in draws]) * cluster.gpus
        self.idle_w += np.ceil(cluster.cpu / PACKAGE_MILLI) * PACKAGE.idle_w
        self.cpu = cluster.cpu
        self.gpus = cluster.gpus

    def power_w(self, node: Ints, cpu_free: Ints, gpu_free: Ints) -> Floats:
        """Power of states (s) of nodes [W]: node [s], cpu_free [s] and gpu_free [s, g] in thousandths."""
        busy = self.gpus[node] - (gpu_free == GPU_MILLI).sum(axis=1)
        packages = np.ceil((self.cpu[node] - cpu_free) / PACKAGE_MILLI)
        power_w: Floats = self.idle_w[node] + busy * self.rise_w[node] + packages * PACKAGE.rise_w
        return power_w


def cluster_power_w(cluster: Cluster, cards: Mapping[str, Draw] = CARDS) -> float:
    """Modelled power of all nodes [W]."""
    every = np.arange(len(cluster.nodes))
    return float(NodePower(cluster, cards).power_w(every, cluster.cpu_free, cluster.gpu_free).sum())


def least_power_w(cluster: Cluster, cards: Mapping[str, Draw] = CARDS) -> float:
    """What no placement of the same pods can undercut [W], by the same model.

    All that is taken is poured into the GPUs that add least power, and into whole processor packages, as if shares
    could be cut at will and CPU, memory and cards were never in the way.
    """
    power = NodePower(cluster, cards)
    taken = float(cluster.gpus.sum() - cluster.gpu_free.sum() / GPU_MILLI)
    order = np.argsort(power.rise_w)
    before = np.cumsum(cluster.gpus[order]) - cluster.gpus[order]
    gpus = np.clip(taken - before, 0.0, cluster.gpus[order])
    packages = np.ceil((cluster.cpu - cluster.cpu_free).sum() / PACKAGE_MILLI)
    return float(power.idle_w.sum() + gpus @ power.rise_w[order] + packages * PACKAGE.rise_w)

"""Modelled electric power of GPU nodes: a GPU with work draws its full power, one without draws idle power.

The model is the published one of Lettich et al., *Power- and fragmentation-aware online scheduling for GPU
datacenters*, CCGrid 2025 (arXiv 2412.17484), with the figures of its repository Fr4nz83/PWR-plugin-kubernetes (commit
c389ff1: the tables in `pkg/type/open-gpu-share/utils/const.go`, the formula in `pkg/type/resource.go`, the processors
of a node in `data/Add CPU models to YAML nodes.ipynb`): what is asked for is not what is drawn, a shared GPU draws as
much as a whole one, and a processor package draws its thermal design power as soon as one of its cores (two threads
each) is asked for. Memory, fans and power supplies are not in it.

The trace hides what the cards G2 and G3 are, and names no processors: as there, G2 is taken for A10, G3 for A100, and
the processors of a node for those that its cloud sells with the card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from placement.fragmentation import Floats
from placement.gpu_cluster import GPU_MILLI, Cluster, Ints

CORE_MILLI = 2000
"""Thousandths of a thread in a core."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Power without and with work [W]."""

    idle_w: float
    full_w: float

    @property
    def rise_w(self) -> float:
        """What work adds [W]."""
        return self.full_w - self.idle_w


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of node: a card, a processor package, and the package's cores."""

    card: Draw
    package: Draw
    cores: int


A10, A100, V100 = Draw(30.0, 150.0), Draw(50.0, 400.0), Draw(30.0, 300.0)
XEON_2682, XEON_8163, XEON_6326, XEON_8369 = (
    (Draw(15.0, 120.0), 16),
    (Draw(20.0, 165.0), 24),
    (Draw(20.0, 185.0), 16),
    (Draw(20.0, 270.0), 32),
)
KINDS: Mapping[str, Kind] = {
    "T4": Kind(Draw(10.0, 70.0), *XEON_8163),
    "P100": Kind(Draw(25.0, 250.0), *XEON_2682),
    "V100M16": Kind(V100, *XEON_6326),
    "V100M32": Kind(V100, *XEON_6326),
    "A10": Kind(A10, *XEON_8369),
    "G2": Kind(A10, *XEON_8369),
    "A100": Kind(A100, *XEON_8369),
    "G3": Kind(A100, *XEON_8369),
}
"""By card."""
UNKNOWN = Kind(A100, *XEON_2682)
"""A card nobody described is taken for a large one, so that ignorance never attracts work; the processors are those
that the repository takes where none are named."""


def package_milli(model: str, kinds: Mapping[str, Kind] = KINDS) -> int:
    """Thousandths of a thread in a processor package of nodes with that card."""
    return kinds.get(model, UNKNOWN).cores * CORE_MILLI


class NodePower:
    """The power of a cluster's nodes, by what is taken of them."""

    def __init__(self, cluster: Cluster, kinds: Mapping[str, Kind] = KINDS) -> None:
        of_node = [kinds.get(node.model, UNKNOWN) for node in cluster.nodes]
        self.cpu, self.gpus = cluster.cpu, cluster.gpus
        self.rise_w: Floats = np.array([kind.card.rise_w for kind in of_node])
        self.package_rise_w: Floats = np.array([kind.package.rise_w for kind in of_node])
        self.package_milli: Ints = np.array([kind.cores for kind in of_node], dtype=np.int64) * CORE_MILLI
        self.idle_w: Floats = np.array([kind.card.idle_w for kind in of_node]) * cluster.gpus
        packages = np.ceil(cluster.cpu / self.package_milli)
        self.idle_w += packages * np.array([kind.package.idle_w for kind in of_node])

    def power_w(self, node: Ints, cpu_free: Ints, gpu_free: Ints) -> Floats:
        """Power of states (s) of nodes [W]: node [s], cpu_free [s] and gpu_free [s, g] in thousandths."""
        power_w: Floats = self._gpus_w(node, gpu_free) + self.packages(node, cpu_free) * self.package_rise_w[node]
        return power_w

    def awake(self, node: Ints, cpu_free: Ints) -> tuple[Ints, Floats]:
        """What is free in packages with work (in the first, if none has), and a package's share for each GPU [s].

        Both in thousandths of a thread; the share is the whole package where there is no GPU.
        """
        size, cpu = self.package_milli[node], self.cpu[node]
        awake = np.minimum(cpu, np.maximum(self.packages(node, cpu_free), 1).astype(np.int64) * size)
        return awake - (cpu - cpu_free), np.minimum(size, cpu) / np.maximum(self.gpus[node], 1)

    def shared_w(self, node: Ints, cpu_free: Ints, gpu_free: Ints) -> Floats:
        """As `power_w`, but of a package that is begun only the share that is taken of what the node has of it.

        It tells threads that will be of use to later pods from ones that nobody else will share the package with: the
        last package of a node is dear if the node has few of its threads.
        """
        taken, size = self.cpu[node] - cpu_free, self.package_milli[node]
        whole = taken // size
        left = np.minimum(size, self.cpu[node] - whole * size)
        packages = whole + (taken - whole * size) / np.maximum(left, 1)
        power_w: Floats = self._gpus_w(node, gpu_free) + packages * self.package_rise_w[node]
        return power_w

    def packages(self, node: Ints, cpu_free: Ints) -> Floats:
        """Packages with work [s]."""
        cores = -(-self.cpu[node] // CORE_MILLI) - cpu_free // CORE_MILLI
        packages: Floats = np.ceil(cores * CORE_MILLI / self.package_milli[node])
        return packages

    def _gpus_w(self, node: Ints, gpu_free: Ints) -> Floats:
        """Everything but what packages with work add [W]."""
        busy = self.gpus[node] - (gpu_free == GPU_MILLI).sum(axis=1)
        power_w: Floats = self.idle_w[node] + busy * self.rise_w[node]
        return power_w


def cluster_power_w(cluster: Cluster, kinds: Mapping[str, Kind] = KINDS) -> float:
    """Modelled power of all nodes [W]."""
    every = np.arange(len(cluster.nodes))
    return float(NodePower(cluster, kinds).power_w(every, cluster.cpu_free, cluster.gpu_free).sum())


def least_power_w(cluster: Cluster, kinds: Mapping[str, Kind] = KINDS) -> float:
    """What no placement of the same pods can undercut [W], by the same model.

    All that is taken is poured into the GPUs and, apart from them, into the threads that add least power, as if shares
    of GPUs and packages could be cut at will and CPU, memory and cards were never in the way.
    """
    power = NodePower(cluster, kinds)
    gpus = float(cluster.gpus.sum() - cluster.gpu_free.sum() / GPU_MILLI)
    threads_milli = float((cluster.cpu - cluster.cpu_free).sum())
    dynamic_w = _poured_w(gpus, cluster.gpus, power.rise_w)
    dynamic_w += _poured_w(threads_milli, cluster.cpu, power.package_rise_w / power.package_milli)
    return float(power.idle_w.sum()) + dynamic_w


def _poured_w(amount: float, room: Ints, price_w: Floats) -> float:
    """The least that an amount costs where each node has so much room at such a price [W]."""
    order = np.argsort(price_w)
    before = np.cumsum(room[order]) - room[order]
    return float(np.clip(amount - before, 0.0, room[order]) @ price_w[order])

"""What counts against a state of a node, besides the power it draws: stranded GPU, imbalances. Pure.

The imbalance of a node is |free threads − free GPU · `threads` · the workload's threads per GPU|: cheap cards may sit
beside many threads, and without this term they are given to pods that need few, until GPUs without threads remain.

The threads and the GPUs that a package has to serve should run out together, else GPUs wait for a further package or
threads for nobody: its imbalance is what is free in packages with work (in the first, if there is none) − free GPU ·
a package's threads per GPU of the node; what is missing counts by `missing`. So pods with many and with few threads
meet, and cards beside large packages are kept for pods with many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.fragmentation import Floats, Workload, stranded_milli
from placement.gpu_cluster import GPU_MILLI, Cluster, Ints
from placement.gpu_power import NodePower

CPU_MILLI = 1000
"""Thousandths in a thread."""
POWER_SCALE_W = 250.0
"""What a GPU with work draws, about [W]: makes watts comparable with stranded GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What counts how much, as `placement.packing` says; `offers`: `placement.node_worth`.

    `power` falls evenly from its first value, where nothing is taken, to its second, where `settled` of the GPU is.
    Where `loads` names shares of the GPU at which power will be looked at, and what it counts there, it is instead the
    sum over those that are still to come, as nothing leaves. From `settled` on it is `late` (None: the second value).
    `crowd`, `spare`: `placement.node_worth.Worth.crowding`. The defaults were chosen on arrivals of `bench placement`
    with seeds 100–109; it shows others.
    """

    power: tuple[float, float] = (3.0, 1.2)
    settled: float = 0.25
    late: float | None = None
    stranded: float = 1.0
    shared: float = 0.86
    balance: float = 0.0154
    threads: float = 1.65
    pairing: float = 0.0385
    missing: float = 0.5
    offers: tuple[float, float] = (0.01, 0.03)
    crowd: float = 2.0
    spare: tuple[float, float] = (0.0028, 0.007)
    loads: tuple[tuple[float, float], ...] = ()

    def power_at(self, taken: float) -> float:
        """What power counts where this share of the GPU is taken [0..1]."""
        first, last = self.power
        if taken >= self.settled:
            return last if self.late is None else self.late
        if self.loads:
            return sum(counts for load, counts in self.loads if taken < load)
        return float(last + (first - last) * (1.0 - taken / self.settled))


class NodeCosts:
    """Costs of states (s) of a cluster's nodes: node [s], cpu_free and memory_free [s], gpu_free [s, g]."""

    def __init__(self, cluster: Cluster, workload: Workload, weights: Weights) -> None:
        self.workload, self.weights, self.power = workload, weights, NodePower(cluster)
        self._accepted = workload.accepts(cluster.models)[cluster.model]

    def stranded(self, node: Ints, cpu_free: Ints, memory_free: Ints, gpu_free: Ints) -> Floats:
        """Free GPU that the workload could not use [GPUs]."""
        milli = stranded_milli(self.workload, self._accepted[node], cpu_free, memory_free, gpu_free)
        return milli / GPU_MILLI

    def imbalance(self, _: Ints, cpu_free: Ints, gpu_free: Ints) -> Floats:
        """Threads that are free without GPUs for them, or missing beside free GPUs."""
        wanted = self.weights.threads * self.workload.cpu_per_gpu * gpu_free.sum(axis=1)
        threads: Floats = np.abs(cpu_free - wanted) / CPU_MILLI
        return threads

    def package_imbalance(self, node: Ints, cpu_free: Ints, gpu_free: Ints) -> Floats:
        """Threads of packages with work that are free without GPUs for them, or missing beside free GPUs (weighted)."""
        awake_free, per_gpu = self.power.awake(node, cpu_free)
        left = (awake_free - per_gpu * gpu_free.sum(axis=1) / GPU_MILLI) / CPU_MILLI
        threads: Floats = np.where(left > 0, left, -self.weights.missing * left)
        return threads

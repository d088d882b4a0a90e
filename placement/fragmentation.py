"""GPU that is free and yet of no use: what the expected workload could not take of it, and why.

The measure is that of fragmentation gradient descent (Weng et al., *Beware of fragmentation*, USENIX ATC 2023,
section 4): for each kind of pod in the workload, all of a node's free GPU is stranded if the pod cannot run there, else
the free shares that are smaller than the pod's; the mean over kinds, weighted by how often they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from placement.gpu_cluster import GPU_MILLI, Bools, Cluster, Ints, Pod
from plant.errors import ConfigError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stranded:
    """Free GPU that the expected workload cannot use, in GPUs, by what is in the way; and all free GPU."""

    gpu: float
    cpu: float
    memory: float
    model: float
    free: float

    @property
    def total(self) -> float:
        """Stranded for whatever cause [GPUs]."""
        return self.gpu + self.cpu + self.memory + self.model


class Workload:
    """The kinds of pods (t) that are expected, with their shares; pods without GPUs strand nothing and are left out.

    Kinds with one GPU request form a class (d): whether shares of GPUs suffice depends on it alone.
    """

    def __init__(self, pods: Iterable[Pod]) -> None:
        counts = Counter(pod.request for pod in pods if pod.gpus)
        if not counts:
            raise ConfigError("no pod asks for a GPU", where="workload", remedy="give pods that are typical")
        kinds = list(counts)
        self.cpu: Ints = np.array([kind[0] for kind in kinds], dtype=np.int64)
        self.memory: Ints = np.array([kind[1] for kind in kinds], dtype=np.int64)
        self.models = [kind[4] for kind in kinds]
        demands = sorted({(kind[2], kind[3]) for kind in kinds})
        self.gpus: Ints = np.array([gpus for gpus, _ in demands], dtype=np.int64)
        self.milli: Ints = np.array([milli for _, milli in demands], dtype=np.int64)
        self.demand: Ints = np.array([demands.index((kind[2], kind[3])) for kind in kinds], dtype=np.int64)
        shares = np.array([counts[kind] for kind in kinds], dtype=float)
        self.shares: Floats = shares / shares.sum()
        asked = self.shares @ (self.gpus * self.milli)[self.demand]
        self.cpu_per_gpu = float(self.shares @ self.cpu / asked)
        """Threads that a GPU's worth of pods asks for."""
        self.share_of: Floats = np.zeros((len(kinds), len(demands)))
        self.share_of[np.arange(len(kinds)), self.demand] = self.shares

    def accepts(self, models: tuple[str, ...]) -> Bools:
        """Which kinds accept which cards [m, t]."""
        accepted: Bools = np.array(
            [[not want or model in want for want in self.models] for model in models], dtype=bool
        ).reshape(len(models), len(self.models))
        return accepted


def stranded_milli(workload: Workload, accepted: Bools, cpu_free: Ints, memory_free: Ints, gpu_free: Ints) -> Floats:
    """Stranded GPU [thousandths of a GPU] of each state (s) of a node.

    Args:
        workload: what is expected.
        accepted: whether a kind accepts the node's card [s, t].
        cpu_free: thousandths of a thread [s].
        memory_free: MiB [s].
        gpu_free: thousandths of each GPU [s, g].
    """
    runs = (cpu_free[:, None] >= workload.cpu) & (memory_free[:, None] >= workload.memory) & accepted
    usable = _usable(workload, gpu_free)
    stranded: Floats = gpu_free.sum(axis=1) - ((runs.astype(float) @ workload.share_of) * usable).sum(axis=1)
    return stranded


def _usable(workload: Workload, gpu_free: Ints) -> Floats:
    """What each class of demand could take of a state's free GPU, were there CPU and memory [s, d]."""
    large = gpu_free[:, :, None] >= workload.milli
    enough = large.sum(axis=1) >= workload.gpus
    usable: Floats = np.where(enough, (gpu_free[:, :, None] * large).sum(axis=1), 0).astype(float)
    return usable


def fragmentation(cluster: Cluster, workload: Workload) -> Stranded:
    """The cluster's stranded GPU by cause; what several causes strand counts for the first of model, GPU, CPU, memory.

    `gpu` also holds the shares that are too small beside ones that are not.
    """
    accepted = workload.accepts(cluster.models)[cluster.model]
    cpu = cluster.cpu_free[:, None] >= workload.cpu
    memory = cluster.memory_free[:, None] >= workload.memory
    free = cluster.gpu_free.sum(axis=1).astype(float)[:, None]
    usable = _usable(workload, cluster.gpu_free)[:, workload.demand]

    def gpus(milli: Floats) -> float:
        return float((milli * workload.shares).sum()) / GPU_MILLI

    return Stranded(
        model=gpus(~accepted * free),
        gpu=gpus(accepted * (free - usable)),
        cpu=gpus((accepted & ~cpu) * usable),
        memory=gpus((accepted & cpu & ~memory) * usable),
        free=float(free.sum()) / GPU_MILLI,
    )

"""Nodes with shared GPUs and the pods that ask for them: what is free, what fits, what a placement takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.errors import ConfigError

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

GPU_MILLI = 1000
"""Thousandths of a GPU in a whole one, as Kubernetes schedulers with GPU sharing count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as it is when empty; `cpu_milli` are thousandths of a hardware thread, `model` is the GPUs' card."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What a pod asks for: `gpu_milli` of each of `gpus` GPUs, on one of `models` (any, if empty)."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int = 0
    gpu_milli: int = GPU_MILLI
    models: frozenset[str] = frozenset()

    @property
    def asked_milli(self) -> int:
        """GPU asked for in all [thousandths of a GPU]."""
        return self.gpus * self.gpu_milli

    @property
    def request(self) -> tuple[int, int, int, int, frozenset[str]]:
        """Everything but the name: pods of one request are the same to every policy."""
        return (self.cpu_milli, self.memory_mib, self.gpus, self.gpu_milli, self.models)


class Cluster:
    """Nodes and what is free on them, in arrays over nodes (n) and GPU slots (g); a missing GPU has nothing free.

    Attributes:
        nodes: the nodes, in the order of all arrays.
        cpu_free, memory_free: thousandths of a thread, MiB [n].
        gpu_free: thousandths of each GPU [n, g].
        changes: how often each node was changed [n], so that a score knows whether it is still good.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(nodes)
        _check_nodes(self.nodes)
        self.models = tuple(sorted({node.model for node in self.nodes}))
        self.model = np.array([self.models.index(node.model) for node in self.nodes], dtype=np.int64)
        self.cpu = np.array([node.cpu_milli for node in self.nodes], dtype=np.int64)
        self.memory = np.array([node.memory_mib for node in self.nodes], dtype=np.int64)
        self.gpus = np.array([node.gpus for node in self.nodes], dtype=np.int64)
        slots = np.arange(self.gpus.max(initial=0))
        self.cpu_free, self.memory_free = self.cpu.copy(), self.memory.copy()
        self.gpu_free: Ints = np.where(slots < self.gpus[:, None], GPU_MILLI, 0).astype(np.int64)
        self.changes: Ints = np.zeros(len(self.nodes), dtype=np.int64)

    @property
    def allocated_share(self) -> float:
        """GPU that is taken, of all there is [0..1]; 0 in a cluster without GPUs."""
        capacity = int(self.gpus.sum()) * GPU_MILLI
        return 1.0 - float(self.gpu_free.sum()) / capacity if capacity else 0.0

    def allowed(self, pod: Pod) -> Bools:
        """The nodes whose card the pod accepts [n]."""
        if not pod.models:
            return np.ones(len(self.nodes), dtype=bool)
        return np.array([model in pod.models for model in self.models], dtype=bool)[self.model]

    def fits(self, pod: Pod) -> Bools:
        """The nodes that can take the pod now [n]."""
        room = (self.cpu_free >= pod.cpu_milli) & (self.memory_free >= pod.memory_mib) & self.allowed(pod)
        if pod.gpus:
            room &= (self.gpu_free >= pod.gpu_milli).sum(axis=1) >= pod.gpus
        return room

    def take(self, pod: Pod, node: int, gpus: Sequence[int]) -> None:
        """Put the pod on a node's GPUs.

        Raises:
            ConfigError: it does not fit there.
        """
        chosen = list(gpus)
        short = self.cpu_free[node] < pod.cpu_milli or self.memory_free[node] < pod.memory_mib
        if short or len(set(chosen)) != pod.gpus or (self.gpu_free[node, chosen] < pod.gpu_milli).any():
            raise ConfigError(f"{pod.name!r} does not fit on GPUs {chosen}", where=self.nodes[node].name)
        self._add(pod, node, chosen, -1)

    def release(self, pod: Pod, node: int, gpus: Sequence[int]) -> None:
        """Give back what `take` took."""
        self._add(pod, node, list(gpus), 1)

    def _add(self, pod: Pod, node: int, gpus: list[int], sign: int) -> None:
        self.cpu_free[node] += sign * pod.cpu_milli
        self.memory_free[node] += sign * pod.memory_mib
        self.gpu_free[node, gpus] += sign * pod.gpu_milli
        self.changes[node] += 1


def _check_nodes(nodes: Sequence[Node]) -> None:
    """Names once each, nothing negative."""
    names = [node.name for node in nodes]
    if len(set(names)) != len(names):
        raise ConfigError("a node is named twice", where="nodes", remedy="give each node a name of its own")
    for node in nodes:
        if min(node.cpu_milli, node.memory_mib, node.gpus) < 0:
            raise ConfigError("a negative capacity", where=node.name)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ways to place one pod, one a row (s): the node, the GPUs [s, k], and what would be free after it."""

    node: Ints
    gpus: Ints
    cpu_free: Ints
    memory_free: Ints
    gpu_free: Ints


def candidates(cluster: Cluster, pod: Pod, nodes: Ints) -> Candidates:
    """The ways to put the pod on these nodes, all of which fit it; GPUs of one node that are equally free count once.

    A share of one GPU may go on any that has room; several GPUs are the least free ones that have room.
    """
    rows, gpus = _shares(cluster, pod, nodes) if pod.gpus == 1 else _several(cluster, pod, nodes)
    free = cluster.gpu_free[rows]
    np.put_along_axis(free, gpus, np.take_along_axis(free, gpus, axis=1) - pod.gpu_milli, axis=1)
    return Candidates(
        rows, gpus, cluster.cpu_free[rows] - pod.cpu_milli, cluster.memory_free[rows] - pod.memory_mib, free
    )


def _shares(cluster: Cluster, pod: Pod, nodes: Ints) -> tuple[Ints, Ints]:
    free = cluster.gpu_free[nodes]
    slots = free.shape[1]
    earlier = np.tri(slots, k=-1, dtype=bool)
    repeated = ((free[:, :, None] == free[:, None, :]) & earlier).any(axis=2)
    which, gpu = np.nonzero((free >= pod.gpu_milli) & ~repeated)
    return nodes[which], gpu[:, None].astype(np.int64)


def _several(cluster: Cluster, pod: Pod, nodes: Ints) -> tuple[Ints, Ints]:
    free = cluster.gpu_free[nodes]
    order = np.argsort(np.where(free >= pod.gpu_milli, free, np.iinfo(np.int64).max), axis=1, kind="stable")
    return nodes, order[:, : pod.gpus].astype(np.int64)

"""Where a list of pods should go on nodes with shared GPUs, one after the other, and what that strands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from placement.fragmentation import Workload, fragmentation
from placement.gpu_cluster import Cluster, Node, Pod
from placement.node_worth import Worth
from placement.packing import Packer
from plant.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A pod that runs already, on these GPUs of a node (indices from 0)."""

    pod: Pod
    node: str
    on: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlace:
    """A pod's place; node is None where it fits nowhere, and reasons say what is lacking.

    gpus: indices of the node's GPUs; stranded_gpus: free GPU that becomes useless by it (negative: useful again)
    [GPUs]; power_w: what the node then draws more, by the model of `placement.gpu_power` [W].
    """

    pod: str
    node: str | None
    gpus: tuple[int, ...] = ()
    stranded_gpus: float = 0.0
    power_w: float = 0.0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingAdvice:
    """Places in the order of the pods; stranded and free GPU of all nodes before and after them [GPUs].

    policy: `learnt` (what `bench placement` measures) or `guessed`.
    """

    policy: str
    places: tuple[PodPlace, ...]
    unplaced: int
    stranded_before_gpus: float
    stranded_gpus: float
    free_gpus: float


def packer_of(cluster: Cluster, expected: Sequence[Pod], worth: Worth | None) -> Packer:
    """The policy for a cluster where such pods are expected, by what was learnt for them (None: by guesses).

    One for `POST /v1/advise/packing` and `bench placement`.

    Raises:
        ConfigError: no pod asks for a GPU.
    """
    return Packer(cluster, Workload(expected), worth=worth)


def occupied(nodes: Iterable[Node], running: Sequence[Running]) -> Cluster:
    """The nodes with what runs on them.

    Raises:
        ConfigError: a node named twice, or something that runs where it can't.
    """
    cluster = Cluster(nodes)
    index = {node.name: i for i, node in enumerate(cluster.nodes)}
    for i, one in enumerate(running):
        _occupy(cluster, index, one, f"running.{i} ({one.pod.name})")
    return cluster


def advise(cluster: Cluster, pods: Sequence[Pod], expected: Sequence[Pod], worth: Worth | None) -> PackingAdvice:
    """Place the pods one by one beside what runs; stranded is what the expected pods could not use.

    Raises:
        ConfigError: no expected pod asks for a GPU.
    """
    packer = packer_of(cluster, expected, worth)
    before = fragmentation(cluster, packer.workload)
    places = tuple(_place(packer, pod) for pod in pods)
    after = fragmentation(cluster, packer.workload)
    return PackingAdvice(
        policy="guessed" if worth is None else "learnt",
        places=places,
        unplaced=sum(place.node is None for place in places),
        stranded_before_gpus=before.total,
        stranded_gpus=after.total,
        free_gpus=after.free,
    )


def _occupy(cluster: Cluster, index: Mapping[str, int], one: Running, where: str) -> None:
    if one.node not in index:
        raise ConfigError(f"no node {one.node!r}", where=where, remedy="name it in nodes, or leave the pod out")
    node = index[one.node]
    if any(gpu >= cluster.gpus[node] for gpu in one.on):
        text = f"{one.node} has {cluster.gpus[node]} GPUs, counted from 0"
        raise ConfigError(text, where=where, remedy="correct on, or the node's gpus")
    try:
        cluster.take(one.pod, node, one.on)
    except ConfigError as error:
        text = f"what runs on {one.node} is more than it has, or on does not name as many GPUs as gpus"
        raise ConfigError(text, where=where, remedy="correct the node's capacity or what runs there") from error


def _place(packer: Packer, pod: Pod) -> PodPlace:
    found = packer.place(pod)
    if found is None:
        return PodPlace(pod=pod.name, node=None, reasons=(_lacking(packer.cluster, pod),))
    packer.cluster.take(pod, found.node, found.gpus)
    return PodPlace(
        pod=pod.name,
        node=found.name,
        gpus=found.gpus,
        stranded_gpus=found.stranded_gpus,
        power_w=found.power_w,
        reasons=found.reasons,
    )


def _lacking(cluster: Cluster, pod: Pod) -> str:
    """Why no node takes the pod; a node may lack several things."""
    free = (cluster.gpu_free >= pod.gpu_milli).sum(axis=1)
    lacks = {
        "another card": ~cluster.allowed(pod),
        "too few free threads": cluster.cpu_free < pod.cpu_milli,
        "too little free memory": cluster.memory_free < pod.memory_mib,
        "too few GPUs with room": free < pod.gpus,
    }
    told = [f"{int(where.sum())} have {what}" for what, where in lacks.items() if where.any()]
    return f"fits on none of {len(cluster.nodes)} nodes: {', '.join(told)}"

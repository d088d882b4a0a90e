"""What a pool has free and what waits in it, in whole nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from placement.kubernetes.cluster import Kubernetes
from placement.kubernetes.extender import gpus_of
from placement.slurm.commands import Slurm
from placement.slurm.jobs import read_jobs
from placement.slurm.nodes import read_nodes

_FOR_NODES = ("Resources", "Priority", "ReqNodeNotAvail", "Nodes required")
"""Slurm's reasons of a job that waits for nodes; one that waits for a licence, a time or another job is no demand."""
PODS_PER_NODE = 110
"""The kubelet's default; pods without GPUs fill a node so."""


@dataclass(frozen=True, slots=True)
class Demand:
    """idle: nodes on which nothing runs and which take work; waiting: nodes that what waits could use now."""

    idle: tuple[str, ...]
    waiting: int


async def slurm_demand(slurm: Slurm) -> Demand:
    """By its nodes and queue.

    Raises:
        SilentError: no answer.
        RefusedError: Slurm refused.
    """
    nodes, jobs = await read_nodes(slurm), await read_jobs(slurm)
    waiting = sum(j.count for j in jobs if j.state == "PENDING" and j.reason.startswith(_FOR_NODES))
    return Demand(tuple(n.name for n in nodes.values() if n.state == "idle" and n.answers), waiting)


async def kubernetes_demand(cluster: Kubernetes, gpus_per_node: int) -> Demand:
    """By pods that run or that the scheduler found no node for.

    Raises:
        SilentError: no answer.
        RefusedError: no permission.
    """
    nodes, pods = await cluster.nodes(), await cluster.pods()
    busy = {pod["spec"].get("nodeName") for pod in pods if not _of_a_daemon(pod)}
    free = [n.name for n in nodes.values() if n.ready and not n.unschedulable and n.name not in busy]
    return Demand(tuple(free), _nodes_wanted(filter(_unschedulable, pods), gpus_per_node))


def _nodes_wanted(pods: Iterable[Mapping[str, Any]], gpus_per_node: int) -> int:
    shares = (gpus_of(pod) / gpus_per_node or 1.0 / PODS_PER_NODE for pod in pods)
    return ceil(sum(shares) - 1e-9)


def _of_a_daemon(pod: Mapping[str, Any]) -> bool:
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or ())


def _unschedulable(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in conditions)

"""A Kubernetes cluster that lends and borrows nodes: cordoned and tainted is away, neither is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from placement.demand import Demand, kubernetes_demand
from placement.kubernetes.cluster import Kubernetes
from placement.kubernetes.marks import PREFIX, NodeNow
from plant.errors import RefusedError, SilentError

LENT, REASON = f"{PREFIX}lent", f"{PREFIX}lent-reason"
CORDONED = "node.kubernetes.io/unschedulable"
"""kube-controller-manager's taint of a cordoned node: it stays for a moment after that ends."""


@dataclass(frozen=True, slots=True)
class KubernetesPool:
    """name: how people call it; gpus_per_node: what a whole node has, for pods that wait."""

    name: str
    cluster: Kubernetes
    gpus_per_node: int = 8

    async def drain(self, node: str, reason: str) -> None:
        """Cordon it and let no new pod come; running ones end by themselves.

        Raises:
            RefusedError: unknown, or cordoned by others.
            SilentError: no answer.
        """
        found = await self._node(node)
        _refuse_foreign(found)
        if REASON not in found.annotations:
            taints = [*found.taints, {"key": LENT, "value": "true", "effect": "NoSchedule"}]
            await self._patch(found, taints, unschedulable=True, reason=reason)

    async def idle(self, node: str) -> bool:
        """No pod but those of daemon sets and mirror pods.

        Raises:
            RefusedError: unknown, or no permission to list pods.
            SilentError: no answer; or the node is not ready: its pods may be taken off the list while they still run.
        """
        if not (await self._node(node)).ready:
            raise SilentError(f"{node} is not ready in {self.name}: what runs there is not known")
        return not any(map(_counts, await self.cluster.pods(node)))

    async def release(self, node: str) -> None:
        """It stays cordoned.

        Raises:
            RefusedError: unknown, or cordoned by others.
            SilentError: no answer.
        """
        await self.drain(node, "lent")

    async def admit(self, node: str) -> None:
        """Uncordon it, if it was us who did it.

        Raises:
            RefusedError: unknown, or cordoned by others.
            SilentError: no answer.
        """
        found = await self._node(node)
        _refuse_foreign(found)
        if REASON in found.annotations:
            taints = [t for t in found.taints if t["key"] != LENT]
            await self._patch(found, taints, unschedulable=False, reason=None)

    async def usable(self, node: str) -> bool:
        """Ready, and pods may come.

        Raises:
            RefusedError: unknown.
            SilentError: no answer.
        """
        return _works(await self._node(node))

    async def serves(self) -> frozenset[str]:
        """All such nodes.

        Raises:
            RefusedError: no permission to list nodes.
            SilentError: no answer.
        """
        return frozenset(n.name for n in (await self.cluster.nodes()).values() if _works(n))

    async def demand(self) -> Demand:
        """What is free and what waits.

        Raises:
            RefusedError: no permission to list nodes or pods.
            SilentError: no answer.
        """
        return await kubernetes_demand(self.cluster, self.gpus_per_node)

    async def _patch(
        self, node: NodeNow, taints: list[Mapping[str, Any]], *, unschedulable: bool, reason: str | None
    ) -> None:
        metadata = {"annotations": {REASON: reason}, "resourceVersion": node.version}
        spec = {"unschedulable": unschedulable or None, "taints": taints or None}
        await self.cluster.patch_node(node.name, {"metadata": metadata, "spec": spec})

    async def _node(self, node: str) -> NodeNow:
        found = (await self.cluster.nodes(node)).get(node)
        if found is None:
            raise RefusedError(f"{self.name} has no node {node}")
        return found


def _refuse_foreign(node: NodeNow) -> None:
    if node.unschedulable and REASON not in node.annotations:
        raise RefusedError(f"{node.name} was cordoned by others")


def _works(node: NodeNow) -> bool:
    return node.ready and not node.unschedulable and not any(t["key"] in (LENT, CORDONED) for t in node.taints)


def _counts(pod: Mapping[str, Any]) -> bool:
    metadata = pod["metadata"]
    mirror = "kubernetes.io/config.mirror" in (metadata.get("annotations") or {})
    owners = {owner["kind"] for owner in metadata.get("ownerReferences") or ()}
    return not mirror and "DaemonSet" not in owners

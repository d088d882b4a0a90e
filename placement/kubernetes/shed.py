"""Kubernetes' pods as a shed plan's requeues need them: evicted, so that their controller makes them anew.

An eviction heeds disruption budgets. Where the new pods go is the scheduler's: `k8s sync` taints the nodes of racks
whose budget is exceeded, and the controller sets such a budget while it asks for less load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from placement.kubernetes.cluster import Kubernetes
from placement.kubernetes.outlook import Pod, interruptible, owner_of, started_s
from placement.shed.stops import Run
from plant.errors import RefusedError
from plant.sheds import JobStopped


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesJobs:
    """One cluster; a job is a controller that owns pods, as `k8s sync` tells them."""

    cluster: Kubernetes
    checkpoint_s: float = 0.0

    async def runs(self) -> dict[str, Run]:
        """Every controller with pods on nodes.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no (permissions).
        """
        groups = await self._placed()
        return {
            name: Run(
                nodes=tuple(dict.fromkeys(pod["spec"]["nodeName"] for pod in pods)),
                start_s=min(started_s(pod, 0.0) for pod in pods),
                interruptible=all(map(interruptible, pods)),
            )
            for name, pods in groups.items()
        }

    async def nodes(self) -> frozenset[str]:
        """Every node.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no (permissions).
        """
        return frozenset(await self.cluster.nodes())

    async def signal(self, job: str) -> str:
        """Nothing: an eviction sends TERM and gives the pod its own grace period."""
        del job
        return ""

    async def requeue(self, stop: JobStopped, avoid: Sequence[str], *, still_runs: bool) -> None:
        """Evict its pods that were there then; those that were made since are its controller's answer to it.

        Raises:
            SilentError: the API server did not answer, or a disruption budget allows no eviction now.
            RefusedError: it said no (permissions).
        """
        del avoid, still_runs
        for pod in (await self._placed()).get(stop.job, []):
            if started_s(pod, 0.0) <= stop.at_s:
                await self._evict(pod)

    async def release(self, stop: JobStopped) -> None:
        """Nothing: its controller has made it anew, and taints go with the budget."""

    async def _placed(self) -> dict[str, list[Pod]]:
        found: dict[str, list[Pod]] = {}
        for pod in await self.cluster.pods():
            if pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp"):
                found.setdefault(owner_of(pod), []).append(pod)
        return found

    async def _evict(self, pod: Pod) -> None:
        if not interruptible(pod):
            raise RefusedError(f"pod {pod['metadata']['name']} may not be stopped")
        await self.cluster.evict(pod["metadata"]["name"], pod["metadata"].get("namespace", "default"))

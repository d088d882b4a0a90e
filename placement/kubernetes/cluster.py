"""A Kubernetes cluster through its API server: nodes and pods read in pages, nodes patched a few at a time.

By kubernetes_asyncio (extra `kubernetes`), which knows kubeconfig files, service accounts and TLS.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

from placement.kubernetes.asking import ExpiredError, asked, page_of
from placement.kubernetes.marks import NodeNow
from plant.errors import ConfigError, RefusedError

PAGE, AT_ONCE = 500, 8
RENEW_S = 60.0
"""How often a kubeconfig's token file or plugin is looked at again [s]."""
_NAMESPACE, _MERGE = "default", "application/merge-patch+json"
_IN_A_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """An open connection: `kubernetes_asyncio.client.CoreV1Api`."""

    core: Any

    async def nodes(self, name: str = "") -> dict[str, NodeNow]:
        """All nodes by name, or that one: by a list as well, so that no right to get nodes is needed.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no (permissions).
        """
        one = {"field_selector": f"metadata.name={name}"} if name else {}
        items = await self._pages(self.core.list_node, **one)
        return {node.name: node for node in map(_node, items)}

    async def clock(self) -> float | None:
        """The API server's clock [s since 1970] by the second; None where an answer has no date.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no (permissions).
        """
        _, date = await asked(partial(self.core.list_node, limit=1))
        with suppress(ValueError):  # a date that is none
            return None if date is None else parsedate_to_datetime(date).timestamp()
        return None

    async def pods(self, node: str = "") -> list[Mapping[str, Any]]:
        """All pods that are not over, as they come; or those of one node.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no (permissions).
        """
        wanted = "status.phase!=Succeeded,status.phase!=Failed" + (f",spec.nodeName={node}" if node else "")
        return await self._pages(self.core.list_pod_for_all_namespaces, field_selector=wanted)

    async def patch_nodes(self, patches: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Merge patches by node; what was not done, with the reason: a conflict is settled by the next cycle.

        Raises:
            SilentError: the API server did not answer.
        """
        gate, failed = asyncio.Semaphore(AT_ONCE), {}

        async def one(name: str, patch: Mapping[str, Any]) -> None:
            async with gate:
                try:
                    await self.patch_node(name, patch)
                except RefusedError as error:
                    failed[name] = str(error)

        try:
            # a group, so that nothing of an old cycle is still on its way when the server answers again
            async with asyncio.TaskGroup() as group:
                for name, patch in patches.items():
                    group.create_task(one(name, patch))
        except ExceptionGroup as errors:  # `except*` wraps what it raises again in Debian 12's Python 3.11.2
            raise errors.exceptions[0] from None
        return failed

    async def patch_node(self, name: str, patch: Mapping[str, Any]) -> None:
        """One merge patch.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no: gone, changed meanwhile, or not permitted.
        """
        await asked(partial(self.core.patch_node, name, patch, _content_type=_MERGE), patient=True)

    async def evict(self, name: str, namespace: str) -> None:
        """Ask for one pod's end, with its own grace period; one that is gone already is no matter.

        Raises:
            SilentError: the API server did not answer, or a disruption budget allows none now.
            RefusedError: it said no (permissions).
        """
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        make = self.core.create_namespaced_pod_eviction
        await asked(partial(make, name, namespace, body), gone_is_fine=True)

    async def make_node(self, name: str, labels: Mapping[str, str]) -> None:
        """A node without a machine behind it, ready on paper, on which pods of one CPU fit.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no.
        """
        body = {"metadata": {"name": name, "labels": dict(labels)}}
        await asked(partial(self.core.create_node, body))
        size = {"cpu": "64", "memory": "64Gi", "pods": "110"}
        ready = {"type": "Ready", "status": "True", "reason": "Paper", "message": "made by coldplate k8s verify"}
        status = {"status": {"capacity": size, "allocatable": size, "conditions": [ready]}}
        await asked(partial(self.core.patch_node_status, name, status, _content_type=_MERGE))
        await self.patch_node(name, {"spec": {"taints": None}})

    async def make_pod(self, name: str, labels: Mapping[str, str], tolerations: Sequence[Mapping[str, str]]) -> None:
        """A pod for nodes with these labels, in the namespace `default`.

        Raises:
            SilentError: the API server did not answer.
            RefusedError: it said no.
        """
        container = {"name": "pause", "image": "registry.k8s.io/pause:3.9", "resources": {"requests": {"cpu": "1"}}}
        spec = {
            "nodeSelector": dict(labels),
            "tolerations": list(tolerations),
            "containers": [container],
            "automountServiceAccountToken": False,
        }
        body = {"metadata": {"name": name, "labels": dict(labels)}, "spec": spec}
        await asked(partial(self.core.create_namespaced_pod, _NAMESPACE, body))

    async def remove(self, stem: str, nodes: Sequence[str]) -> None:
        """Delete pods whose name begins with the stem, at once, and these nodes; what is gone already is no matter.

        Raises:
            SilentError: the API server did not answer.
        """
        found = [p["metadata"]["name"] for p in await self.pods() if p["metadata"]["name"].startswith(f"{stem}-pod-")]
        for name in found:
            with suppress(RefusedError):
                await asked(partial(self.core.delete_namespaced_pod, name, _NAMESPACE, grace_period_seconds=0))
        for node in nodes:
            with suppress(RefusedError):
                await asked(partial(self.core.delete_node, node))

    async def _pages(self, listing: Callable[..., Awaitable[Any]], **wanted: Any) -> list[Mapping[str, Any]]:
        """All pages of a list; from the beginning where the server forgot the state that it began with (410)."""
        items: list[Mapping[str, Any]] = []
        token, again = "", True
        while True:
            more = {"_continue": token} if token else {}
            try:
                answer, _ = await asked(partial(listing, limit=PAGE, **wanted, **more), patient=True)
            except ExpiredError:
                if not again:
                    raise
                items, token, again = [], "", False
                continue
            page = page_of(answer)
            items += page.items or ()
            token = page.metadata.next
            if not token:
                return items


@asynccontextmanager
async def connect(kubeconfig: Path | None = None) -> AsyncIterator[Kubernetes]:
    """The cluster of a kubeconfig file, by default of $KUBECONFIG, ~/.kube/config, or the pod that we run in.

    Raises:
        ConfigError: the extra is not installed, or there is no configuration.
    """
    try:
        from kubernetes_asyncio import client, config  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("no kubernetes_asyncio", remedy="pip install 'coldplate[kubernetes]'") from None
    settings = client.Configuration()
    try:
        file = str(kubeconfig or os.environ.get("KUBECONFIG", "")) or None
        if file is None and _IN_A_POD.exists():
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            loader = await config.load_kube_config(config_file=file, client_configuration=settings)
            settings.refresh_api_key_hook = _renewal(loader)
    except (config.ConfigException, OSError) as error:
        remedy = "name a kubeconfig file, or set KUBECONFIG"
        raise ConfigError(f"no cluster: {error}", where=str(kubeconfig or "KUBECONFIG"), remedy=remedy) from error
    async with client.ApiClient(settings) as api:
        yield Kubernetes(client.CoreV1Api(api))


def _renewal(loader: Any) -> Callable[[Any], Awaitable[None]]:
    """Tokens of files and plugins end after minutes or hours; the library reads them only once.

    Where that fails the old one goes on, until the API server refuses it.
    """
    from kubernetes_asyncio.config import ConfigException  # noqa: PLC0415 - an extra

    read_s = time.monotonic()

    async def renew(settings: Any) -> None:
        nonlocal read_s
        if time.monotonic() - read_s >= RENEW_S:
            read_s = time.monotonic()
            with suppress(ConfigException, OSError):
                await loader.load_and_set(settings)

    return renew


def _node(item: Mapping[str, Any]) -> NodeNow:
    metadata, spec = item["metadata"], item.get("spec") or {}
    conditions = (item.get("status") or {}).get("conditions") or []
    return NodeNow(
        name=metadata["name"],
        version=metadata.get("resourceVersion", ""),
        annotations=metadata.get("annotations") or {},
        labels=metadata.get("labels") or {},
        taints=tuple(spec.get("taints") or ()),
        unschedulable=bool(spec.get("unschedulable")),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
    )

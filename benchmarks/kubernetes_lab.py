"""A Kubernetes API server on loopback that keeps versions and pages, and remembers which verbs it was asked for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass
class Server:
    """Nodes by name and pods; merges patches, refuses stale versions, pages lists, evicts pods.

    token: the one that counts now, empty: any; answers: cleared, it takes patches and does not answer.
    forgets: how many next pages of a list it does not know any more.
    refuses: statuses of the next answers to what the token may do, one by one, with a time to come again.
    ahead_s: its clock less this host's [s].
    held_by_budget: pods that a disruption budget keeps from being evicted.
    """

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    page: int = 2
    patches: int = 0
    forbid: bool = False
    token: str = ""
    forgets: int = 0
    refuses: list[int] = field(default_factory=list)
    ahead_s: float = 0.0
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    asked: set[tuple[str, str]] = field(default_factory=set)
    held_by_budget: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """It answers."""
        self.answers.set()

    def add(self, name: str, **spec: Any) -> None:
        """A ready node."""
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.nodes[name] = {"metadata": {"name": name, "resourceVersion": "1"}, "spec": spec, "status": ready}

    @property
    def app(self) -> web.Application:
        """What it serves."""
        app = web.Application(middlewares=[self._known])
        app.router.add_get("/api/v1/nodes", self._list_nodes)
        app.router.add_get("/api/v1/pods", self._list_pods)
        app.router.add_patch("/api/v1/nodes/{name}", self._patch)
        app.router.add_post("/api/v1/nodes", self._make_node)
        app.router.add_patch("/api/v1/nodes/{name}/status", self._patch_status)
        app.router.add_delete("/api/v1/nodes/{name}", self._delete_node)
        app.router.add_post("/api/v1/namespaces/default/pods", self._make_pod)
        app.router.add_delete("/api/v1/namespaces/default/pods/{name}", self._delete_pod)
        app.router.add_post("/api/v1/namespaces/{namespace}/pods/{name}/eviction", self._evict)
        return app

    @web.middleware
    async def _known(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "message": "Unauthorized", "code": 401}, status=401)
        if self.refuses:
            words = {"kind": "Status", "message": "Too many requests, please try again later.", "code": 429}
            return web.json_response(words, status=self.refuses.pop(), headers={"Retry-After": "1"})
        answer: web.StreamResponse = await handler(request)
        answer.headers["Date"] = formatdate(time.time() + self.ahead_s, usegmt=True)
        return answer

    async def _evict(self, request: web.Request) -> web.Response:
        self.asked.add(("create", "pods/eviction"))
        name, body = request.match_info["name"], json.loads(await request.read())
        assert (body["apiVersion"], body["kind"], body["metadata"]["name"]) == ("policy/v1", "Eviction", name)
        if name in self.held_by_budget:
            text = "Cannot evict pod as it would violate the pod's disruption budget."
            return web.json_response({"kind": "Status", "message": text, "code": 429}, status=429)
        gone = [p for p in self.pods if p["metadata"]["name"] == name]
        self.pods = [p for p in self.pods if p not in gone]
        return web.json_response({"kind": "Status"}, status=201 if gone else 404)

    def _listed(self, request: web.Request, items: list[dict[str, Any]]) -> web.Response:
        if self.forbid:
            text = 'nodes is forbidden: User "u" cannot list resource "nodes" in API group "" at the cluster scope'
            return web.json_response({"kind": "Status", "message": text, "code": 403}, status=403)
        begin = int(request.query.get("continue", 0))
        if begin and self.forgets:
            self.forgets -= 1
            text = "The provided continue parameter is too old to display a consistent list result."
            return web.json_response({"kind": "Status", "message": text, "reason": "Expired", "code": 410}, status=410)
        more = {"continue": str(begin + self.page)} if begin + self.page < len(items) else {}
        return web.json_response({"metadata": more, "items": items[begin : begin + self.page]})

    async def _list_nodes(self, request: web.Request) -> web.Response:
        self.asked.add(("list", "nodes"))
        return self._listed(request, [n for n in self.nodes.values() if selected(request, n)])

    async def _list_pods(self, request: web.Request) -> web.Response:
        self.asked.add(("list", "pods"))
        return self._listed(request, [p for p in self.pods if selected(request, p)])

    async def _patch(self, request: web.Request) -> web.Response:
        self.asked.add(("patch", "nodes"))
        assert request.content_type == "application/merge-patch+json"
        await self.answers.wait()
        node, patch = self.nodes.get(request.match_info["name"]), json.loads(await request.read())
        if node is None:
            return web.json_response({}, status=404)
        if (
            patch.get("metadata", {}).get("resourceVersion", node["metadata"]["resourceVersion"])
            != (node["metadata"]["resourceVersion"])
        ):
            return web.json_response({}, status=409)
        self.patches += 1
        merged = merge(node, patch)
        merged["metadata"]["resourceVersion"] = str(int(node["metadata"]["resourceVersion"]) + 1)
        self.nodes[request.match_info["name"]] = merged
        return web.json_response(merged)

    async def _make_node(self, request: web.Request) -> web.Response:
        self.asked.add(("create", "nodes"))
        body = json.loads(await request.read())
        new = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
        self.nodes[body["metadata"]["name"]] = merge(
            body, {"metadata": {"resourceVersion": "1"}, "spec": {"taints": [new]}}
        )
        return web.json_response(self.nodes[body["metadata"]["name"]], status=201)

    async def _patch_status(self, request: web.Request) -> web.Response:
        self.asked.add(("patch", "nodes/status"))
        name = request.match_info["name"]
        self.nodes[name] = merge(self.nodes[name], json.loads(await request.read()))
        return web.json_response(self.nodes[name])

    async def _delete_node(self, request: web.Request) -> web.Response:
        self.asked.add(("delete", "nodes"))
        return web.json_response(
            {"kind": "Status"}, status=200 if self.nodes.pop(request.match_info["name"], None) else 404
        )

    async def _make_pod(self, request: web.Request) -> web.Response:
        self.asked.add(("create", "pods"))
        self.pods.append(json.loads(await request.read()))
        return web.json_response(self.pods[-1], status=201)

    async def _delete_pod(self, request: web.Request) -> web.Response:
        self.asked.add(("delete", "pods"))
        self.pods = [p for p in self.pods if p["metadata"]["name"] != request.match_info["name"]]
        return web.json_response({"kind": "Status"})


def selected(request: web.Request, thing: Mapping[str, Any]) -> bool:
    """By the fields that an API server knows: `a.b=c` and `a.b!=c`, all of them."""
    for wish in filter(None, request.query.get("fieldSelector", "").split(",")):
        path, _, value = wish.partition("=")
        found: Any = thing
        for part in path.removesuffix("!").split("."):
            found = found.get(part, {})
        if (found == value) is path.endswith("!"):
            return False
    return True


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class ServedApart:
    """The mock in a thread of its own, for processes under test while the test itself waits."""

    def __init__(self, mock: Server, folder: Path) -> None:
        self.mock, self._loop, self._ready = mock, asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(folder,), daemon=True)
        self.kubeconfig = folder / "kubeconfig"
        self._thread.start()
        assert self._ready.wait(30)

    def _serve(self, folder: Path) -> None:
        async def work() -> None:
            self._stop = asyncio.Event()
            runner = await started(self.mock, folder)
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

        self._loop.run_until_complete(work())
        self._loop.close()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)


async def started(mock: Server, folder: Path) -> web.AppRunner:
    """Serve the mock; its kubeconfig is `kubeconfig` in the folder."""
    runner = web.AppRunner(mock.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    return runner

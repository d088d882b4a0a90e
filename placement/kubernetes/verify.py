"""Shows on a real cluster that the adapter's way works there, and takes everything back.

Each check is a row: what must hold, whether it held, how long it took. Nothing but our own keys is written on a named
node; a node made for this is deleted again, with the pods that were made for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from placement.kubernetes.cluster import Kubernetes
from placement.kubernetes.marks import HOT, PREFIX, SCORE, Mark, NodeNow, ours, patch_for
from placement.kubernetes.writer import write
from plant.errors import ColdplateError, ConfigError, RefusedError

LABEL = f"{PREFIX}verify"
WAIT_S = 30.0
_COLD, _SOFT_SCORE, _POLL_S = 80, 5, 0.1
_OURS_ALONE = [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]
"""What pods made here tolerate beside nothing: a node without a kubelet gets this taint at its making."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check."""

    what: str
    held: bool
    took_ms: float
    detail: str = ""


@dataclass(slots=True)
class Verification:
    """rows: what was checked so far; node: the one that is written on."""

    cluster: Kubernetes
    node: str
    now_s: Callable[[], float] = time.time
    rows: list[Row] = field(default_factory=list)

    async def row(self, what: str, check: Callable[[], Awaitable[str]]) -> bool:
        """Run one check: its words, or a ColdplateError, which says why it did not hold."""
        begin = time.monotonic()
        try:
            held, detail = True, await check()
        except ColdplateError as error:
            held, detail = False, str(error)
        self.rows.append(Row(what, held, 1e3 * (time.monotonic() - begin), detail))
        return held

    async def run(self) -> list[Row]:
        """All checks of reading and writing; ends with nothing of ours on the node, whatever happened."""
        before = (await self.cluster.nodes(self.node)).get(self.node)
        if before is None:
            raise ConfigError(f"no node {self.node}", where="--node", remedy="name one of `kubectl get nodes`")
        if there := ours(before):
            remedy = "stop `coldplate k8s sync --write` and take its marks back, or name another node"
            words = f"{self.node} has marks of coldplate already ({', '.join(there)})"
            raise ConfigError(words, where="--node", remedy=remedy)
        await self.row("nodes are listed", self._listed)
        await self.row("pods are listed", self._pods)
        await self.row("the clocks agree", self._clocks)
        await self.row("a dry run writes nothing", self._dry)
        try:
            await self.row("score, class and soft taint are written", self._written)
            await self.row("all else on the node is as before", lambda: self._as_before(before))
            await self.row("a second cycle has nothing to write", self._again)
            await self.row("a patch for an older version is refused", lambda: self._stale(before))
        finally:
            await self.row("a mark that is over is taken back", self._taken_back)
            await self.row("the node is as it was", lambda: self._as_before(before))
        return self.rows

    async def _listed(self) -> str:
        return f"{len(await self.cluster.nodes())} nodes"

    async def _pods(self) -> str:
        return f"{len(await self.cluster.pods())} pods"

    async def _clocks(self) -> str:
        there_s = await self.cluster.clock()
        if there_s is None:
            raise RefusedError("answers have no date")
        skew_s = there_s - self.now_s()
        if abs(skew_s) > 30:
            raise RefusedError(f"the API server's clock is {skew_s:.0f} s from ours")
        return f"{skew_s:+.1f} s"

    def _mark(self) -> Mark:
        return Mark(score=_SOFT_SCORE, until_s=self.now_s() + 300.0)

    async def _dry(self) -> str:
        done = await write(_One(self.cluster, self.node), {self.node: self._mark()}, self.now_s())
        if SCORE in (await self._node()).annotations:
            raise RefusedError("the node has changed")
        return f"{len(done.patches)} patch planned"

    async def _written(self) -> str:
        done = await write(_One(self.cluster, self.node), {self.node: self._mark()}, self.now_s(), dry=False)
        if done.failed:
            raise RefusedError(done.failed[self.node])
        node = await self._node()
        if node.annotations.get(SCORE) != str(_SOFT_SCORE) or HOT not in _keys(node):
            raise RefusedError(f"read back: {dict(node.annotations)}, taints {_keys(node)}")
        return f"{SCORE}={node.annotations[SCORE]}, taint {HOT}"

    async def _as_before(self, before: NodeNow) -> str:
        node = await self._node()
        for what, was, now in (
            ("annotations", before.annotations, node.annotations),
            ("labels", before.labels, node.labels),
        ):
            if lost := was.keys() - now.keys():  # none of ours was there before
                raise RefusedError(f"{what} lost: {', '.join(sorted(lost))}")
        if set(_keys(before)) - set(_keys(node)):
            raise RefusedError(f"taints before {_keys(before)}, now {_keys(node)}")
        return f"{len(node.labels)} labels, {len(node.annotations)} annotations, {len(node.taints)} taints"

    async def _again(self) -> str:
        done = await write(_One(self.cluster, self.node), {self.node: self._mark()}, self.now_s(), dry=False)
        if done.patches:
            raise RefusedError(f"it wrote {done.patches}")
        return ""

    async def _stale(self, before: NodeNow) -> str:
        patch = patch_for(before, self._mark())
        assert patch is not None
        try:
            await self.cluster.patch_node(self.node, patch)
        except RefusedError as error:
            return str(error)
        raise RefusedError("it was taken: another's change of taints could be lost")

    async def _taken_back(self) -> str:
        over = {self.node: Mark(score=_SOFT_SCORE, until_s=self.now_s() - 1.0)}
        done = await write(_One(self.cluster, self.node), over, self.now_s(), dry=False)
        left = ours(await self._node())
        if left or done.failed:
            raise RefusedError(f"left: {', '.join(left)} {done.failed}; remove with kubectl")
        return ""

    async def _node(self) -> NodeNow:
        return (await self.cluster.nodes(self.node))[self.node]


@dataclass(frozen=True, slots=True)
class _One:
    """The cluster, of which the writer sees one node only."""

    cluster: Kubernetes
    node: str

    async def nodes(self) -> dict[str, NodeNow]:
        return await self.cluster.nodes(self.node)

    async def patch_nodes(self, patches: Any) -> dict[str, str]:
        return await self.cluster.patch_nodes(patches)


@asynccontextmanager
async def own_nodes(cluster: Kubernetes, stem: str, count: int) -> AsyncIterator[list[str]]:
    """Nodes without a machine behind them, ready on paper, deleted at the end with the pods that were put there."""
    names = [f"{stem}-{i}" for i in range(count)]
    try:
        for name in names:
            await cluster.make_node(name, {LABEL: stem})
        yield names
    finally:
        await cluster.remove(stem, names)


async def scheduled(verification: Verification, stem: str, names: list[str], pods: int) -> str:
    """The cluster's own scheduler puts pods on the nodes without the soft taint; needs half of the names to be without.

    Raises:
        RefusedError: a pod went to a node with the taint, or to none.
    """
    cluster, hot = verification.cluster, set(names[: len(names) // 2])
    now_s = verification.now_s()
    nodes = await cluster.nodes()
    marks = {n: Mark(score=_SOFT_SCORE if n in hot else _COLD, until_s=now_s + 300.0) for n in names}
    patches = {n: patch for n in names if (patch := patch_for(nodes[n], marks[n])) is not None}
    failed = await cluster.patch_nodes(patches)
    if failed:
        raise RefusedError(str(failed))
    for i in range(pods):
        await cluster.make_pod(f"{stem}-pod-{i}", {LABEL: stem}, _OURS_ALONE)
    deadline = time.monotonic() + WAIT_S
    placed: list[str] = []
    while len(placed) < pods and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_S)
        found = [p for p in await cluster.pods() if (p["metadata"].get("labels") or {}).get(LABEL) == stem]
        placed = [p["spec"]["nodeName"] for p in found if p["spec"].get("nodeName")]
    if len(placed) < pods:
        raise RefusedError(f"{len(placed)} of {pods} pods were scheduled within {WAIT_S:.0f} s")
    wrong = [node for node in placed if node in hot]
    if wrong:
        raise RefusedError(f"{len(wrong)} of {pods} pods went to nodes with the taint")
    return f"{pods} of {pods} pods on the {len(names) - len(hot)} nodes without the taint"


def _keys(node: NodeNow) -> list[str]:
    return sorted(t["key"] for t in node.taints)

"""The Kubernetes adapter, as a process, on a real kube-apiserver and kube-scheduler: how long each thing takes.

Nodes are objects without machines. From the API's word to the cluster's: what an administrator sees with kubectl.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.adapter_api import Api, budget
from benchmarks.control_plane import PROGRAMS, ControlPlane, found_programs
from placement.kubernetes.marks import BUDGET, HOT, SCORE
from plant.errors import ConfigError

MANY, MOST = 1000, 5000
PLACES = 8
WAIT_S = 120.0


def run(quick: bool, data: Path | None) -> dict[str, float]:  # noqa: ARG001
    """Seconds of each; a full run also syncs 5,000 nodes.

    Raises:
        ConfigError: the programs are not there.
    """
    missing = set(PROGRAMS) - found_programs().keys()
    if missing:
        remedy = "name a folder that has them in KUBE_BIN; `make kubernetes` builds them in .kubernetes"
        raise ConfigError(f"no {', '.join(sorted(missing))} here", remedy=remedy)
    with tempfile.TemporaryDirectory() as name, ControlPlane(Path(name)) as plane:
        took = _few(plane)
        for count in (MANY,) if quick else (MANY, MOST):
            took |= _many(plane, count)
        return took


@contextmanager
def _syncing(plane: ControlPlane, api: Api) -> Iterator[None]:
    """`coldplate k8s sync`, from its first report on."""
    argv = [sys.executable, "-m", "cli.main", "k8s", "sync", "--api", api.url, "--write"]
    argv += ["--kubeconfig", str(plane.kubeconfig())]
    env = {**os.environ, "COLDPLATE_TOKEN": "secret"}
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    try:
        plane.until(lambda: api.reports, WAIT_S, "a first report")
        yield
    finally:
        child.terminate()
        child.wait(30)


def _few(plane: ControlPlane) -> dict[str, float]:
    names = [f"n{i}" for i in range(PLACES)]
    plane.add_nodes(names)
    plane.start_scheduler()
    with Api(dict.fromkeys(names, 80), life_s=600.0) as api, _syncing(plane, api):
        hits = _hits(plane, api, names)
        plane.remove_pods()
        return {"pods_on_the_hinted_node": hits, **_budget(plane, api, names)}


def _hits(plane: ControlPlane, api: Api, names: Sequence[str]) -> float:
    """Share of pods that a stock scheduler puts on the only node that is not marked hot."""
    hits = 0
    for number, wanted in enumerate(names):
        api.scores = {n: 80 if n == wanted else 5 for n in names}
        plane.until(lambda one=wanted: _cool(plane) == {one}, WAIT_S, "taints")  # type: ignore[misc]
        plane.add_pod(f"p{number}")
        plane.until(lambda n=number: f"p{n}" in plane.placed(), WAIT_S, "a place")  # type: ignore[misc]
        hits += plane.placed()[f"p{number}"] == wanted
    return hits / len(names)


def _cool(plane: ControlPlane) -> set[str]:
    return {n for n, node in plane.nodes().items() if HOT not in {t["key"] for t in node["spec"].get("taints") or ()}}


def _budget(plane: ControlPlane, api: Api, names: Sequence[str]) -> dict[str, float]:
    begin = time.monotonic()
    api.budgets = [budget(20.0, over_kw=5.0, room_kw=0.0, left_s=600.0)]
    plane.until(lambda: all(BUDGET in plane.taints(n) for n in names), WAIT_S, "taints")
    took = {"budget_cut_visible_s": time.monotonic() - begin}
    plane.add_pod("waits")
    plane.until(lambda: "untolerated taint" in plane.why("waits"), WAIT_S, "a pod that waits")
    begin = time.monotonic()
    api.budgets = []
    plane.until(lambda: "waits" in plane.placed(), WAIT_S, "a start")
    return took | {"start_after_restored_s": time.monotonic() - begin}


def _many(plane: ControlPlane, count: int) -> dict[str, float]:
    """From the API's word to a new score on every node; each score is another than before."""
    names = [f"m{i:04d}" for i in range(count)]
    there = plane.nodes()
    plane.add_nodes([n for n in names if n not in there])
    with Api(dict.fromkeys(names, 90), life_s=600.0) as api, _syncing(plane, api):
        plane.until(lambda: set(_scores(plane, names).values()) == {"90"}, WAIT_S, "first scores")
        wanted = {n: i % 80 for i, n in enumerate(names)}
        begin = time.monotonic()
        api.scores = wanted
        last = names[-1]  # asked for alone, as a list of all costs the API server more than the patches
        plane.until(lambda: _score(plane, last) == str(wanted[last]), WAIT_S, "the last score")
        plane.until(lambda: _scores(plane, names) == {n: str(s) for n, s in wanted.items()}, WAIT_S, "scores")
        return {f"sync_{count}_nodes_s": time.monotonic() - begin}


def _score(plane: ControlPlane, node: str) -> str:
    return str(plane.call("GET", f"/api/v1/nodes/{node}")["metadata"].get("annotations", {}).get(SCORE, ""))


def _scores(plane: ControlPlane, names: Sequence[str]) -> dict[str, str]:
    nodes = plane.nodes()
    return {n: nodes[n]["metadata"].get("annotations", {}).get(SCORE, "") for n in names}

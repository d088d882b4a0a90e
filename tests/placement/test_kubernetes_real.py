"""The Kubernetes adapter on a real kube-apiserver and kube-scheduler.

Skipped without their programs: `make kubernetes` builds or takes them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.adapter_api import Api, budget
from benchmarks.control_plane import ControlPlane
from cli.main import app
from placement.kubernetes.cluster import connect
from placement.kubernetes.marks import BUDGET, HOT, PREFIX, SCORE
from placement.kubernetes.outlook import owner_of
from placement.kubernetes.pool import LENT, KubernetesPool
from placement.kubernetes.shed import KubernetesJobs
from plant.errors import RefusedError, SilentError
from plant.sheds import JobStopped

ROOT = Path(__file__).parents[2]
FILES = ROOT / "packaging" / "kubernetes"
RACKS = [f"rack-{i:02d}" for i in range(1, 9)]
WAIT_S = 60.0
ENV = {"COLDPLATE_TOKEN": "secret"}


def manifests(name: str) -> list[dict]:
    """Documents of a shipped file."""
    return list(yaml.safe_load_all((FILES / name).read_text("utf-8")))


def k8s(plane: ControlPlane, *words: str, kubeconfig: Path | None = None) -> tuple[int, str]:
    """`coldplate k8s …` in this process."""
    argv = ["k8s", *words, "--kubeconfig", str(kubeconfig or plane.kubeconfig())]
    done = CliRunner().invoke(app, argv, env=ENV)
    wrong = "" if isinstance(done.exception, SystemExit | None) else repr(done.exception)
    return done.exit_code, done.output + wrong


@contextmanager
def syncing(plane: ControlPlane, api: Api) -> Iterator[None]:
    """`coldplate k8s sync --write` as a process, from its first report on."""
    argv = [sys.executable, "-m", "cli.main", "k8s", "sync", "--api", api.url, "--every", "2", "--write"]
    argv += ["--kubeconfig", str(plane.kubeconfig())]
    child = subprocess.Popen(argv, env=os.environ | ENV, stdout=subprocess.DEVNULL)
    try:
        plane.until(lambda: api.reports, WAIT_S, "a first report")
        yield
    finally:
        child.terminate()
        child.wait(30)


@pytest.fixture
def bound_account(plane) -> Path:
    """Kubeconfig of the adapter's own service account, as the shipped manifests make it."""
    plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "coldplate"}}])
    plane.apply(manifests("adapter.yaml"))
    return plane.kubeconfig(plane.account_token("coldplate", "coldplate-adapter"))


def test_its_own_account_may_do_all_that_it_does_and_no_more(plane, bound_account):
    """The manifests as they are shipped: sync, take-back, pools pass; everything else is forbidden."""
    plane.add_nodes(["n1", "n2"])
    with Api({"n1": 80, "n2": 5}) as api:
        status, said = k8s(plane, "sync", "--api", api.url, "--once", "--write", kubeconfig=bound_account)
        assert status == 0, said
        assert api.reports[-1].last_error == ""
    assert plane.nodes()["n1"]["metadata"]["annotations"][SCORE] == "80"
    assert plane.taints("n2") == {HOT: "PreferNoSchedule"}
    status, said = k8s(plane, "take-back", "--write", kubeconfig=bound_account)
    assert status == 0, said
    assert not any(k.startswith(PREFIX) for n in plane.nodes().values() for k in n["metadata"].get("annotations", {}))
    assert plane.taints("n2") == {}
    asyncio.run(lent_and_back(plane, bound_account))

    token = plane.account_token("coldplate", "coldplate-adapter")
    for method, path, body in (
        ("GET", "/api/v1/nodes/n1", None),
        ("DELETE", "/api/v1/nodes/n1", None),
        ("POST", "/api/v1/nodes", {"metadata": {"name": "n9"}}),
        ("PATCH", "/api/v1/nodes/n1/status", {"status": {}}),
        ("GET", "/api/v1/namespaces/default/secrets", None),
        ("POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}}),
        ("DELETE", "/api/v1/namespaces/default/pods/p", None),
        ("POST", "/api/v1/namespaces/default/pods/p/eviction", {"metadata": {"name": "p"}}),
    ):
        assert plane.status(method, path, body, token=token) == 403, (method, path)


async def lent_and_back(plane: ControlPlane, kubeconfig: Path) -> None:
    """A node leaves its pool and comes back."""
    async with connect(kubeconfig) as cluster:
        pool = KubernetesPool("k", cluster)
        await pool.drain("n1", "loan 1")
        assert plane.nodes()["n1"]["spec"]["unschedulable"]
        assert LENT in plane.taints("n1")
        assert await pool.idle("n1")
        await pool.release("n1")
        assert not await pool.usable("n1")
        await pool.admit("n1")
        assert await pool.usable("n1")
        assert (await pool.demand()).idle == ("n1", "n2")
    assert plane.taints("n1") == {}


def test_verify_on_throwaway_nodes_with_the_stock_scheduler(plane, bound_account):
    """Every row holds with the two shipped roles, the scheduler obeys the soft taint, and nothing is left."""
    subject = [{"kind": "ServiceAccount", "name": "coldplate-adapter", "namespace": "coldplate"}]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": "coldplate-verify"},
        "subjects": subject,
    }
    role = {"apiGroup": "rbac.authorization.k8s.io", "name": "coldplate-verify"}
    inside = {"name": "coldplate-verify", "namespace": "default"}
    plane.apply(manifests("verify-role.yaml"))
    plane.apply([binding | {"kind": "ClusterRoleBinding", "roleRef": role | {"kind": "ClusterRole"}}])
    plane.apply([binding | {"kind": "RoleBinding", "metadata": inside, "roleRef": role | {"kind": "Role"}}])
    plane.start_scheduler()
    status, said = k8s(plane, "verify", "--throwaway", "--pods", "12", kubeconfig=bound_account)
    assert status == 0, said
    assert said.count("held") == 11
    assert "12 of 12 pods on the 2 nodes without the taint" in said
    assert not plane.nodes()
    assert not plane.pods()


def test_an_exceeded_budget_closes_nodes_until_it_is_over(plane):
    """The hard taint comes and goes; a pod that waits starts at once; what others do meanwhile stays."""
    plane.start_scheduler()
    plane.add_nodes(["n1"])
    with Api({"n1": 80}, life_s=600.0) as api, syncing(plane, api):
        api.budgets = [budget(5.0, scope="rack-n1", over_kw=1.0, room_kw=0.0)]
        plane.until(lambda: plane.taints("n1").get(BUDGET) == "NoSchedule", WAIT_S, "the taint")
        plane.call("PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {"others": "stay"}}})
        plane.add_pod("waits", annotations={"coldplate.io/power-w": "4000"})
        plane.until(lambda: "untolerated taint" in plane.why("waits"), WAIT_S, "a reason")
        assert not plane.placed()
        before = len(api.jobs)
        plane.until(lambda: len(api.jobs) > before + 1, WAIT_S, "a list of pods")
        assert api.jobs[-1]["jobs"] == [], "what waits takes no room from itself"
        api.budgets = []
        plane.until(lambda: plane.placed() == {"waits": "n1"}, WAIT_S, "a start")
        plane.until(lambda: [j["id"] for j in api.jobs[-1]["jobs"]] == ["default/waits"], WAIT_S, "its power, told")
        assert plane.nodes()["n1"]["metadata"]["labels"]["others"] == "stay"
        api.life_s, api.version = -1.0, 1
        plane.until(lambda: SCORE not in plane.nodes()["n1"]["metadata"].get("annotations", {}), WAIT_S, "marks gone")


def test_the_api_server_is_killed_in_mid_write(plane):
    """Three hundred nodes, killed while they are patched: told, and the next cycles finish it."""
    names = [f"m{i:03d}" for i in range(300)]
    plane.add_nodes(names)
    with Api(dict.fromkeys(names, 80), life_s=600.0) as api, syncing(plane, api):
        plane.until(lambda: scores(plane) == {"80"}, WAIT_S, "first scores")
        api.scores, before = dict.fromkeys(names, 20), len(api.reports)
        plane.until(lambda: "20" in scores(plane), WAIT_S, "a write that has begun")
        plane.stop_api()
        plane.until(
            lambda: any("does not answer" in r.last_error for r in api.reports[before:]), WAIT_S, "a word of it"
        )
        plane.start_api()
        plane.until(lambda: scores(plane) == {"20"}, WAIT_S, "all scores")
        plane.until(lambda: api.reports[-1].last_error == "", WAIT_S, "a good cycle")


def scores(plane: ControlPlane) -> set[str]:
    """All that nodes say."""
    return {n["metadata"].get("annotations", {}).get(SCORE, "") for n in plane.nodes().values()}


def test_an_eviction_is_refused_by_a_budget_and_given_without_one(plane, bound_account):
    """With the shipped role of `coldplate shed`: 429 is *not now*; then the pod is told to end; a bare pod never is."""
    plane.apply(manifests("shed-role.yaml"))
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "coldplate-shed"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "coldplate-shed"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "coldplate"}],
    }
    account = {"name": "default", "namespace": "coldplate"}
    plane.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, binding])
    plane.start_scheduler()
    plane.add_nodes(["n1"])
    stop = {"annotations": {"coldplate.io/interruptible": "true"}}
    plane.add_pod("train-0", owner="train", **stop)
    plane.add_pod("bare", **stop)
    plane.until(lambda: len(plane.placed()) == 2, WAIT_S, "starts")
    plane.runs("train-0")  # a pod that only waits is evicted whatever its budget says
    guard = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "train", "namespace": "default"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "train"}}},
    }
    plane.apply([guard])
    asyncio.run(evicted(plane, plane.kubeconfig(plane.account_token("coldplate", "default"))))


async def evicted(plane: ControlPlane, kubeconfig: Path) -> None:
    """By an account that may list pods and evict them."""
    async with connect(kubeconfig) as cluster:
        jobs, owners = KubernetesJobs(cluster=cluster), {owner_of(p): p for p in await cluster.pods()}
        job = next(name for name in owners if name.endswith("train"))
        stop = JobStopped(job=job, source="k", started_s=0.0, at_s=time.time() + 60)
        with pytest.raises(SilentError, match="429"):
            await jobs.requeue(stop, (), still_runs=True)
        path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/train"
        await asyncio.to_thread(plane.call, "DELETE", path)
        await jobs.requeue(stop, (), still_runs=True)
        with pytest.raises(RefusedError, match="may not be stopped"):
            await jobs.requeue(replace(stop, job="default/bare"), (), still_runs=True)
    ending = {n for n, p in plane.pods().items() if p["metadata"].get("deletionTimestamp")}
    assert ending in ({"train-0"}, set())
    assert ending or "train-0" not in plane.pods()

"""What a real kube-controller-manager makes of our marks, evictions and loans; skipped without it (`make kubernetes`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from benchmarks.control_plane import CONTROLLERS, ControlPlane, found_programs
from placement.kubernetes.cluster import connect
from placement.kubernetes.marks import Mark
from placement.kubernetes.outlook import owner_of
from placement.kubernetes.pool import CORDONED, KubernetesPool
from placement.kubernetes.shed import KubernetesJobs
from placement.kubernetes.writer import write
from plant.sheds import JobStopped

WAIT_S = 60.0
NAMES = ("job-controller", "node-lifecycle-controller", "taint-eviction-controller")
JOB = "/apis/batch/v1/namespaces/default/jobs/train"


@pytest.fixture
def managed(plane) -> Iterator[ControlPlane]:
    """A scheduler, and the controllers of jobs, nodes and taints."""
    if CONTROLLERS not in found_programs():
        pytest.skip(f"no {CONTROLLERS}: make kubernetes, or KUBE_BIN=DIR")
    plane.start_controllers(*NAMES)
    plane.start_scheduler()
    yield plane
    plane.call("DELETE", JOB, {"propagationPolicy": "Background"}) if plane.status("GET", JOB) == 200 else None


async def marked(plane: ControlPlane, marks: dict[str, Mark]) -> None:
    """Written as `coldplate k8s sync` writes."""
    async with connect(plane.kubeconfig()) as cluster:
        done = await write(cluster, marks, time.time(), dry=False)
        assert not done.failed


def test_our_taints_end_no_pod(managed):
    """The soft one and that of an exceeded budget: running pods stay; NoExecute beside them ends one, so all work."""
    managed.add_nodes(["n1", "n2"])
    for node in ("n1", "n2"):
        managed.add_pod(f"on-{node}", nodeSelector={"kubernetes.io/hostname": node})
    managed.until(lambda: len(managed.placed()) == 2, WAIT_S, "starts")
    until_s = time.time() + 600.0
    asyncio.run(marked(managed, {n: Mark(score=5, until_s=until_s, shut=True) for n in ("n1", "n2")}))
    assert set(managed.taints("n1").values()) == {"PreferNoSchedule", "NoSchedule"}
    managed.call("PATCH", "/api/v1/nodes/n2", {"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}})
    managed.until(lambda: gone(managed, "on-n2"), WAIT_S, "an end by NoExecute")
    assert not gone(managed, "on-n1")


def gone(plane: ControlPlane, pod: str) -> bool:
    """Whether it is told to end, or is no more."""
    found = plane.pods().get(pod)
    return found is None or "deletionTimestamp" in found["metadata"]


def test_a_job_that_is_taken_off_a_hot_node_starts_again_on_a_cool_one(managed):
    """Its pod is evicted, its controller makes another, and the mark keeps that from where it was."""
    managed.add_nodes(["n1"])
    template = {
        "metadata": {"annotations": {"coldplate.io/interruptible": "true"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.9"}]},
    }
    spec = {"backoffLimit": 6, "template": template}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train", "namespace": "default"}, "spec": spec}
    managed.apply([job])
    managed.until(lambda: list(managed.placed().values()) == ["n1"], WAIT_S, "a start")
    (first,) = managed.placed()
    managed.add_nodes(["n2"])
    asyncio.run(
        marked(
            managed,
            {"n1": Mark(score=5, until_s=time.time() + 600.0), "n2": Mark(score=80, until_s=time.time() + 600.0)},
        )
    )
    asyncio.run(requeued(managed))
    # no kubelet is here to say that the pod has ended
    managed.call("DELETE", f"/api/v1/namespaces/default/pods/{first}", {"gracePeriodSeconds": 0})
    managed.until(lambda: list(managed.placed().values()) == ["n2"], WAIT_S, "a start on the cool node")
    assert first not in managed.placed()


async def requeued(plane: ControlPlane) -> None:
    """As `coldplate shed` does it."""
    async with connect(plane.kubeconfig()) as cluster:
        jobs = KubernetesJobs(cluster=cluster)
        (name,) = {owner_of(pod) for pod in await cluster.pods()}
        assert (await jobs.runs())[name].interruptible
        await jobs.requeue(JobStopped(job=name, source="k", started_s=0.0), (), still_runs=True)


def test_a_node_that_comes_home_is_usable_once_the_cordon_is_off(managed):
    """kube-controller-manager taints what we cordon, beside our own taint, and takes that off again a moment later."""
    managed.add_nodes(["n1"])
    managed.until(lambda: "n1" in managed.nodes(), WAIT_S, "a node")
    asyncio.run(there_and_back(managed))
    assert managed.taints("n1") == {}
    managed.add_pod("p")
    managed.until(lambda: managed.placed() == {"p": "n1"}, WAIT_S, "a start")


async def there_and_back(plane: ControlPlane) -> None:
    """Out of its pool and back into it."""
    async with connect(plane.kubeconfig()) as cluster:
        pool = KubernetesPool("k", cluster)
        await pool.drain("n1", "loan 1")
        plane.until(lambda: CORDONED in plane.taints("n1"), WAIT_S, "its taint")
        assert await pool.idle("n1")
        await pool.release("n1")
        await pool.admit("n1")
        begin = time.monotonic()
        while not await pool.usable("n1"):
            assert time.monotonic() - begin < WAIT_S
            await asyncio.sleep(0.05)
        assert CORDONED not in plane.taints("n1")

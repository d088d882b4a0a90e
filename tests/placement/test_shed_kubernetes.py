"""Pods of a shed plan over a Kubernetes API: evicted by their owner, never others, with no more rights than the role."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from placement.kubernetes.cluster import connect
from placement.kubernetes.outlook import STOP_KEY
from placement.kubernetes.shed import KubernetesJobs
from plant.errors import SilentError
from plant.sheds import JobStopped

ROLE = Path(__file__).parents[2] / "packaging" / "kubernetes" / "shed-role.yaml"
JOB = "default/Job/train"


def pod(name: str, owner: str = "train", *, stop: bool = True, age_s: float = 100.0, node: str = "n1") -> dict:
    """A running pod."""
    start = datetime.fromtimestamp(time.time() - age_s, UTC).isoformat(timespec="seconds")
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {STOP_KEY: "true"} if stop else {},
            "ownerReferences": [{"kind": "Job", "name": owner, "controller": True}],
        },
        "spec": {"nodeName": node, "containers": []},
        "status": {"startTime": start},
    }


async def test_only_the_run_that_was_meant_is_evicted(server):
    """What its controller makes anew is left alone; other owners' pods anyhow; a pod that is gone is no matter."""
    mock, kubeconfig = server
    mock.pods = [pod("a"), pod("b", node="n2"), pod("other", "serve", stop=False)]
    async with connect(kubeconfig) as cluster:
        jobs = KubernetesJobs(cluster=cluster)
        runs = await jobs.runs()
        assert runs[JOB].nodes == ("n1", "n2")
        assert (runs[JOB].interruptible, runs["default/Job/serve"].interruptible) == (True, False)
        stop = JobStopped(job=JOB, source="k8s", started_s=runs[JOB].start_s, at_s=time.time() - 50.0)
        mock.pods.append(pod("c", age_s=10.0))
        await jobs.requeue(stop, ["n1"], still_runs=True)
        assert [p["metadata"]["name"] for p in mock.pods] == ["other", "c"]
        await cluster.evict("a", "default")
        assert await jobs.nodes() == frozenset(mock.nodes)
    rules = yaml.safe_load(ROLE.read_text("utf-8"))["rules"]
    assert mock.asked == {(verb, resource) for r in rules for verb in r["verbs"] for resource in r["resources"]}


async def test_a_disruption_budget_is_heeded_and_asked_again(server):
    """429: not now; what could go is gone, the rest goes when the budget allows it."""
    mock, kubeconfig = server
    mock.pods, mock.held_by_budget = [pod("a"), pod("b")], {"b"}
    async with connect(kubeconfig) as cluster:
        jobs = KubernetesJobs(cluster=cluster)
        stop = JobStopped(job=JOB, source="k8s", started_s=0.0, at_s=time.time())
        with pytest.raises(SilentError, match="429"):
            await jobs.requeue(stop, [], still_runs=True)
        assert [p["metadata"]["name"] for p in mock.pods] == ["b"]
        mock.held_by_budget.clear()
        await jobs.requeue(stop, [], still_runs=True)
        assert mock.pods == []

"""`coldplate k8s sync` and `verify` against an API server that keeps versions and pages as a real one does."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import placement.kubernetes.verify as verify_module
from cli.main import app
from placement.kubernetes.cluster import connect
from placement.kubernetes.cycle import KubernetesCycle, marks
from placement.kubernetes.extender import PodPower
from placement.kubernetes.marks import BUDGET, CLASS, HOT, SCORE, UNTIL, Mark, NodeNow, steady
from placement.kubernetes.outlook import pod_outlooks
from placement.wishes import Ear

OTHERS = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
POWER = PodPower(gpu_w=1000.0)


def k8s(what: str, served, *words: str) -> tuple[int, str]:
    """One command in this process; its status and what it said."""
    done = CliRunner().invoke(
        app, ["k8s", what, "--kubeconfig", str(served.kubeconfig), *words], env={"COLDPLATE_TOKEN": "secret"}
    )
    wrong = "" if isinstance(done.exception, SystemExit | None) else str(done.exception)
    return done.exit_code, done.output + wrong


def sync(served, api, *words: str) -> tuple[int, str]:
    """One cycle."""
    return k8s("sync", served, "--api", api.url, "--once", *words)


def annotations(served, node: str) -> dict:
    """Of a node."""
    return served.mock.nodes[node]["metadata"].get("annotations") or {}


def taints(served, node: str) -> list[str]:
    """Keys of a node's."""
    return [t["key"] for t in served.mock.nodes[node]["spec"].get("taints") or ()]


def test_one_cycle_from_hints_to_report(server_apart, make_api, budget):
    """Dry by default; then marks, pods told by owner, and a report; what is over is taken back."""
    api = make_api({"n1": 80, "n2": 5, "gone": 50}, racks={"n1": "r1"})
    for name in ("n1", "n2", "n3"):
        server_apart.mock.add(name, taints=[OTHERS])
    gpus = {"resources": {"limits": {"nvidia.com/gpu": "4"}}}
    owner = [{"kind": "Job", "name": "train", "controller": True}]
    server_apart.mock.pods = [
        {
            "metadata": {"name": f"p{i}", "namespace": "ml", "ownerReferences": owner},
            "spec": {"nodeName": "n1", "containers": [gpus]},
            "status": {"startTime": datetime.fromtimestamp(time.time() - 60, UTC).isoformat()},
        }
        for i in range(2)
    ]
    status, said = sync(server_apart, api)
    assert status == 0, said
    assert "dry run" in said
    assert "marks: n1, n2" in said
    assert server_apart.mock.patches == 0
    assert sync(server_apart, api, "--write")[0] == 0
    assert annotations(server_apart, "n1")[SCORE] == "80"
    assert taints(server_apart, "n2") == ["dedicated", HOT]
    report = api.reports[-1]
    assert (report.kind, report.nodes, report.only_here, report.only_there) == ("kubernetes", 2, ("gone",), ("n3",))
    assert abs(report.scheduler_skew_s) < 5
    told = api.jobs[-1]["jobs"][0]
    assert (told["id"], told["racks"], told["power_kw"]) == ("ml/Job/train", ["r1", "r1"], 8.0)
    done = server_apart.mock.patches
    assert sync(server_apart, api, "--write")[0] == 0
    assert server_apart.mock.patches == done, "what is right already is not written"
    api.life_s = -1.0
    assert "no valid hints: marks taken back: n1, n2" in sync(server_apart, api, "--write")[1]
    assert not annotations(server_apart, "n1")
    assert taints(server_apart, "n2") == ["dedicated"]


@pytest.mark.parametrize("ahead_s", [-300.0, 300.0])
def test_a_cluster_whose_clock_is_five_minutes_off(server_apart, make_api, ahead_s):
    """Told; a mark's end is by the cluster's clock, a pod's start by the site's: neither is over or begins too soon."""
    api, there_s = make_api({"n1": 80}, life_s=60.0), time.time() + ahead_s
    server_apart.mock.ahead_s = ahead_s
    server_apart.mock.add("n1")
    began = datetime.fromtimestamp(there_s - 100.0, UTC).isoformat()
    spec = {"nodeName": "n1", "containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]}
    server_apart.mock.pods = [{"metadata": {"name": "p"}, "spec": spec, "status": {"startTime": began}}]
    assert sync(server_apart, api, "--write")[0] == 0
    assert api.reports[-1].scheduler_skew_s == pytest.approx(ahead_s, abs=10)
    until = datetime.fromisoformat(annotations(server_apart, "n1")[UNTIL]).timestamp()
    assert until - there_s == pytest.approx(60.0, abs=20)
    assert time.time() - api.jobs[-1]["jobs"][0]["start_s"] == pytest.approx(100.0, abs=20)


def test_nodes_that_the_cluster_calls_otherwise(server_apart, make_api, budget):
    """Marks, budgets and pods go by the cluster's names; another cluster's names are not its own."""
    api = make_api({"n1": 80, "n2": 5}, names={"eks": {"n1": "ip-1.internal", "n2": "ip-2.internal"}})
    api.budgets = [budget(5.0, scope="rack-n2", over_kw=1.0, room_kw=0.0)]
    gpus = {"resources": {"limits": {"nvidia.com/gpu": "4"}}}
    server_apart.mock.add("ip-1.internal")
    server_apart.mock.add("ip-2.internal")
    server_apart.mock.pods = [
        {"metadata": {"name": "p", "namespace": "ml"}, "spec": {"nodeName": "ip-2.internal", "containers": [gpus]}}
    ]
    status, said = sync(server_apart, api, "--write")
    assert status == 1
    assert "no node is known to both sides: the site file has 'n1', the scheduler 'ip-1.internal'" in said
    assert "jobs.names" in said
    assert sync(server_apart, api, "--write", "--name", "eks")[0] == 0
    assert annotations(server_apart, "ip-1.internal")[SCORE] == "80"
    assert taints(server_apart, "ip-2.internal") == [HOT, BUDGET]
    assert api.jobs[-1]["jobs"][0]["racks"] == ["rack-n2"]
    assert (api.reports[-1].nodes, api.reports[-1].only_here, api.reports[-1].only_there) == (2, (), ())


async def test_an_exceeded_budget_closes_nodes_hard(server, make_api, budget):
    """NoSchedule while it lasts, also after the hints are over; of a rack its nodes, of the site all."""
    mock, file = server
    for name in ("n1", "n2"):
        mock.add(name)
    api = make_api({"n1": 80, "n2": 80})
    api.budgets = [budget(5.0, scope="rack-n2", over_kw=1.0, room_kw=0.0)]
    async with connect(file) as cluster:
        cycle, ear = KubernetesCycle(cluster, write=True), Ear(api.client())
        await cycle.run(ear.hear())
        assert [t["key"] for t in mock.nodes["n2"]["spec"]["taints"]] == [BUDGET]
        assert mock.nodes["n2"]["spec"]["taints"][0]["effect"] == "NoSchedule"
        assert not mock.nodes["n1"]["spec"].get("taints")
        api.life_s, api.budgets = -1.0, [budget(50.0, over_kw=3.0)]
        await cycle.run(ear.hear())
        assert all([t["key"] for t in mock.nodes[n]["spec"]["taints"]] == [BUDGET] for n in ("n1", "n2"))
        assert not mock.nodes["n1"]["metadata"]["annotations"]
        api.budgets = []
        await cycle.run(ear.hear())
        assert not any(mock.nodes[n]["spec"].get("taints") for n in ("n1", "n2"))


async def test_before_budgets_were_heard_nothing_is_let_go(server, make_api):
    """A run before us may have closed a node for good reason."""
    mock, file = server
    mock.add("n1", taints=[{"key": BUDGET, "value": "exceeded", "effect": "NoSchedule"}])
    api = make_api({"n1": 80})
    api.silent = True
    async with connect(file) as cluster:
        await KubernetesCycle(cluster, write=True).run(Ear(api.client()).hear())
    assert mock.patches == 0


def test_small_changes_are_not_written(make_api):
    """A score that wavers by two is left; a time that runs out is renewed at half its life."""
    now_s = 1_795_000_000.0
    until = datetime.fromtimestamp(now_s + 200, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    node = NodeNow(name="n", version="1", annotations={SCORE: "70", UNTIL: until}, labels={CLASS: "good"}, taints=())
    assert steady(node, Mark(score=72, until_s=now_s + 300), now_s) == Mark(score=70, until_s=now_s + 200)
    assert steady(node, Mark(score=73, until_s=now_s + 300), now_s).score == 73
    assert steady(node, Mark(score=70, until_s=now_s + 700), now_s).until_s == now_s + 700
    broken = NodeNow(name="n", version="1", annotations={SCORE: "70", UNTIL: "soon"}, labels={}, taints=())
    assert steady(broken, Mark(score=70, until_s=now_s + 300), now_s).until_s == now_s + 300
    foreign = NodeNow(name="n", version="1", annotations={SCORE: "7²", UNTIL: until}, labels={}, taints=())
    assert steady(foreign, Mark(score=70, until_s=now_s + 300), now_s).score == 70


def test_pods_as_future_load():
    """By owner and place; a pod's own word goes before its GPUs, one that is no number counts as none.

    What no node was found for, or a gate holds, starts when nobody knows: told as soon it would take its own room.
    """
    now_s = 1_795_000_000.0
    start = datetime.fromtimestamp(now_s - 100, UTC).isoformat()
    gpu = {"containers": [{"resources": {"requests": {"nvidia.com/gpu": "2"}}}]}

    def pod(name: str, annotation: str = "", **spec) -> dict:
        said = {"coldplate.io/power-w": annotation} if annotation else {}
        metadata = {"name": name, "namespace": "a", "annotations": said}
        return {"metadata": metadata, "spec": gpu | spec, "status": {"startTime": start}}

    def held(pod: dict, reason: str) -> dict:
        return pod | {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": reason}]}}

    pods = [
        pod("says", "5600", nodeName="n1", activeDeadlineSeconds=3600),
        pod("lies", "many", nodeName="n1"),
        pod("squares", "5²", nodeName="n1"),
        pod("waits"),
        pod("elsewhere", nodeName="n9"),
        held(pod("no-node"), "Unschedulable"),
        held(pod("gated", schedulingGates=[{"name": "kueue.x-k8s.io/admission"}]), "SchedulingGated"),
        {"metadata": {"name": "idle"}, "spec": {"containers": [], "nodeName": "n1"}},
    ]
    found = {o.job: o for o in pod_outlooks(pods, {"n1": "r1", "n2": "r2"}, POWER, now_s)}
    assert {name: o.power_w for name, o in found.items()} == {
        "a/says": 5600.0,
        "a/lies": 2000.0,
        "a/squares": 2000.0,
        "a/waits/waiting": 2000.0,
    }
    assert (found["a/says"].racks, found["a/says"].end_s) == (("r1",), now_s + 3500)
    assert found["a/waits/waiting"].racks == ("r1", "r2")
    assert found["a/waits/waiting"].start_s > now_s


def test_pods_that_may_be_stopped():
    """Where every pod of a controller says so; a bare pod never comes back, so it may not; other words are no yes."""

    def pod(owner: str, said: str, node: str = "n1") -> dict:
        owners = [{"kind": "Job", "name": owner, "controller": True}] if owner else []
        metadata = {"name": "bare", "annotations": {"coldplate.io/interruptible": said}, "ownerReferences": owners}
        gpu = {"resources": {"requests": {"nvidia.com/gpu": "1"}}}
        return {"metadata": metadata, "spec": {"containers": [gpu], **({"nodeName": node} if node else {})}}

    pods = [pod("all", "true"), pod("all", "true"), pod("some", "true"), pod("some", ""), pod("", "true")]
    pods += [pod("word", "yes"), pod("waits", "true", node="")]
    found = {o.job: o.interruptible for o in pod_outlooks(pods, {"n1": "r1"}, POWER, 1_795_000_000.0)}
    assert found == {
        "default/Job/all": True,
        "default/Job/some": False,
        "default/bare": False,
        "default/Job/word": False,
        "default/Job/waits/waiting": True,
    }


def test_verify_on_a_named_node_leaves_nothing(server_apart):
    """Every row holds, its marks are gone; a node that has marks already is refused, and so is an unknown one."""
    mock = server_apart.mock
    theirs = {"key": "coldplate.io/maintenance", "effect": "NoSchedule"}
    mock.add("n1", taints=[OTHERS, theirs])
    mock.nodes["n1"]["metadata"]["labels"] = {"zone": "x", "coldplate.io/row": "3"}
    status, said = k8s("verify", server_apart, "--node", "n1")
    assert status == 0, said
    assert said.count("held") == 10
    assert mock.nodes["n1"]["metadata"]["labels"] == {"zone": "x", "coldplate.io/row": "3"}
    assert mock.nodes["n1"]["spec"]["taints"] == [OTHERS, theirs]
    assert not annotations(server_apart, "n1")
    assert "no node n9" in k8s("verify", server_apart, "--node", "n9")[1]
    mock.nodes["n1"]["metadata"]["annotations"] = {SCORE: "50"}
    assert "has marks of coldplate already (coldplate.io/score)" in k8s("verify", server_apart, "--node", "n1")[1]
    mock.add("n2", taints=[{"key": HOT, "value": "soft", "effect": "PreferNoSchedule"}])
    assert "has marks of coldplate already (coldplate.io/hot)" in k8s("verify", server_apart, "--node", "n2")[1]
    assert "give exactly one of" in k8s("verify", server_apart)[1]


def test_verify_with_throwaway_nodes_and_no_scheduler(server_apart, monkeypatch):
    """The row that did not hold says so; nodes and pods that were made are deleted."""
    monkeypatch.setattr(verify_module, "WAIT_S", 0.3)
    status, said = k8s("verify", server_apart, "--throwaway", "--pods", "2")
    assert status == 1
    assert "FAILED" in said
    assert "0 of 2 pods were scheduled" in said
    assert not server_apart.mock.nodes
    assert not server_apart.mock.pods


def test_take_back_removes_all_of_ours(server_apart, make_api):
    """Marks only; others' keys and loans stay."""
    server_apart.mock.add("n1")
    server_apart.mock.nodes["n1"]["metadata"]["annotations"] = {SCORE: "50", "coldplate.io/lent-reason": "x", "a": "b"}
    assert "1 nodes would lose their marks" in k8s("take-back", server_apart)[1]
    assert k8s("take-back", server_apart, "--write")[0] == 0
    assert annotations(server_apart, "n1") == {"coldplate.io/lent-reason": "x", "a": "b"}


@pytest.mark.parametrize("wrong", ["forbidden", "away"])
def test_a_cluster_that_forbids_or_is_away(server_apart, make_api, wrong, unused_tcp_port):
    """Told in the report."""
    api = make_api({"n1": 80})
    if wrong == "forbidden":
        server_apart.mock.forbid = True
    else:
        config = Path(server_apart.kubeconfig)
        port = config.read_text().split("127.0.0.1:")[1].split('"')[0]
        config.write_text(config.read_text().replace(port, str(unused_tcp_port)))
    status, _ = sync(server_apart, api, "--write")
    assert status == 1
    words = "the API server says 403" if wrong == "forbidden" else "the API server does not answer"
    assert words in api.reports[-1].last_error
    assert api.reports[-1].last_success is None


def test_marks_end_when_what_they_rest_on_ends(make_api, budget):
    """A node that is only closed is marked until its budget's end, with no score."""
    api = make_api({"n1": 80}, life_s=-1.0)
    api.budgets = [budget(5.0, over_kw=1.0, left_s=500.0)]
    found = marks(Ear(api.client()).hear(), 10.0, frozenset(), 1000.0)
    assert found["n1"].score is None
    assert found["n1"].until_s == pytest.approx(1500.0, abs=2.0)

"""Nodes of a Kubernetes cluster through a mock API server that keeps versions and pages as a real one does."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

import placement.kubernetes.asking as asking_module
import placement.kubernetes.cluster as cluster_module
from placement.kubernetes.cluster import AT_ONCE, Kubernetes, connect
from placement.kubernetes.marks import BUDGET, CLASS, HOT, SCORE, Mark, NodeNow, patch_for
from placement.kubernetes.pool import CORDONED, KubernetesPool
from placement.kubernetes.writer import write
from plant.errors import ConfigError, RefusedError, SilentError

NOW_S = 1_795_000_000.0
OTHERS = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}


def mark(score: int, until_s: float = NOW_S + 300) -> Mark:
    """A mark of five minutes."""
    return Mark(score=score, until_s=until_s)


def node_now(**changes) -> NodeNow:
    """A node with another's taint and label."""
    given = {"name": "n1", "version": "7", "annotations": {"a/b": "c"}, "labels": {"zone": "x"}, "taints": (OTHERS,)}
    return NodeNow(**(given | changes))


def test_a_mark_is_whole_numbers_and_words():
    """NodeMetadata truncates fractions, so there are none; others' keys are not in the patch."""
    patch = patch_for(node_now(), mark(73))
    assert patch is not None
    assert patch["metadata"]["annotations"] == {
        "coldplate.io/score": "73",
        "coldplate.io/valid-until": "2026-11-18T11:11:40Z",
    }
    assert patch["metadata"]["labels"] == {"coldplate.io/class": "good"}
    assert "spec" not in patch


def test_the_taint_does_not_flicker():
    """Comes below 15, goes at 25; others' taints are repeated, at the version that was read."""
    patch = patch_for(node_now(), mark(10))
    assert patch is not None
    ours = {"key": HOT, "value": "soft", "effect": "PreferNoSchedule"}
    assert patch["spec"]["taints"] == [OTHERS, ours]
    assert patch["metadata"]["resourceVersion"] == "7"
    tainted = node_now(taints=(OTHERS, ours))
    between, over = patch_for(tainted, mark(20)), patch_for(tainted, mark(25))
    assert between is not None
    assert "spec" not in between
    assert over is not None
    assert over["spec"]["taints"] == [OTHERS]
    assert "spec" not in (patch_for(node_now(), mark(20)) or {})


@pytest.mark.parametrize("shut", [False, True])
def test_others_under_our_prefix_stay_and_under_our_keys_are_set_right(shut):
    """A taint of ours that somebody made a NoExecute would end pods: it is never repeated, also where two share a key."""
    theirs = {"key": "coldplate.io/maintenance", "value": "x", "effect": "NoSchedule"}
    wrong = [{"key": key, "value": "soft", "effect": "NoExecute"} for key in (HOT, BUDGET)]
    wrong.append({"key": HOT, "effect": "NoSchedule"})
    patch = patch_for(node_now(taints=(theirs, *wrong)), replace(mark(10), shut=shut))
    assert patch is not None
    hot = {"key": HOT, "value": "soft", "effect": "PreferNoSchedule"}
    hard = {"key": BUDGET, "value": "exceeded", "effect": "NoSchedule"}
    assert patch["spec"]["taints"] == [theirs, hot, *([hard] if shut else [])]
    taken = patch_for(node_now(taints=(theirs, *wrong)), None)
    assert taken is not None
    assert taken["spec"]["taints"] == [theirs]


def test_no_mark_takes_back_ours_alone():
    """And nothing where nothing of ours is; a loan's annotation is not a mark."""
    assert patch_for(node_now(), None) is None
    full = node_now(annotations={SCORE: "3", "a/b": "c", "coldplate.io/lent-reason": "x"}, labels={CLASS: "poor"})
    assert patch_for(full, None) == {"metadata": {"annotations": {SCORE: None}, "labels": {CLASS: None}}}


async def test_a_dry_run_changes_nothing(server):
    """It is the default, and says what it would do."""
    mock, file = server
    for name in ("n1", "n2", "n3"):
        mock.add(name, taints=[OTHERS])
    async with connect(file) as cluster:
        done = await write(cluster, {"n1": mark(80), "n3": mark(5), "gone": mark(50)}, NOW_S)
        assert done.dry
        assert sorted(done.patches) == ["n1", "n3"]
        assert done.unknown == ("gone",)
        assert mock.patches == 0
        done = await write(cluster, {"n1": mark(80), "n3": mark(5)}, NOW_S, dry=False)
        assert not done.failed
        assert mock.nodes["n1"]["metadata"]["annotations"][SCORE] == "80"
        assert [t["key"] for t in mock.nodes["n3"]["spec"]["taints"]] == ["dedicated", HOT]
        assert not (await write(cluster, {"n1": mark(80), "n3": mark(5)}, NOW_S, dry=False)).patches


async def test_what_is_over_is_taken_back(server):
    """A mark past its time, and a node that nobody hints any more: all of ours goes, others' stay."""
    mock, file = server
    mock.add("n1", taints=[OTHERS])
    mock.add("n2")
    async with connect(file) as cluster:
        await write(cluster, {"n1": mark(5), "n2": mark(60)}, NOW_S, dry=False)
        await write(cluster, {"n1": mark(5)}, NOW_S + 600, dry=False)
    assert mock.nodes["n1"]["spec"]["taints"] == [OTHERS]
    assert mock.nodes["n1"]["metadata"]["annotations"] == {}
    assert mock.nodes["n2"]["metadata"]["labels"] == {}


async def test_a_change_of_others_in_between_is_never_overwritten(server):
    """Their taint wins; ours comes with the next cycle."""
    mock, file = server
    mock.add("n1")
    async with connect(file) as cluster:
        read = (await cluster.nodes())["n1"]
        patch = patch_for(read, mark(5))
        assert patch is not None
        mock.nodes["n1"]["spec"]["taints"] = [OTHERS]
        mock.nodes["n1"]["metadata"]["resourceVersion"] = "2"
        assert await cluster.patch_nodes({"n1": patch, "n9": patch}) == {
            "n1": "the API server says 409: changed by others meanwhile",
            "n9": "the API server says 404: no such node",
        }
        assert mock.nodes["n1"]["spec"]["taints"] == [OTHERS]
        await write(cluster, {"n1": mark(5)}, NOW_S, dry=False)
    assert [t["key"] for t in mock.nodes["n1"]["spec"]["taints"]] == ["dedicated", HOT]


async def test_lends_and_takes_back(server):
    """Cordoned and tainted while away; idle when only daemons are left; what others cordoned is refused."""
    mock, file = server
    mock.add("n1", taints=[OTHERS])
    mock.add("n2", unschedulable=True)
    mock.pods = [
        {"metadata": {"name": "job"}, "spec": {"nodeName": "n1"}},
        {
            "metadata": {"name": "exporter", "ownerReferences": [{"kind": "DaemonSet", "name": "e"}]},
            "spec": {"nodeName": "n1"},
        },
        {"metadata": {"name": "waits"}, "spec": {}},
    ]
    async with connect(file) as cluster:
        pool = KubernetesPool("k", cluster)
        assert await pool.usable("n1")
        await pool.drain("n1", "loan 7")
        await pool.drain("n1", "loan 7")
        assert mock.patches == 1
        assert not await pool.usable("n1")
        assert not await pool.idle("n1")
        mock.pods = mock.pods[1:]
        assert await pool.idle("n1")
        await pool.release("n1")
        mock.nodes["n1"]["spec"]["taints"].append({"key": CORDONED, "effect": "NoSchedule"})
        await pool.admit("n1")
        assert not await pool.usable("n1"), "kube-controller-manager has not taken its taint off yet"
        mock.nodes["n1"]["spec"]["taints"].pop()
        assert await pool.usable("n1")
        assert mock.nodes["n1"]["spec"]["taints"] == [OTHERS]
        mock.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"
        with pytest.raises(SilentError, match="n1 is not ready in k: what runs there is not known"):
            await pool.idle("n1")
        with pytest.raises(RefusedError, match="n2 was cordoned by others"):
            await pool.admit("n2")
        with pytest.raises(RefusedError, match="k has no node n9"):
            await pool.usable("n9")


async def test_a_server_that_forbids_or_is_away(server, tmp_path, unused_tcp_port):
    """Each a named error."""
    mock, file = server
    mock.forbid = True
    async with connect(file) as cluster:
        with pytest.raises(RefusedError, match='403: nodes is forbidden: User "u" cannot list'):
            await cluster.nodes()
    away = tmp_path / "away"
    away.write_text(
        file.read_text().replace(file.read_text().split("127.0.0.1:")[1].split('"')[0], str(unused_tcp_port))
    )
    async with connect(away) as cluster:
        with pytest.raises(SilentError, match="does not answer"):
            await cluster.nodes()
    with pytest.raises(ConfigError, match="name a kubeconfig file"):
        async with connect(tmp_path / "none"):
            pass


async def test_a_server_that_hangs_in_mid_write_gets_nothing_of_that_cycle_later(server, monkeypatch):
    """What was not sent is not sent: the next cycle may want something else."""
    monkeypatch.setattr(asking_module, "TIMEOUT_S", 0.3)
    mock, file = server
    names = [f"n{i}" for i in range(5 * AT_ONCE)]
    for name in names:
        mock.add(name)
    mock.page = len(names)
    async with connect(file) as cluster:
        mock.answers.clear()
        with pytest.raises(SilentError, match="does not answer"):
            await write(cluster, {name: mark(80) for name in names}, NOW_S, dry=False)
        mock.answers.set()
        await asyncio.sleep(0.5)
        assert mock.patches <= AT_ONCE
        monkeypatch.setattr(asking_module, "TIMEOUT_S", 30.0)
        assert len((await write(cluster, {n: mark(50) for n in names}, NOW_S, dry=False)).patches) == len(names)
    assert {n["metadata"]["annotations"][SCORE] for n in mock.nodes.values()} == {"50"}


async def test_a_token_that_is_renewed_in_its_file(server, tmp_path, monkeypatch):
    """Tokens end within the hour; the process goes on with what the file says now."""
    mock, file = server
    mock.add("n1")
    config, token = json.loads(file.read_text()), tmp_path / "token"
    config["users"][0]["user"] = {"tokenFile": str(token)}
    file.write_text(json.dumps(config))
    mock.token = "first"
    token.write_text("first")
    async with connect(file) as cluster:
        assert list(await cluster.nodes()) == ["n1"]
        mock.token = "second"
        token.write_text("second")
        with pytest.raises(RefusedError, match=r"401: Unauthorized; .* renew it"):
            await cluster.nodes()
        monkeypatch.setattr(cluster_module, "RENEW_S", 0.0)
        assert list(await cluster.nodes()) == ["n1"]
        token.unlink()
        assert list(await cluster.nodes()) == ["n1"], "the last one is good until the server refuses it"


async def test_a_named_cluster_goes_before_the_pod_that_we_run_in(server, monkeypatch, tmp_path):
    """$KUBECONFIG says another than the one whose service account is mounted."""
    mock, file = server
    mock.add("n1")
    mounted = tmp_path / "mounted-token"
    mounted.write_text("t")
    monkeypatch.setattr(cluster_module, "_IN_A_POD", mounted)
    monkeypatch.setenv("KUBECONFIG", str(file))
    async with connect() as cluster:
        assert list(await cluster.nodes()) == ["n1"]
    monkeypatch.delenv("KUBECONFIG")
    with pytest.raises(ConfigError, match="no cluster"):
        async with connect():
            pass


async def test_a_list_whose_state_was_forgotten_begins_anew(server):
    """410 on a next page: all nodes, each once; a server that forgets again and again is refused by name."""
    mock, file = server
    names = [f"n{i}" for i in range(5)]
    for name in names:
        mock.add(name)
    async with connect(file) as cluster:
        mock.forgets = 1
        assert list(await cluster.nodes()) == names
        mock.forgets = 2
        with pytest.raises(RefusedError, match="410: The provided continue parameter is too old"):
            await cluster.nodes()


async def test_a_busy_server_is_asked_again_when_it_says(server, monkeypatch):
    """429 in mid-write: all is written in one cycle; an eviction does not wait; one that stays busy ends the cycle."""
    mock, file = server
    names = [f"n{i}" for i in range(2 * AT_ONCE)]
    for name in names:
        mock.add(name)
    async with connect(file) as cluster:
        mock.refuses = [429] * 5
        assert not (await write(cluster, {name: mark(80) for name in names}, NOW_S, dry=False)).failed
        assert {n["metadata"]["annotations"][SCORE] for n in mock.nodes.values()} == {"80"}
        mock.held_by_budget = {"p"}
        begin = time.monotonic()
        with pytest.raises(SilentError, match="disruption budget"):
            await cluster.evict("p", "default")
        assert time.monotonic() - begin < 0.9
        monkeypatch.setattr(asking_module, "TIMEOUT_S", 1.5)
        mock.refuses = [429] * 50
        with pytest.raises(SilentError, match="429: Too many requests"):
            await write(cluster, {name: mark(50) for name in names}, NOW_S, dry=False)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_server_that_starts_is_away_and_has_refused_nothing(server, status):
    """Whoever asks for an eviction or a step of a loan asks again, and takes it for no refusal."""
    mock, file = server
    mock.add("n1")
    async with connect(file) as cluster:
        for ask in (cluster.nodes, lambda: cluster.evict("p", "default")):
            mock.refuses = [status]
            with pytest.raises(SilentError, match=f"says {status}: Too many requests"):
                await ask()
            await ask()


class Portal:
    """What stands before the API server and answers everything in its own words."""

    status, headers = 200, {"Date": "yesterday"}

    def __init__(self, words: bytes) -> None:
        self.words = words

    async def read(self) -> bytes:
        """The body."""
        return self.words

    async def list_node(self, **_: object) -> Portal:
        """Its answer to a question for nodes."""
        return self


@pytest.mark.parametrize("words", [b"<html>log in</html>", b"[]", b"{}", b'{"items": [1]}', b'{"items": "\xff"}'])
async def test_what_is_no_api_server_is_told(words):
    """A proxy's page with status 200: this cycle fails with its reason, and the next is tried."""
    cluster = Kubernetes(Portal(words))
    with pytest.raises(SilentError, match="no API server of Kubernetes"):
        await cluster.nodes()
    assert await cluster.clock() is None

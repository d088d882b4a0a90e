"""The benchmark of hints: its parts are real, and its figures are of answers that were right."""

from __future__ import annotations

import json
from types import SimpleNamespace

import httpx
import pytest

from benchmarks import hints
from benchmarks.hints_budget import new_pod, tell_budgets, telling
from benchmarks.hints_peer import peer
from benchmarks.hints_rig import NODES_A_RACK, node_name, request, write_site
from placement.budgets import shares
from plant.clock import ManualClock
from sites import load_site


def test_a_small_run_has_every_figure():
    """Real server, real edge, real bytes; as many nodes as a rack has. A wrong answer would raise."""
    found = hints.run(quick=True, data=None, nodes=NODES_A_RACK, rounds=4)
    assert found["nodes"] == NODES_A_RACK
    named = {"hint_p99_ms", "extender_p99_ms", "requests_per_s", "requests_per_cpu_s", "peer_extender_p99_ms"}
    named |= {"extender_budget_p50_ms", "extender_budget_p99_ms"}
    assert all(found[name] > 0.0 for name in named)
    assert found["extender_budget_p99_share_of_limit"] == pytest.approx(found["extender_budget_p99_ms"] / 20.0)
    assert found["hint_p99_share_of_limit"] == pytest.approx(found["hint_p99_ms"] / 10.0)


def test_pods_under_budgets_are_new_ones(tmp_path):
    """Each asks for power of its own, and every scope that is given a budget is one."""
    racks = write_site(tmp_path / "site.yaml", 2000)
    said = {}
    edge = SimpleNamespace(clock=ManualClock(1.8e9), say=said.__setitem__)
    tell_budgets(edge, racks)
    site = load_site(tmp_path / "site.yaml")
    assert len({tuple(shares(site, b.scope)) for b in said["budgets"]}) == len(said["budgets"]) > 3
    assert {point for point, *_ in said["live"]} == {f"{rack}/power" for rack in racks}
    assert len({new_pod(i)["metadata"]["uid"] for i in telling(edge, racks, 20)}) == 20


def test_the_site_has_the_nodes_asked_for(tmp_path):
    """Each in one rack of 18, two CDUs a loop."""
    racks = write_site(tmp_path / "site.yaml", 100)
    site = load_site(tmp_path / "site.yaml")
    assert len(site.jobs.rack_of_node) == 100
    assert site.jobs.rack_of_node[node_name(18)] == racks[1]


async def test_the_peer_answers_the_same_contract():
    """Names in, names and scores out, so that both do the same work."""
    rooms = {"a": (9e3, 7), "b": (1e3, 0)}
    pod = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}}
    args = {"Pod": pod, "Nodes": None, "NodeNames": ["a", "b"]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=peer(rooms)), base_url="http://peer") as client:
        filtered = (await client.post("/k8s/extender/filter", json=args)).json()
        assert (filtered["NodeNames"], list(filtered["FailedNodes"])) == (["a"], ["b"])
        scored = (await client.post("/k8s/extender/prioritize", json=args)).json()
        assert scored == [{"Host": "a", "Score": 7}, {"Host": "b", "Score": 0}]


def test_a_request_is_whole():
    """What the raw client sends is HTTP with the body's length."""
    sent = request("POST", "/x", json.dumps({"a": 1}).encode(), headers="A: b\r\n")
    assert (
        sent
        == b'POST /x HTTP/1.1\r\nHost: localhost\r\nA: b\r\nContent-Length: 8\r\nContent-Type: application/json\r\n\r\n{"a": 1}'
    )

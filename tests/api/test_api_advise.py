"""Advice on GPU packing over HTTP."""

from __future__ import annotations

import copy

import pytest

from api import advise
from api.advise import EXAMPLES

pytestmark = pytest.mark.asyncio
(EXAMPLE,) = (e["value"] for e in EXAMPLES.values())


def asked(**change):
    """The example of the OpenAPI document, changed."""
    return copy.deepcopy(EXAMPLE) | change


async def test_a_share_joins_the_gpu_that_is_begun(client):
    """The documented example: half a GPU goes beside half a GPU, strands no more and says why."""
    got = await client.post("/v1/advise/packing", json=asked())
    assert got.status_code == 200, got.text
    answer = got.json()
    (place,) = answer["places"]
    assert (place["pod"], place["node"], place["gpus"]) == ("b", "gpu002", [1])
    assert place["reasons"][0] == "fits on 2 nodes"
    assert answer["stranded_before_gpus"] == pytest.approx(0.5)
    assert answer["stranded_gpus"] == pytest.approx(0.0)
    assert place["stranded_gpus"] == pytest.approx(-0.5)
    assert answer["free_gpus"] == pytest.approx(3.0)


async def test_pods_do_not_stand_on_each_other(client):
    """Five whole GPUs of four: three are free beside the one that is begun, two pods are left, told what lacks."""
    pods = [{"name": f"p{i}", "gpus": 1} for i in range(5)]
    answer = (await client.post("/v1/advise/packing", json=asked(pods=pods))).json()
    placed = [(p["node"], *p["gpus"]) for p in answer["places"] if p["node"]]
    assert (len(set(placed)), answer["unplaced"]) == (3, 2)
    assert ("gpu002", 1) not in placed
    assert answer["places"][-1]["reasons"] == ["fits on none of 2 nodes: 2 have too few GPUs with room"]


async def test_the_workload_defaults_to_what_is_told(client):
    """Without `expected`, what runs and the pods stand for it."""
    body = asked()
    del body["expected"]
    answer = (await client.post("/v1/advise/packing", json=body)).json()
    assert answer["stranded_before_gpus"] == pytest.approx(0.0)


async def test_only_frequent_kinds_are_expected(client, monkeypatch):
    """Beyond the most kinds that count, rare ones strand nothing: half a GPU is of use to the frequent kind."""
    monkeypatch.setattr(advise, "MOST_KINDS", 1)
    half = {"name": "often", "gpus": 1, "gpu_milli": 500}
    body = asked(expected=[EXAMPLE["expected"][0], half, half])
    answer = (await client.post("/v1/advise/packing", json=body)).json()
    assert answer["stranded_before_gpus"] == pytest.approx(0.0)


RUNNING = EXAMPLE["running"][0]
NODE = EXAMPLE["nodes"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": [NODE, NODE]}, "a node is named twice"),
        ({"running": [RUNNING | {"node": "gpu009"}]}, "running.0 (a)"),
        ({"running": [RUNNING | {"on": [2]}]}, "gpu002 has 2 GPUs"),
        ({"running": [RUNNING, RUNNING, RUNNING]}, "running.2 (a)"),
        ({"running": [RUNNING | {"on": []}]}, "as many GPUs as gpus"),
        ({"pods": []}, "pods"),
        ({"pods": [{"name": "b", "gpu_milli": 1001}]}, "gpu_milli"),
        ({"pods": [{"name": "b", "gpu": 1}]}, "gpu"),
        ({"nodes": [NODE | {"cpu_milli": -1}]}, "cpu_milli"),
        ({"expected": [{"name": "cpu-only", "cpu_milli": 1000}]}, "expected: no pod asks for a GPU"),
    ],
)
async def test_bad_input_is_told_where_and_what_to_do(client, change, words):
    """422 with the place and a remedy."""
    got = await client.post("/v1/advise/packing", json=asked(**change))
    assert (got.status_code, words in got.json()["error"]) == (422, True), got.text
    assert got.json()["remedy"]

"""Advice on GPU packing over HTTP."""

from __future__ import annotations

import copy
from dataclasses import asdict
from itertools import islice

import pytest

from api import advise, packing_worth
from api.advise import EXAMPLES
from benchmarks import placement
from placement.gpu_cluster import Cluster, Node, Pod
from placement.learn_apart import learn_apart
from placement.learnt import frequent

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
    monkeypatch.setattr(advise, "frequent", lambda pods: frequent(pods, most=1))
    half = {"name": "often", "gpus": 1, "gpu_milli": 500}
    body = asked(expected=[EXAMPLE["expected"][0], half, half])
    answer = (await client.post("/v1/advise/packing", json=body)).json()
    assert answer["stranded_before_gpus"] == pytest.approx(0.0)


NODES = [
    Node(name=f"{card}{i}", cpu_milli=cpu, memory_mib=400_000, gpus=gpus, model=card)
    for i in range(4)
    for cpu, gpus, card in ((96_000, 8, "G2"), (104_000, 2, "T4"), (16_000, 2, "P100"))
]
PODS = [
    Pod(name=str(i), cpu_milli=cpu, memory_mib=1000, gpus=gpus, gpu_milli=milli)
    for i, (cpu, gpus, milli) in enumerate(((4000, 1, 460), (11_000, 1, 1000), (24_000, 1, 1000), (6000, 0, 1000)))
]


async def test_places_are_those_of_the_benchmark(client):
    """The same nodes, mix and arrivals: `bench placement` and the endpoint choose the same nodes and GPUs."""
    pods = list(islice(placement.arrivals(PODS, 10**6, 5), 30))
    cluster = Cluster(NODES)
    choose, expected = placement.ours(cluster, PODS, 5), []
    for pod in pods:
        place = choose(pod)
        cluster.take(pod, place.node, place.gpus)
        expected.append((place.name, list(place.gpus)))
    body = {"nodes": [asdict(node) for node in NODES], "pods": [_asked(p) for p in pods]}
    body["expected"] = [_asked(p) for p in PODS]
    answer = (await client.post("/v1/advise/packing", json=body)).json()
    assert answer["policy"] == "learnt"
    assert [(place["node"], place["gpus"]) for place in answer["places"]] == expected
    guessed = (await client.post("/v1/advise/packing", json=body | {"learn": False})).json()
    assert guessed["policy"] == "guessed"
    assert [(place["node"], place["gpus"]) for place in guessed["places"]] != expected


def _asked(pod):
    return asdict(pod) | {"models": sorted(pod.models)}


async def test_learning_is_done_once_for_nodes_and_a_mix(client, monkeypatch):
    """Names and order do not matter; of what merely runs a tenth may change, what is declared counts as it is."""
    learnt = []

    async def counted(nodes, pods, limit_s):
        learnt.append(len(pods))
        return await learn_apart(nodes, pods, limit_s)

    monkeypatch.setattr(packing_worth, "learn_apart", counted)
    mix = [_asked(PODS[0])] * 19
    for expected in ([], [*mix, _asked(PODS[1])]):
        nodes = [asdict(node) for node in NODES]
        body = {"nodes": nodes, "pods": [*mix, _asked(PODS[1])], "expected": expected}
        await client.post("/v1/advise/packing", json=body)
        await client.post("/v1/advise/packing", json=body | {"nodes": nodes[::-1]})
        other = [*mix, _asked(PODS[2])]
        await client.post("/v1/advise/packing", json=body | {"pods": other, "expected": expected and other})
    # First what the pods tell, for all six; then the other mix, as it is declared.
    assert learnt == [20, 20]


async def test_learning_that_takes_too_long_is_told(client, monkeypatch):
    """503 with what to do; guesses are there at once."""
    monkeypatch.setattr(packing_worth, "LIMIT_S", 0.01)
    got = await client.post("/v1/advise/packing", json=asked())
    assert (got.status_code, "learn: false" in got.json()["remedy"]) == (503, True)
    assert (await client.post("/v1/advise/packing", json=asked(learn=False))).status_code == 200


async def test_without_gpus_there_is_nothing_to_learn(client):
    """Guesses then."""
    body = asked(nodes=[{"name": "cpu1", "cpu_milli": 9000, "memory_mib": 9000}], running=[])
    answer = (await client.post("/v1/advise/packing", json=body)).json()
    assert (answer["policy"], answer["unplaced"]) == ("guessed", 1)


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

"""Nodes by the names that a scheduler has for them: whoever asks by either gets the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plant.job_knowledge import JobKnowledge
from sites import load_site

RACKS = [f"rack-{i:02d}" for i in range(1, 9)]


@pytest.fixture
def site():
    """The demo pod with a node in each rack, which one cluster calls otherwise."""
    pod = load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")
    names = {f"gpu{rack[-2:]}": f"ip-{rack[-2:]}.internal" for rack in RACKS}
    return replace(pod, jobs=JobKnowledge(rack_of_node=dict(zip(names, RACKS, strict=True)), names={"eks": names}))


async def test_a_node_is_found_by_any_of_its_names(informed, edge, bearer):
    """In lists, places, explanations, the extender and outcomes; a name of nobody's is told."""
    assert (await informed.get("/v1/hints/nodes")).json()["names"]["eks"]["gpu08"] == "ip-08.internal"
    asked = {"power_kw": 5, "free": ["ip-[07-08].internal"]}
    hint = (await informed.post("/v1/hints", json=asked)).json()
    assert hint["place"]["nodes"] == ["gpu08"]
    assert (
        "no node 'ip-09.internal'" in (await informed.post("/v1/hints", json=asked | {"free": ["ip-09.internal"]})).text
    )
    sides = {"node": "ip-02.internal", "before": "gpu08", "power_kw": 5}
    assert (await informed.get("/v1/hints/explain", params=sides)).json()["first"] == "gpu08"
    question = {"Pod": {}, "NodeNames": ["ip-08.internal", "gpu08"]}
    first, second = (await informed.post("/k8s/extender/prioritize", json=question)).json()
    assert first["Score"] == second["Score"] > 5
    told = {"followed": True, "nodes": ["ip-08.internal", "ip-99.internal"]}
    assert (await informed.post(f"/v1/hints/{hint['id']}/outcome", json=told, headers=bearer)).status_code == 200
    assert (edge.outcomes[-1].nodes, edge.outcomes[-1].hinted) == (2, 1)

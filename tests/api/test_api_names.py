"""Nodes by the names that a scheduler has for them: whoever asks by either gets the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from placement.scheduler_reports import Report, conditions, state_of
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


async def test_a_name_that_a_scheduler_lacks_is_told_with_its_line(tmp_path):
    """By what the site file says of it, not only by what the scheduler does not say."""
    text = (Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml").read_text("utf-8")
    file = tmp_path / "site.yaml"
    jobs = 'jobs:\n  nodes:\n    rack-01: ["gpu[01-02]"]\n  names:\n    eks:\n      gpu01: ip-1\n      gpu02: ip-2o\n'
    file.write_text(text + jobs)
    line = 1 + (text + jobs).split("\n").index("      gpu02: ip-2o")
    known = load_site(file).jobs
    given = {"kind": "kubernetes", "dry_run": False, "period_s": 10.0, "last_success": None, "sent_at": 0.0, "nodes": 1}
    report = Report(**given, only_here=("ip-2o",), only_there=("ip-2",))
    state = state_of("eks", report, 0.0, 0.0, known)
    assert [str(lacked) for lacked in state.lacked] == [f"ip-2o = gpu02 ({file}:{line})"]
    (told,) = conditions([state], 0.0)
    assert told.cause.text == (
        f"eks lacks 1 nodes of the site file (ip-2o = gpu02 ({file}:{line})), which lacks 1 of its own (ip-2)"
    )
    other = state_of("hpc", replace(report, only_here=("gpu01", "gone")), 0.0, 0.0, known)
    assert [str(lacked) for lacked in other.lacked] == [f"gpu01 ({file}:{line - 4})", "gone"]


async def test_nodes_that_the_extender_is_asked_about_and_nobody_knows(informed, app):
    """They pass, so somebody is told; not of those that have a name, and not for ever."""
    question = {"Pod": {}, "NodeNames": ["ip-08.internal", "gpu08", "ip-8o.internal"]}
    desk, now_s = app.state.service.hints.questions, 1000.0
    desk.steady_s = lambda: now_s
    assert (await informed.post("/k8s/extender/filter", json=question)).json()["NodeNames"] == question["NodeNames"]
    found = {c["code"]: c for c in (await informed.get("/v1/conditions")).json()["conditions"]}
    assert "1 nodes that the site file lacks (ip-8o.internal)" in found["extender_unknown_nodes"]["cause"]["text"]
    now_s += 901.0
    await informed.post("/k8s/extender/filter", json=question | {"NodeNames": ["gpu08"]})
    assert not [c for c in (await informed.get("/v1/conditions")).json()["conditions"] if c["source"] == "extender"]

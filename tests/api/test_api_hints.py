"""Scores of all nodes over HTTP, and the list of them with its ETag."""

from __future__ import annotations

import re

import pytest

from plant.budgets import Budget, BudgetSource


async def test_every_node_has_a_score_with_its_reasons(informed):
    """The demo names no nodes, so its racks are; headroom grows with the rack's number, and so does the score."""
    got = await informed.get("/v1/hints/nodes")
    hints = got.json()
    assert hints["id"] in got.headers["etag"]
    assert float(got.headers["x-site-time"]) >= hints["generated_at"]
    assert hints["valid_until"] > hints["generated_at"]
    assert (hints["model_version"], hints["confidence"]) == ("headroom-2", 0.5)
    assert {row["name"] for row in hints["inputs"]} == {"headroom", "ride_through", "forecast"}
    assert all(row["age_s"] is not None for row in hints["inputs"])
    by_node = {row["node"]: row for row in hints["nodes"]}
    assert (by_node["rack-01"]["score"], by_node["rack-01"]["cdu"]) == (0, "tcs-1")
    assert "short of room" in by_node["rack-01"]["reasons"][0]
    assert all(0 <= row["score"] <= 100 and isinstance(row["score"], int) for row in hints["nodes"])


async def test_the_same_list_again_costs_no_body(informed, edge, app, until):
    """304 while nothing has changed; another list and ETag as soon as new headroom is heard."""
    etag = (await informed.get("/v1/hints/nodes")).headers["etag"]
    for sent in (etag, f'"other", W/{etag}', "*"):
        again = await informed.get("/v1/hints/nodes", headers={"if-none-match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    before = app.state.service.mirror.versions["headroom"]
    await edge.say("headroom", [])
    await until(lambda: app.state.service.mirror.versions["headroom"] > before)
    fresh = await informed.get("/v1/hints/nodes", headers={"if-none-match": etag})
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != etag


async def test_what_is_stale_is_neutral_and_never_attractive(client, informed, app, edge, until):
    """Without headroom every node is neutral, with the reason, and confidence is none."""
    await edge.say("headroom", [])
    await until(lambda: not app.state.service.mirror.headroom)
    hints = (await client.get("/v1/hints/nodes")).json()
    assert {row["score"] for row in hints["nodes"]} == {50}
    assert "no headroom has been computed" in hints["nodes"][0]["reasons"][0]
    assert hints["confidence"] == 0.0
    assert next(row for row in hints["inputs"] if row["name"] == "headroom")["age_s"] is None


async def test_headroom_that_has_grown_old_counts_for_nothing(informed, app):
    """Once valid_until has passed, the same inputs give another list, in which nothing is known any more."""
    mirror = app.state.service.mirror
    fresh = (await informed.get("/v1/hints/nodes")).json()
    mirror.clock = type(mirror.clock)(speed=1.0001, origin_epoch_s=fresh["valid_until"] + 1)
    old = (await informed.get("/v1/hints/nodes")).json()
    assert old["id"] != fresh["id"]
    assert {row["score"] for row in old["nodes"]} == {50}
    assert "s old" in old["nodes"][0]["reasons"][0]


async def test_a_budget_without_room_gives_no_points(informed, app, edge, until):
    """Also where headroom is large, and also where it is not known."""
    now_s = edge.clock.now()
    budget = Budget(
        scope="tcs-1",
        power_w=1e3,
        source=BudgetSource.GRID,
        actor="dso",
        reason="peak",
        at_s=now_s,
        until_s=now_s + 9e3,
    )
    for rooms in (None, []):
        if rooms is not None:
            await edge.say("headroom", rooms)
        await edge.say("budgets", [budget])
        before = app.state.service.mirror.versions.get("budgets", 0)
        await until(lambda before=before: app.state.service.mirror.versions.get("budgets", 0) >= max(before, 1))
        hints = (await informed.get("/v1/hints/nodes")).json()
        loop = [row for row in hints["nodes"] if row["cdu"] == "tcs-1"]
        assert {row["score"] for row in loop} == {0}
        assert loop[0]["reasons"] == ["the budget of tcs-1 leaves 0.0 kW"]


async def test_a_workload_gets_its_best_nodes_and_a_place(informed):
    """Twenty by default, best first, with reasons, ages and an end; and a place for all of it."""
    got = await informed.post("/v1/hints", json={"power_kw": 30, "nodes": 3, "locality": "cdu"})
    hints = got.json()
    assert hints["node_power_w"] == 10e3
    assert len(hints["nodes"]) == 8
    assert [n["score"] for n in hints["nodes"]] == sorted((n["score"] for n in hints["nodes"]), reverse=True)
    assert (hints["nodes"][0]["node"], hints["place"]["enough"], hints["place"]["block"]) == ("rack-08", True, "tcs-1")
    assert len(hints["place"]["nodes"]) == 3
    assert hints["valid_until"] <= hints["generated_at"] + 130.0 * 10
    assert (await informed.get(f"/v1/hints/{hints['id']}")).json() == hints
    few = (await informed.post("/v1/hints", json={"gpus": 8, "k": 2, "interruptible": True, "duration_s": 60})).json()
    assert len(few["nodes"]) == 2
    assert few["node_power_w"] == 132000 / 72 * 8


async def test_a_rack_whose_nodes_nobody_named_is_scored_for_eight_gpus(informed):
    """A whole rack more would have room in an idle one only."""
    got = (await informed.get("/v1/hints/explain?node=rack-01&before=rack-08")).json()
    assert got["power_w"] == pytest.approx(132000 / 72 * 8)


async def test_what_is_wrong_with_a_workload_is_told_at_once(informed):
    """Up to three fields, and how many more."""
    got = await informed.post("/v1/hints", json={"power_kw": -4, "nodes": 0, "duration_s": "x", "k": 0, "foo": 1})
    assert got.status_code == 422
    error = got.json()["error"]
    assert error.startswith("power_kw: input should be greater than 0; nodes: input should be greater")
    assert error.endswith("(and 2 more)")


async def test_a_place_that_keeps_peaks_low_and_only_among_free_nodes(informed, edge, app, until):
    """Off the best nodes where their racks draw more; nodes that are not free are in no place."""
    racks = [f"rack-{i:02d}" for i in range(1, 9)]
    await edge.say_live({f"{rack}/power": (90e3 if rack == "rack-08" else 20e3) for rack in racks})
    rows = app.state.service.mirror.rows
    await until(lambda: "rack-08/power" in rows and rows["rack-08/power"].value == 90e3)
    asked = {"power_kw": 10, "nodes": 1}

    async def placed(**more) -> list[str]:
        got = await informed.post("/v1/hints", json=asked | more)
        assert got.status_code == 200, got.text
        return got.json()["place"]["nodes"]

    assert await placed() == ["rack-08"]
    assert await placed(even=True) != ["rack-08"]
    assert await placed(free=["rack-[06-07]"]) == ["rack-07"]
    assert await placed(free=["rack-08"], even=True) == ["rack-08"]


async def test_an_expired_hint_is_answered_as_expired(informed, app):
    """410 with how long ago and what to do; a hint that was never given is 404."""
    hint = (await informed.post("/v1/hints", json={"power_kw": 5})).json()
    mirror = app.state.service.mirror
    mirror.clock = type(mirror.clock)(speed=1.0001, origin_epoch_s=hint["valid_until"] + 35)
    got = await informed.get(f"/v1/hints/{hint['id']}")
    assert (got.status_code, got.json()["remedy"]) == (410, "ask for a new one: POST /v1/hints")
    assert re.match(rf"hint {hint['id']} expired \d+ s ago", got.json()["error"])
    assert (await informed.get("/v1/hints/none")).status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "give exactly one of power_kw and gpus"),
        ({"power_kw": 1, "gpus": 8}, "give exactly one of power_kw and gpus"),
        ({"gpus": 8, "gpu_type": "tpu"}, "gpu_type: unknown type 'tpu'"),
        ({"power_kw": 1, "locality": "moon"}, "locality: "),
        ({"power_kw": 1, "nodes": 0}, "nodes: "),
        ({"power_kw": 1, "free": ["nobody"]}, "free: no node 'nobody'"),
        ({"power_kw": 1, "free": ["rack-["]}, "free: 'rack-[' is no list of hosts"),
    ],
)
async def test_a_workload_that_is_none(informed, body, said):
    """422 that names the field."""
    got = await informed.post("/v1/hints", json=body)
    assert got.status_code == 422
    assert said in got.json()["error"]


async def test_headroom_by_level_and_why(informed):
    """Racks as ever, loops and nodes on request; an order is explained; unknown nodes are named."""
    racks = (await informed.get("/v1/headroom")).json()["headroom"]
    (loop,) = (await informed.get("/v1/headroom", params={"level": "cdu"})).json()["headroom"]
    nodes = (await informed.get("/v1/headroom", params={"level": "node"})).json()["headroom"]
    assert loop["now_w"] == sum(min(r["power_w"], r["cooling_w"]) for r in racks)
    assert [n["id"] for n in nodes] == [r["rack"] for r in racks]
    assert (await informed.get("/v1/headroom", params={"level": "room"})).status_code == 422
    found = (
        await informed.get("/v1/hints/explain", params={"node": "rack-02", "before": "rack-08", "power_kw": 5})
    ).json()
    assert found["first"] == "rack-08"
    assert [m["code"] for m in found["why"]] == ["hint.more_room", "hint.more_cost"]
    got = await informed.get("/v1/hints/explain", params={"node": "rack-02", "before": "nobody"})
    assert (got.status_code, got.json()["error"]) == (404, "no node 'nobody'")

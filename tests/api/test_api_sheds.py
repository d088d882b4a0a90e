"""Processes that take load off in the API: what they hold counts in the next plan; what is wrong is a condition."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from plant.records import JobList, JobOutlook

HELD = {"job": "7", "share": 0.6, "full_w": {"tcs-1": 50e3}}
DEED = {"at_s": 1.0, "job": "7", "what": "cap", "place": "bmc-1:443/x", "watts": 900.0}


def told(**more) -> dict:
    """One pass."""
    given = {"acts": True, "period_s": 2.0, "sent_at": time.time(), "held": [HELD], "relief_w": {"tcs-1": 20e3}}
    return given | {"lease_left_s": 900.0, "deeds": [DEED]} | more


async def say_jobs(app, edge, until) -> None:
    """One interruptible job on every rack."""
    now_s, racks = edge.clock.now(), tuple(r.id for r in edge.site.of_kind("rack"))
    job = JobOutlook(
        job="7",
        racks=racks,
        start_s=now_s - 10,
        end_s=now_s + 9e4,
        power_w=8e5,
        power_sd_w=1.0,
        interruptible=True,
    )
    await edge.say("jobs", [JobList(source="s", actor="s", at_s=now_s, valid_until_s=now_s + 9e4, jobs=(job,))])
    await until(lambda: app.state.service.mirror.jobs)


async def say_wish(app, edge, until, **more) -> None:
    """The loop's next one: 30 kW less than it draws, or what it bears."""
    mirror = app.state.service.mirror
    (wish,) = mirror.shed
    await edge.say("shed", [replace(wish, at_s=wish.at_s + 60.0, power_w=30e3, **more)])
    await until(lambda: mirror.shed[0].at_s > wish.at_s)


async def test_what_is_held_back_counts_in_the_next_plan(informed, bearer, app, edge, until):
    """It answers the wish that asked for it; in the next it counts beside what is drawn, while the lease lasts."""
    await say_jobs(app, edge, until)
    (plan,) = (await informed.get("/v1/shed")).json()["plans"]
    assert plan["relief_w"] == pytest.approx(47e3)
    got = await informed.put("/v1/shed/hall-a", json=told(), headers=bearer)
    assert got.json()["text"] == "1 jobs held back"
    state = (await informed.get("/v1/shed")).json()
    assert (state["edge_connected"], state["plans"][0]["relief_w"]) == (True, pytest.approx(47e3))
    await say_wish(app, edge, until, it_w=925e3, bearable_w=890e3)
    assert (await informed.get("/v1/shed")).json()["plans"][0]["relief_w"] == pytest.approx(55e3)
    (process,) = state["processes"]
    assert (process["name"], process["state"], process["report"]["deeds"][0]["watts"]) == ("hall-a", "ok", 900.0)
    app.state.service.sheds.real_s = lambda: time.monotonic() + 901.0
    state = (await informed.get("/v1/shed")).json()
    assert state["processes"][0]["state"] == "silent"
    await say_wish(app, edge, until, it_w=940e3, bearable_w=890e3)
    assert (await informed.get("/v1/shed")).json()["plans"][0]["relief_w"] == pytest.approx(30e3)


async def test_a_job_that_cannot_be_capped_is_requeued(informed, bearer, app, edge, until):
    """Its power limits can't be set: the plan does not count on them."""
    await say_jobs(app, edge, until)
    await informed.put(
        "/v1/shed/a", json=told(held=[], relief_w={}, uncapped=["7"], last_error="no BMC"), headers=bearer
    )
    (plan,) = (await informed.get("/v1/shed")).json()["plans"]
    assert [step["action"] for step in plan["steps"]] == ["requeue"]


async def test_what_is_wrong_is_a_condition(informed, bearer, app):
    """Failing, silent, or only talking while load has to come off: critical then."""
    await informed.put("/v1/shed/a", json=told(last_error="cap 7: bmc-1 does not answer"), headers=bearer)
    await informed.put("/v1/shed/b", json=told(acts=False, owner="host-b-1", limits=3), headers=bearer)
    found = {(c["code"], c["subject"]): c for c in (await informed.get("/v1/conditions")).json()["conditions"]}
    assert found["shed_failing", "a"]["cause"]["text"] == "a: cap 7: bmc-1 does not answer"
    assert found["shed_failing", "a"]["severity"] == "critical"
    assert "--act" in found["shed_dry", "b"]["remedy"]["text"]
    app.state.service.sheds.real_s = lambda: time.monotonic() + 31.0
    found = {(c["code"], c["subject"]): c for c in (await informed.get("/v1/conditions")).json()["conditions"]}
    silent = found["shed_silent", "b"]
    assert "1 jobs have less than their power" in silent["cause"]["text"]
    assert silent["cause"]["text"].startswith("b (host-b-1) has told nothing")
    assert silent["cause"]["text"].endswith("3 power limits end by no clock")
    assert "--take-over" in silent["remedy"]["text"]


async def test_what_is_refused(client, bearer):
    """No token, a share above one, an act that there is not, and the 21st name."""
    assert (await client.put("/v1/shed/a", json=told())).status_code == 401
    for wrong in ({"held": [HELD | {"share": 1.1}]}, {"deeds": [DEED | {"what": "burn"}]}, {"relief_w": {"x": -1}}):
        assert (await client.put("/v1/shed/a", json=told(**wrong), headers=bearer)).status_code == 422, wrong
    for i in range(20):
        assert (await client.put(f"/v1/shed/p{i}", json=told(), headers=bearer)).status_code == 200
    got = await client.put("/v1/shed/more", json=told(), headers=bearer)
    assert (got.status_code, "GET /v1/shed" in got.json()["remedy"]) == (409, True)

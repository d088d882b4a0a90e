"""Power budgets over HTTP."""

from __future__ import annotations

import json
import math

import pytest

from plant.budgets import Budget, BudgetEnd, BudgetSource
from plant.intents import Answer


def body(until: object, **more) -> dict[str, object]:
    """What an operator sends."""
    return {"scope": "rack-01", "kw": 60, "reason": "feed B is out", "until": until, "actor": "mei"} | more


async def test_a_budget_reaches_the_edge(edge, informed, bearer):
    """In watts, dated by the site's clock, with who set it; an ISO time is taken too."""
    until = edge.clock.now() + 3600
    got = await informed.put("/v1/budget", json=body(until), headers=bearer)
    assert (got.status_code, got.json()["accepted"]) == (200, True)
    got = await informed.put(
        "/v1/budget", json=body("2100-01-01T00:00:00Z", source="grid", scope="site"), headers=bearer
    )
    assert got.status_code == 200
    own, grid = edge.budgets
    assert isinstance(own, Budget)
    assert (own.scope, own.power_w, own.until_s, own.source, own.actor) == ("rack-01", 6e4, until, "operator", "mei")
    assert (grid.scope, grid.source, grid.until_s) == ("site", BudgetSource.GRID, 4102444800.0)
    got = await informed.delete("/v1/budget", params={"scope": "rack-01", "reason": "done"}, headers=bearer)
    assert got.status_code == 200
    assert isinstance(edge.budgets[2], BudgetEnd)
    assert (edge.budgets[2].scope, edge.budgets[2].source) == ("rack-01", "operator")


@pytest.mark.parametrize("method", ["put", "delete"])
async def test_it_needs_the_token(edge, client, method):
    """Like every other command."""
    sent = {"json": body(4e9)} if method == "put" else {}
    assert (await getattr(client, method)("/v1/budget", **sent)).status_code == 401
    assert edge.budgets == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scope": "rack-99"}, "no budget can be given to 'rack-99'"),
        ({"scope": "ups-1"}, "no budget can be given to 'ups-1'"),
        ({"kw": -1}, "kw: "),
        ({"kw": "much"}, "kw: "),
        ({"until": "noon"}, "until"),
        ({"until": 1e30}, "until"),
        ({"until": math.nan}, "until"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"source": "controller"}, "source: "),
        ({"reason": ""}, "reason: "),
        ({"power_kw": 5}, "power_kw: "),
    ],
)
async def test_what_cannot_be_understood_is_named(edge, client, bearer, change, said):
    """422; nothing reaches the edge; nobody plays the controller."""
    text = json.dumps(body(4e9) | change)  # which has a word for what is no number
    got = await client.put("/v1/budget", content=text, headers=bearer | {"Content-Type": "application/json"})
    assert got.status_code == 422
    assert said in got.json()["error"]
    assert edge.budgets == []


async def test_a_refusal_and_a_silent_edge_say_so(edge, client, bearer):
    """409 in the edge's words; 503 when nobody answers."""
    edge.answer = Answer(accepted=False, text="until lies 5 s in the past of the site's clock")
    got = await client.put("/v1/budget", json=body(4e9), headers=bearer)
    assert (got.status_code, got.json()["error"]) == (409, edge.answer.text)
    await edge.stop()
    assert (await client.put("/v1/budget", json=body(4e9), headers=bearer)).status_code == 503


async def test_what_runs_beyond_it_is_shown(edge, informed, app, until):
    """Less than what runs: over_kw; of two for one scope the least counts; unknown racks count with design power."""
    now_s = edge.clock.now()
    await edge.say_live({"rack-01/power": 80e3})
    rows = [("rack-01", 60e3, "operator"), ("rack-01", 90e3, "grid"), ("rack-02", 200e3, "operator")]
    given = {"actor": "mei", "reason": "test", "at_s": now_s, "until_s": now_s + 3600}
    await edge.say("budgets", [Budget(scope=s, power_w=w, source=BudgetSource(o), **given) for s, w, o in rows])
    await until(lambda: app.state.service.mirror.budgets)
    shown = {(b["scope"], b["source"]): b for b in (await informed.get("/v1/budget")).json()["budgets"]}
    low, high, other = shown.values()
    assert (low["running_kw"], low["over_kw"], low["room_kw"], low["counts"]) == (80.0, 20.0, 0.0, True)
    assert (high["over_kw"], high["room_kw"], high["counts"]) == (0.0, 10.0, False)
    assert other["unknown_racks"] == ["rack-02"]
    assert other["running_kw"] == pytest.approx(app.state.service.site.equipment["rack-02"].design["power_w"] / 1e3)
    page = (await informed.get("/metrics")).text
    assert 'coldplate_budget_exceeded_watts{scope="rack-01",source="operator"} 20000.0' in page

"""Intents and hints."""

from __future__ import annotations

import pytest

from plant.intents import Answer, IntentKind, Mode

HOLD = {
    "kind": "hold",
    "loop": "tcs-1",
    "values": {"cdu-1/supply_temperature_setpoint": 31.0},
    "expires_in_s": 600,
    "reason": "test of rack 3",
    "actor": "mei",
}


@pytest.mark.parametrize("path", ["/v1/intents", "/v1/all-to-default"])
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Basic dG9rZW4=", "Bearer ", "Bearer a-token-for-test", "Bearer é"]
)
async def test_commands_need_the_token(edge, client, path, header):
    """Without the right token nothing reaches the edge, and the answer says how to get one."""
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    got = await client.post(path, json=HOLD if "intents" in path else {}, headers=headers)
    assert got.status_code == 401
    assert "token" in got.json()["error"]
    assert "state directory" in got.json()["remedy"]
    assert got.headers["www-authenticate"] == "Bearer"
    assert edge.heard == []


async def test_a_hold_reaches_the_edge_with_its_expiry_in_site_time(edge, informed, bearer):
    """What an operator asked for arrives whole, dated by the site's clock."""
    got = await informed.post("/v1/intents", json=HOLD, headers=bearer)
    assert (got.status_code, got.json()) == (200, {"accepted": True, "text": "done"})
    intent = edge.heard[0]
    assert (intent.kind, intent.loop, intent.actor) == (IntentKind.HOLD, "tcs-1", "mei")
    assert intent.values == {"cdu-1/supply_temperature_setpoint": 31.0}
    assert intent.expires_s == intent.at_s + 600
    assert abs(intent.at_s - edge.clock.now()) < 5 * edge.clock.speed


async def test_a_mode_is_asked_for(edge, client, bearer):
    """set_mode carries loop and mode."""
    body = {"kind": "set_mode", "loop": "tcs-1", "mode": "auto", "reason": "commissioned"}
    assert (await client.post("/v1/intents", json=body, headers=bearer)).status_code == 200
    assert edge.heard[0].mode is Mode.AUTO


async def test_an_acknowledgement_names_its_loop(edge, client, bearer):
    """Loop and reason are needed; both reach the edge."""
    body = {"kind": "acknowledge", "reason": "strainer cleaned"}
    assert (await client.post("/v1/intents", json=body, headers=bearer)).status_code == 422
    assert (await client.post("/v1/intents", json=body | {"loop": "tcs-1"}, headers=bearer)).status_code == 200
    assert (edge.heard[0].kind, edge.heard[0].loop) == (IntentKind.ACKNOWLEDGE, "tcs-1")


async def test_all_to_default_needs_no_body(edge, client, bearer):
    """The emergency action asks for nothing but the token."""
    assert (await client.post("/v1/all-to-default", headers=bearer)).status_code == 200
    assert (await client.post("/v1/all-to-default", json={"reason": "leak"}, headers=bearer)).status_code == 200
    assert [i.kind for i in edge.heard] == [IntentKind.ALL_TO_DEFAULT] * 2
    assert edge.heard[1].reason == "leak"


async def test_a_refusal_comes_with_the_edges_words(edge, client, bearer):
    """409 and the sentence of the edge, unchanged."""
    edge.answer = Answer(accepted=False, text="31 °C is below the dew point margin")
    got = await client.post("/v1/intents", json=HOLD, headers=bearer)
    assert got.status_code == 409
    assert got.json()["error"] == "31 °C is below the dew point margin"


async def test_without_an_edge_a_command_says_that_devices_let_go_themselves(client, bearer):
    """503, and the operator learns what the plant does now."""
    got = await client.post("/v1/all-to-default", json={}, headers=bearer)
    assert got.status_code == 503
    assert "fall back" in got.json()["error"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "explode"}, "kind"),
        ({"reason": ""}, "reason"),
        ({"values": {}}, "values"),
        ({"expires_in_s": None}, "expires_in_s"),
        ({"expires_in_s": -1}, "expires_in_s"),
        ({"surprise": 1}, "surprise"),
        ({"actor": "a\nb"}, "actor"),
        ({"kind": "confirm"}, "plan"),
        ({"kind": "set_mode"}, "mode"),
    ],
)
async def test_a_wrong_body_is_named_in_one_line(edge, client, bearer, change, named):
    """422 with one line that names the field; nothing reaches the edge."""
    got = await client.post("/v1/intents", json=HOLD | change, headers=bearer)
    assert got.status_code == 422
    assert named in got.json()["error"]
    assert "\n" not in got.json()["error"]
    assert edge.heard == []


async def test_not_a_number_is_refused(edge, client, bearer):
    """A setpoint that is no number never leaves the server."""
    text = '{"kind":"hold","loop":"tcs-1","values":{"a/b":NaN},"expires_in_s":5,"reason":"x"}'
    got = await client.post("/v1/intents", content=text, headers=bearer | {"content-type": "application/json"})
    assert got.status_code == 422
    assert edge.heard == []


@pytest.mark.parametrize("job", [{"power_w": 20_000}, {"power_kw": 20}, {"gpus": 10}])
async def test_hints_rank_every_rack_with_reasons(informed, job):
    """A job is given in watts, kilowatts or GPUs, needs no token, and gets every rack ranked."""
    got = await informed.post("/v1/placement/hints", json=job)
    assert got.status_code == 200
    hint = got.json()
    assert sorted(r["rank"] for r in hint["racks"]) == list(range(1, 9))
    assert all(r["reasons"] for r in hint["racks"])
    assert hint["power_w"] == pytest.approx(20_000 if "gpus" not in job else 10 * 132_000 / 72)
    assert hint["expires_s"] > hint["made_s"]


async def test_hints_wait_for_headroom(client):
    """Before the controller has said anything there is no guess."""
    got = await client.post("/v1/placement/hints", json={"power_kw": 20})
    assert got.status_code == 503


@pytest.mark.parametrize("job", [{}, {"power_w": 1, "gpus": 1}, {"power_w": 0}, {"gpus": 0}, {"power_w": "much"}])
async def test_a_job_of_no_size_is_refused(informed, job):
    """Exactly one positive size."""
    assert (await informed.post("/v1/placement/hints", json=job)).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/v1/intents", HOLD | {"values": {"cdu-1/supply_temperature_setpoint": True}}, "values.cdu-1"),
        ("POST", "/v1/intents", HOLD | {"expires_in_s": "600"}, "expires_in_s"),
        ("PUT", "/v1/budget", {"kw": True, "reason": "r", "until": 2e9}, "kw"),
        ("PUT", "/v1/budget", {"kw": 400, "reason": "r", "until": True}, "until"),
        ("POST", "/v1/hints", {"power_kw": True}, "power_kw"),
        ("POST", "/v1/placement/hints", {"gpus": "8"}, "gpus"),
        ("PUT", "/v1/shed/x/book", {"owner": "x", "jobs": [{"job": "1", "share": True}]}, "share"),
        ("PUT", "/v1/loans/x", {"moves": "yes", "loans": []}, "moves"),
    ],
)
async def test_what_is_no_number_is_not_taken_for_one(edge, informed, bearer, method, path, body, named):
    """`true` kW would be a budget of 1 kW for the whole site."""
    got = await informed.request(method, path, json=body, headers=bearer)
    assert (got.status_code, named in got.json()["error"]) == (422, True)
    assert (edge.heard, edge.budgets) == ([], [])

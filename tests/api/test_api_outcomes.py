"""What became of hints, over HTTP and at the edge's desk."""

from __future__ import annotations

import asyncio
import json

from cli.outcomes import OutcomeDesk
from plant.clock import ManualClock
from plant.intents import Answer
from plant.outcomes import HintOutcome, Outcomes, OutcomeTotals
from store.audit import AuditLog
from store.state import StateDir


async def test_an_outcome_reaches_the_edge_once(informed, edge, bearer):
    """In SI, with how many nodes were the hint's; needs the token; a second one is refused."""
    hint = (await informed.post("/v1/hints", json={"power_kw": 5, "k": 2})).json()
    path, told = f"/v1/hints/{hint['id']}/outcome", {"followed": True, "nodes": ["rack-08", "elsewhere"], "it_kwh": 2}
    assert (await informed.post(path, json=told)).status_code == 401
    assert (await informed.post(path, json=told, headers=bearer)).status_code == 200
    (heard,) = edge.outcomes
    assert (heard.hint, heard.followed, heard.nodes, heard.hinted, heard.it_j) == (hint["id"], True, 2, 1, 7.2e6)
    again = await informed.post(path, json=told, headers=bearer)
    assert (again.status_code, "told already" in again.json()["error"]) == (409, True)


async def test_of_two_that_tell_at_once_one_counts(informed, edge, bearer):
    """A client that asks again because the first answer is slow, e.g.; the totals have it once."""
    hint = (await informed.post("/v1/hints", json={"power_kw": 5})).json()
    path, told = f"/v1/hints/{hint['id']}/outcome", {"followed": True}
    answers = await asyncio.gather(*(informed.post(path, json=told, headers=bearer) for _ in range(3)))
    assert sorted(a.status_code for a in answers) == [200, 409, 409]
    assert len(edge.outcomes) == 1


async def test_a_hint_used_after_its_end_is_expired(informed, edge, bearer):
    """410, and only that it was late is counted; used in time and told much later is fine; who was refused may tell again."""
    hint = (await informed.post("/v1/hints", json={"power_kw": 5})).json()
    path = f"/v1/hints/{hint['id']}/outcome"
    late = await informed.post(path, json={"followed": True, "used_at": hint["valid_until"] + 5}, headers=bearer)
    assert (late.status_code, late.json()["remedy"]) == (410, "ask for a new one: POST /v1/hints")
    assert edge.outcomes == []
    shown = (await informed.get("/v1/hints")).json()
    assert (shown["late"], shown["totals"]["told"]) == (1, 0)
    told = {"followed": False, "used_at": hint["generated_at"]}
    edge.answer = Answer(accepted=False, text="no")
    assert (await informed.post(path, json=told, headers=bearer)).status_code == 409
    edge.answer = Answer(accepted=True, text="yes")
    assert (await informed.post(path, json=told, headers=bearer)).status_code == 200
    assert (await informed.post("/v1/hints/none/outcome", json=told, headers=bearer)).status_code == 404
    await edge.stop()
    other = (await informed.post("/v1/hints", json={"power_kw": 5})).json()["id"]
    assert (await informed.post(f"/v1/hints/{other}/outcome", json=told, headers=bearer)).status_code == 503


async def test_the_summary_is_what_the_edge_tells(informed, edge, app, until):
    """Totals and the newest."""
    assert (await informed.get("/v1/hints")).json()["totals"]["told"] == 0
    await edge.say("outcomes", Outcomes(totals=OutcomeTotals(told=3, followed=2, cost=9.5)))
    await until(lambda: app.state.service.mirror.outcomes.totals.told)
    assert (await informed.get("/v1/hints")).json()["totals"]["cost"] == 9.5


async def test_the_desk_sums_up_and_remembers(tmp_path):
    """Over a restart; what was not told adds nothing; each is in the audit."""
    state, clock = StateDir(tmp_path / "state"), ManualClock()
    audit = AuditLog(state.audit, "edge")
    given = {"actor": "slurm", "at_s": 9.0, "used_s": 8.0, "nodes": 2}
    for followed, cost in ((True, 5.0), (False, float("nan"))):
        outcome = HintOutcome(hint="h", followed=followed, hinted=int(followed), cost=cost, **given)
        assert (await OutcomeDesk(clock, state, audit).take(outcome)).accepted
    found = OutcomeDesk(clock, state, audit).outcomes
    assert found.totals == OutcomeTotals(told=2, followed=1, nodes=4, hinted=1, cost=5.0)
    assert [o.followed for o in found.newest] == [False, True]
    lines = [json.loads(line) for p in state.audit.glob("*.jsonl") for line in p.read_text().splitlines()]
    assert [(e["action"], e["detail"]["followed"]) for e in lines] == [("hint-outcome", True), ("hint-outcome", False)]

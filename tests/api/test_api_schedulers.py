"""What processes beside schedulers report, and the client that they report with."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
import uvicorn

from placement.api_client import Client
from placement.loan_reports import LoanReport
from placement.scheduler_reports import Report
from placement.shed.reports import ShedReport
from plant.errors import ConfigError, RefusedError, SilentError
from plant.loans import Loan, LoanState
from plant.sheds import Deed, JobHeld


def report(**more) -> Report:
    """A cycle that went well."""
    given = {"kind": "slurm", "dry_run": False, "period_s": 10.0, "last_success": time.time(), "sent_at": time.time()}
    return Report(**(given | {"nodes": 8} | more))


async def test_a_report_is_shown_with_its_age(client, bearer, app):
    """Good news makes no condition; after three periods of silence there is one."""
    put = {"kind": "kubernetes", "dry_run": True, "period_s": 10, "sent_at": time.time(), "nodes": 3}
    got = await client.put("/v1/schedulers/k8s-a", json=put, headers=bearer)
    assert (got.status_code, got.json()["state"]) == (200, "dry-run")
    desk = app.state.service.schedulers
    desk.real_s = lambda: time.monotonic() + 31.0
    (row,) = (await client.get("/v1/schedulers")).json()["schedulers"]
    assert (row["name"], row["state"], row["report"]["nodes"]) == ("k8s-a", "silent", 3)
    assert row["age_s"] >= 31.0
    found = {c["code"]: c for c in (await client.get("/v1/conditions")).json()["conditions"]}
    assert "coldplate k8s sync" in found["scheduler_silent"]["remedy"]["text"]
    assert 'coldplate_scheduler_up{name="k8s-a"} 0.0' in (await client.get("/metrics")).text


async def test_bad_news_is_a_condition(client, bearer):
    """A failed cycle, nodes that one side lacks, clocks apart: each by its own code, with what to do."""
    put = {"kind": "slurm", "sent_at": time.time() - 90, "last_error": "scontrol: no answer", "scheduler_skew_s": -30}
    put |= {"only_here": ["n1"], "only_there": ["x1", "x2"], "repaired": 7}
    shown = (await client.put("/v1/schedulers/hpc", json=put, headers=bearer)).json()
    assert shown["state"] == "failing"
    assert shown["clock_skew_s"] == pytest.approx(-120, abs=30)
    found = {c["code"]: c["cause"]["text"] for c in (await client.get("/v1/conditions")).json()["conditions"]}
    assert found["scheduler_failing"] == "hpc: scontrol: no answer"
    assert (
        found["scheduler_unknown_nodes"] == "hpc lacks 1 nodes of the site file (n1), which lacks 2 of its own (x1, x2)"
    )
    assert "scheduler_clock_skew" in found
    assert 'coldplate_scheduler_repaired_total{name="hpc"} 7.0' in (await client.get("/metrics")).text


async def test_reports_need_the_token_and_a_free_name(client, bearer):
    """401 without it; 409 for the 21st name, with what to do."""
    put = {"kind": "slurm", "sent_at": time.time()}
    assert (await client.put("/v1/schedulers/a", json=put)).status_code == 401
    for i in range(20):
        assert (await client.put(f"/v1/schedulers/s{i}", json=put, headers=bearer)).status_code == 200
    got = await client.put("/v1/schedulers/one-more", json=put, headers=bearer)
    assert (got.status_code, "GET /v1/schedulers" in got.json()["remedy"]) == (409, True)
    assert (await client.put("/v1/schedulers/s0", json=put | {"kind": "pbs"}, headers=bearer)).status_code == 422
    for wrong in (10**30, -1):
        told = await client.put("/v1/schedulers/s0", json=put | {"repaired": wrong}, headers=bearer)
        assert (told.status_code, (await client.get("/v1/schedulers")).status_code) == (422, 200)


async def test_the_client_speaks_with_a_real_server(app, edge, until, bearer):
    """Hints with an ETag over one connection, a budget, a report; refusals in the server's words."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        await edge.say_everything()
        await until(lambda: app.state.service.mirror.headroom)
        port = server.servers[0].sockets[0].getsockname()[1]
        await asyncio.to_thread(
            speak, f"http://127.0.0.1:{port}", edge, bearer["Authorization"].removeprefix("Bearer ")
        )
    finally:
        server.should_exit = True
        await serving


def speak(url: str, edge, token: str) -> None:
    """Everything that the client can say."""
    client = Client(url, token)
    first, again = client.hints(), client.hints()
    assert first.valid
    assert again.hints is first.hints
    assert {n.rack for n in first.hints.nodes} == {r.id for r in edge.site.of_kind("rack")}
    assert client.budgets() == []
    hint = client.workload({"power_kw": 5.0, "k": 3})
    assert [n.node for n in hint.nodes] == ["rack-08", "rack-07", "rack-06"]
    assert client.outcome(hint.id, {"followed": True, "nodes": list(hint.place.nodes)}).accepted
    assert len(client.headroom()) == 8
    with pytest.raises(RefusedError, match="has been told already"):
        client.outcome(hint.id, {"followed": True})
    assert client.put_budget(700.0, "peak", first.site_time_s + 600, source="grid", actor="dso").accepted
    assert client.end_budget("over", source="grid", actor="dso").accepted
    assert edge.budgets[0].power_w == 700e3
    assert client.report("hpc", report()).state == "ok"
    assert [s.report.nodes for s in client.schedulers()] == [8]
    given = {"id": "1", "node": "n1", "lender": "a", "borrower": "b", "owner": "ops", "due_s": 9e9, "since_s": 1.0}
    loan = Loan(**given, state=LoanState.LENT, took_s={"draining": 2.5})
    assert client.put_loans("pools", LoanReport(moves=True, period_s=10.0, loans=(loan,))).accepted
    assert [(lender.state, lender.loans) for lender in client.loans()] == [("ok", (loan,))]
    _speak_of_sheds(client)
    job = {"id": "j", "racks": ["rack-01"], "start_s": 1.0, "end_s": 9.9e9, "power_kw": 5}
    assert client.put_jobs({"source": "slurm", "valid_until_s": 9.9e9, "jobs": [job]}, actor="t").accepted
    with pytest.raises(RefusedError, match="no budget can be given to 'nowhere'"):
        client.put_budget(1.0, "x", 9e9, scope="nowhere", actor="t")
    client.close()
    with Client(url) as stranger, pytest.raises(RefusedError, match="this needs a token"):
        stranger.report("hpc", report())


def _speak_of_sheds(client: Client) -> None:
    """The wish with its plan, powers and clock, and what was done, back as it was told."""
    state = client.shed()
    assert (state.shed[0].loop, state.edge_connected, state.plans[0].short_w) == ("tcs-1", True, 47e3)
    assert state.now_s == pytest.approx(client.site_time_s(), abs=60.0)
    assert len(client.site_powers()) == 2
    held = JobHeld(job="7", share=0.5, full_w={"tcs-1": 1e4})
    deed = Deed(at_s=1.0, job="7", what="cap", place="bmc", watts=500.0)
    told = ShedReport(acts=True, period_s=2.0, sent_at=1.0, held=(held,), lease_left_s=9.0, deeds=(deed,))
    assert client.put_shed("hall", told).accepted
    (process,) = client.shed().processes
    assert (process.state, process.report) == ("ok", told)


def test_the_client_says_when_nobody_is_there():
    """A silent address is another error than a refusal; a wrong address is told at once."""
    with pytest.raises(SilentError, match="check that coldplate serve runs there"):
        Client("http://127.0.0.1:9", timeout_s=1.0).hints()
    with pytest.raises(ConfigError, match="is no address"):
        Client("coldplate:8080")
    with pytest.raises(ConfigError, match="is no address"):
        Client("http://127.0.0.1:99999")
    with pytest.raises(ConfigError, match="is no address"):
        Client("http://[::1:8080")
    with pytest.raises(SilentError, match="no answer"):
        Client("http://coldplate..lan:8080").hints()


async def test_conditions_of_reports_keep_their_beginning(client, bearer, app):
    """However often somebody looks; one that was gone in between begins anew; a clock set back leaves none ahead."""
    put = {"kind": "slurm", "sent_at": time.time(), "last_error": "scontrol: no answer"}
    await client.put("/v1/schedulers/hpc", json=put, headers=bearer)

    async def since_s() -> float | None:
        got = (await client.get("/v1/conditions")).json()["conditions"]
        return next((c["since_s"] for c in got if c["code"] == "scheduler_failing"), None)

    first = await since_s()
    await asyncio.sleep(0.05)
    assert await since_s() == first
    await client.put("/v1/schedulers/hpc", json=put | {"last_error": ""}, headers=bearer)
    assert await since_s() is None
    await client.put("/v1/schedulers/hpc", json=put, headers=bearer)
    again = await since_s()
    assert again > first
    mirror = app.state.service.mirror
    mirror.clock = replace(mirror.clock, speed=2.0, origin_epoch_s=time.time() - 5000)
    assert await since_s() < again - 4000


async def test_an_adapter_that_is_gone_for_good_is_forgotten(client, bearer):
    """After a new name the old one need not be silent for a week."""
    put = {"kind": "slurm", "sent_at": time.time(), "last_error": "gone"}
    await client.put("/v1/schedulers/old", json=put, headers=bearer)
    assert (await client.delete("/v1/schedulers/old")).status_code == 401
    got = await client.delete("/v1/schedulers/old", headers=bearer)
    assert (got.status_code, got.json()["text"]) == (200, "old is forgotten")
    assert (await client.get("/v1/schedulers")).json()["schedulers"] == []
    assert "scheduler_failing" not in (await client.get("/v1/conditions")).text
    again = await client.delete("/v1/schedulers/old", headers=bearer)
    assert (again.status_code, "has not reported" in again.json()["error"]) == (404, True)

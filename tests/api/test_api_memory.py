"""What outlives a restart of the API: hints by id, what was told of them, and reports with their ages; in bounds."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import pytest

from api.answers import encode
from api.app import create_app
from api.hint_journal import NEW, OLD, HintJournal, whole
from api.hints_given import OUTCOME_WINDOW_S, HintsGiven
from api.problems import ProblemError
from api.report_desk import FORGOTTEN_S, ReportDesk
from api.report_memory import KEPT, ReportMemory
from placement.scheduler_reports import Report
from placement.workload import Place
from placement.workload_hints import WorkloadHints
from store.embedded import EmbeddedStore
from store.state import StateDir

LOAN = {"id": "7", "node": "n1", "lender": "a", "borrower": "b", "owner": "ops", "due_s": 9e9, "since_s": 1.0}


class Server:
    """A server over the same state directory; left without ceremony, as by a kill, unless told to end."""

    def __init__(self, site, folder, page) -> None:
        self.app = create_app(
            site=site,
            bus_path=folder / "bus.sock",
            store=EmbeddedStore.open(folder / "history.sqlite", site.retention, read_only=True),
            token="a-token-for-tests",
            allowed_hosts=frozenset({"127.0.0.1"}),
            state=folder,
            page=page,
        )
        self.service = self.app.state.service
        self.service.memory.recall()
        self.service.given.recall(self.service.mirror.now_s)
        transport = httpx.ASGITransport(app=self.app)
        headers = {"Authorization": "Bearer a-token-for-tests"}
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", headers=headers)


async def hear(server: Server, until) -> asyncio.Task:
    """Listen to the edge."""
    task = asyncio.create_task(server.service.mirror.follow(server.service.bus))
    await until(lambda: server.service.mirror.headroom)
    return task


async def test_a_hint_and_its_outcome_outlive_a_kill(site, edge, tmp_path, page, until):
    """It can be asked for and told of by the next server; once told, it stays told in the one after."""
    await edge.say_everything()
    first = Server(site, tmp_path, page)
    listening = await hear(first, until)
    made = (await first.client.post("/v1/hints", json={"power_kw": 5.0, "k": 3})).json()
    listening.cancel()
    second = Server(site, tmp_path, page)
    listening = await hear(second, until)
    again = (await second.client.get(f"/v1/hints/{made['id']}")).json()
    assert again == made
    told = {"followed": True, "nodes": [made["nodes"][0]["node"]]}
    assert (await second.client.post(f"/v1/hints/{made['id']}/outcome", json=told)).status_code == 200
    assert edge.outcomes[-1].hinted == 1
    listening.cancel()
    third = Server(site, tmp_path, page)
    listening = await hear(third, until)
    got = await third.client.post(f"/v1/hints/{made['id']}/outcome", json=told)
    assert (got.status_code, "told already" in got.json()["error"]) == (409, True)
    listening.cancel()


async def test_reports_outlive_a_restart_with_their_ages(site, tmp_path, page):
    """Of all kinds: silence goes on counting, and after a week they are forgotten."""
    first = Server(site, tmp_path, page)
    report = {"kind": "slurm", "sent_at": time.time(), "last_error": "no answer", "only_here": ["n1"]}
    await first.client.put("/v1/schedulers/hpc", json=report)
    await first.client.put("/v1/loans/pools", json={"moves": True, "loans": [LOAN | {"state": "lent"}]})
    await first.client.put("/v1/shed/hall", json={"acts": True, "sent_at": 1.0, "relief_w": {"tcs-1": 5.0}})
    first.service.memory.save()
    second = Server(site, tmp_path, page)
    (scheduler,) = (await second.client.get("/v1/schedulers")).json()["schedulers"]
    assert (scheduler["name"], scheduler["state"], scheduler["report"]["only_here"]) == ("hpc", "failing", ["n1"])
    assert (await second.client.get("/v1/loans")).json()["lenders"][0]["loans"][0]["node"] == "n1"
    assert (await second.client.get("/v1/shed")).json()["processes"][0]["report"]["relief_w"] == {"tcs-1": 5.0}
    desk = second.service.schedulers
    desk.host_s = lambda: time.time() + 3600.0
    desk.recall(desk.kept())
    assert desk.state("hpc").state == "silent"
    assert desk.state("hpc").age_s == pytest.approx(3600.0, abs=60.0)
    desk.real_s = lambda: time.monotonic() + FORGOTTEN_S
    assert desk.states() == ()
    assert desk.kept() == {}
    (tmp_path / KEPT).write_text('{"schema": 9}')
    assert Server(site, tmp_path, page).service.schedulers.states() == (), "a newer file is left alone"


async def test_the_server_saves_by_itself(app, client, bearer, tmp_path, until):
    """Within seconds, and when it ends; nothing is written while nothing is new."""
    put = {"kind": "slurm", "sent_at": time.time()}
    await client.put("/v1/schedulers/hpc", json=put, headers=bearer)
    await until((tmp_path / KEPT).exists, 60)
    before = (tmp_path / KEPT).stat().st_mtime_ns
    app.state.service.memory.save()
    assert (tmp_path / KEPT).stat().st_mtime_ns == before


async def test_reports_that_come_in_while_it_saves_do_not_end_it(tmp_path, monkeypatch, until):
    """A thread writes what was there when it began; the loop goes on taking reports."""
    monkeypatch.setattr("api.report_memory.EVERY_S", 0.01)
    desk = ReportDesk(most=99, stand=lambda *_: None)
    memory = ReportMemory({"schedulers": desk}, tmp_path / KEPT)

    def clock() -> float:
        """The steady clock; where a thread asks for it, a report comes in at the same moment."""
        if threading.current_thread() is not threading.main_thread():
            desk._told[f"other-{len(desk._told)}"] = desk._told["hpc"]
        return time.monotonic()

    desk.real_s = clock
    saving = asyncio.create_task(memory.run())
    desk.take("hpc", Report(kind="slurm", dry_run=True, period_s=9.0, last_success=None, sent_at=1.0, nodes=0))
    await until(lambda: saving.done() or (tmp_path / KEPT).exists())
    assert not saving.done()
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)


def hint(number: int, valid_until: float = 1e9) -> WorkloadHints:
    """One of many."""
    return WorkloadHints(
        id=f"h{number}",
        generated_at=0.0,
        valid_until=valid_until,
        model_version="m",
        confidence=1.0,
        inputs=(),
        node_power_w=float("nan"),
        nodes=(),
        place=Place(nodes=("n1",), enough=True, block=""),
    )


def test_the_journal_is_bounded_and_survives_damage(tmp_path):
    """Two files; a torn line costs itself alone, the next one is whole."""
    journal = HintJournal(tmp_path, most_bytes=2000)
    for number in range(100):
        journal.given(encode(hint(number)))
    assert sum((tmp_path / name).stat().st_size for name in (NEW, OLD)) <= 4000
    kept = [line.id for line in journal.read()]
    assert kept[-1] == "h99"
    assert kept == [f"h{n}" for n in range(100 - len(kept), 100)]
    journal.close()
    with (tmp_path / NEW).open("ab") as file:
        file.write(b'{"v":1,"hint":{"id":"torn')
    again = HintJournal(tmp_path, most_bytes=2000)
    again.given(encode(hint(100)))
    found = list(again.read())
    assert [line.id for line in found][-2:] == ["h99", "h100"]
    assert whole(found[-1]).place.nodes == ("n1",)
    again.close()


def test_what_is_over_for_long_is_not_taken_over(tmp_path):
    """A day after its end a hint is unknown to the next server."""
    journal = HintJournal(tmp_path)
    journal.given(encode(hint(1, valid_until=100.0)))
    journal.given(encode(hint(2, valid_until=100.0 + OUTCOME_WINDOW_S)))
    given = HintsGiven(journal)
    given.recall(100.0 + OUTCOME_WINDOW_S)
    with pytest.raises(ProblemError, match="no hint"):
        given.valid("h1", 50.0)
    assert given.valid("h2", 50.0).id == "h2"
    given.close()


def test_they_are_part_of_a_backup(tmp_path):
    """And of a restored state directory."""
    state = StateDir(tmp_path / "state")
    journal = HintJournal(state.path)
    journal.given(encode(hint(1)))
    journal.close()
    state.backup(tmp_path / "b.tar.gz")
    again = StateDir.restore(tmp_path / "again", tmp_path / "b.tar.gz")
    assert [line.id for line in HintJournal(again.path).read()] == ["h1"]

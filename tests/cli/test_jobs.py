"""The desk where job lists come in."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from alarms.board import ConditionBoard
from cli.jobs import JobDesk
from placement.job_list import job_list, parsed_list
from plant.clock import ManualClock
from sites import load_site
from store.audit import AuditLog
from store.bus import BusServer
from store.state import StateDir

NOW_S = 1e9


def document(power_kw=60.0, valid_until_s=NOW_S + 900.0, **more):
    """A list of one job."""
    job = {"id": "j", "racks": ["rack-01"], "start_s": NOW_S + 600, "end_s": NOW_S + 9000, "power_kw": power_kw}
    return {"source": "slurm", "valid_until_s": valid_until_s, "jobs": [job | more]}


class Room:
    """A state directory with a desk in it."""

    def __init__(self, folder: Path) -> None:
        self.site = load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")
        self.state, self.file, self.clock = StateDir(folder / "state"), folder / "list.json", ManualClock(NOW_S)
        self.audit, self.board = AuditLog(self.state.audit, "edge"), ConditionBoard()
        self.bus = BusServer(self.state.bus, lambda _: None)
        self.open()

    def open(self) -> None:
        """A new desk, as after a restart."""
        self.desk = JobDesk(self.site, self.clock, self.state, self.audit, self.board, self.file)

    def told(self, **more):
        """A list as the API sends it."""
        form = parsed_list(json.dumps(document(**more)).encode(), "x")
        return job_list(form, self.site, "mei", self.clock.now())

    def entries(self) -> list[str]:
        """Actions of the audit."""
        lines = [line for p in self.state.audit.glob("*.jsonl") for line in p.read_text().splitlines()]
        return [e["actor"] for e in map(json.loads, lines) if e["action"] == "jobs"]

    async def watch(self, true, within_s=5.0) -> None:
        """Let the desk run until something is true."""
        task = asyncio.create_task(self.desk.run(self.bus))
        try:
            async with asyncio.timeout(within_s):
                while not true():  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def codes(self) -> set[str]:
        """Conditions told."""
        return {c.code for c in self.board.all()}


@pytest.fixture
def room(tmp_path):
    """A desk at its start."""
    return Room(tmp_path)


async def test_a_list_is_used_audited_once_and_remembered(room):
    """Its jobs are the outlook; a renewal is no news for the audit; a restart forgets nothing."""
    assert (await room.desk.take(room.told())).accepted
    assert (await room.desk.take(room.told(valid_until_s=NOW_S + 960))).accepted
    assert [j.power_w for j in room.desk.outlook()] == [60e3]
    assert room.entries() == ["mei"]
    room.open()
    assert [j.power_w for j in room.desk.outlook()] == [60e3]
    assert (await room.desk.take(room.told(power_kw=70.0))).accepted
    assert room.entries() == ["mei", "mei"]


async def test_an_expired_list_is_dropped_and_told_of(room):
    """Past valid_until_s the forecast hears nothing of its jobs, and a condition says so."""
    await room.desk.take(room.told())
    room.clock.elapsed_s += 901.0
    assert room.desk.outlook() == ()
    await room.watch(lambda: "outlook_stale" in room.codes())
    answer = await room.desk.take(room.told())
    assert not answer.accepted
    assert "in the past" in answer.text


async def test_a_file_is_read_again_when_it_changes(room):
    """First there is none; then one; then another in its place, also of the same size."""
    await room.watch(lambda: True)
    room.file.write_text(json.dumps(document()))
    await room.watch(lambda: [j.power_w for j in room.desk.outlook()] == [60e3])
    other = room.file.with_suffix(".new")
    other.write_text(json.dumps(document(power_kw=61.0)))
    os.replace(other, room.file)  # noqa: PTH105 - as schedulers' scripts do
    await room.watch(lambda: [j.power_w for j in room.desk.outlook()] == [61e3])
    assert room.codes() == set()


async def test_a_wrong_file_is_a_condition_and_the_last_list_counts(room):
    """Job and field are named; a good file withdraws it."""
    room.file.write_text(json.dumps(document()))
    await room.watch(room.desk.outlook)
    room.file.write_text(json.dumps(document(power_kw="much")))
    await room.watch(lambda: "outlook_unreadable" in room.codes())
    (found,) = room.board.all()
    assert "job 'j'.power_kw" in found.cause.text
    assert [j.power_w for j in room.desk.outlook()] == [60e3]
    room.file.write_text(json.dumps(document(power_kw=62.0)))
    await room.watch(lambda: not room.codes())
    assert [j.power_w for j in room.desk.outlook()] == [62e3]
    room.file.write_text("{")
    await room.watch(lambda: "outlook_unreadable" in room.codes())
    room.file.unlink()
    await room.watch(lambda: "outlook_unreadable" not in room.codes())

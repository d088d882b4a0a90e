"""The desk where power budgets come in."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest

from alarms.board import ConditionBoard
from cli.budgets import BudgetDesk
from plant.budgets import Budget, BudgetEnd, BudgetSource
from plant.clock import ManualClock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.records import Message, ShedRequest
from plant.samples import Quality, Reason, SampleBatch, quality_code
from sites import load_site
from store.audit import AuditLog
from store.bus import BusServer
from store.state import StateDir

NOW_S = 1e9
GOOD = quality_code(Quality.GOOD, Reason.NONE)


class Room:
    """A state directory with a desk in it."""

    def __init__(self, folder: Path) -> None:
        self.site = load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")
        self.state, self.clock = StateDir(folder / "state"), ManualClock(NOW_S)
        self.audit, self.board = AuditLog(self.state.audit, "edge"), ConditionBoard()
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.bus = BusServer(self.state.bus, lambda _: None)
        self.open()

    def open(self) -> None:
        """A new desk, as after a restart."""
        self.desk = BudgetDesk(self.site, self.clock, self.state, self.audit, self.board, self.live)

    def budget(
        self, kw: float = 60.0, scope: str = "rack-01", source: str = "operator", for_s: float = 600.0
    ) -> Budget:
        """A budget as the API sends it."""
        now_s = self.clock.now()
        given = {"source": BudgetSource(source), "actor": "mei", "reason": "test"}
        return Budget(scope=scope, power_w=kw * 1e3, at_s=now_s, until_s=now_s + for_s, **given)

    def entries(self) -> list[tuple[str, str, str]]:
        """Who did what to what, by the audit."""
        lines = [line for p in self.state.audit.glob("*.jsonl") for line in p.read_text().splitlines()]
        return [(e["actor"], e["action"], e["subject"]) for e in map(json.loads, lines)]

    def draw(self, **racks_kw: float) -> None:
        """Let racks draw this."""
        now_s = self.clock.now()
        rows = [(f"{rack.replace('_', '-')}/power", now_s, now_s, kw * 1e3, GOOD) for rack, kw in racks_kw.items()]
        self.live.update(SampleBatch.of(rows))

    async def watch(self, true, within_s: float = 60.0) -> None:
        """Let the desk run until something is true."""
        task = asyncio.create_task(self.desk.run(self.bus))
        try:
            async with asyncio.timeout(within_s):
                while not true():  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def codes(self) -> set[tuple[str, str]]:
        """Conditions told."""
        return {(c.code, c.subject) for c in self.board.all()}


@pytest.fixture
def room(tmp_path):
    """A desk at its start."""
    return Room(tmp_path)


async def test_a_budget_is_held_over_a_restart_and_audited(room):
    """Each source has one for a scope; setting and ending are audited with who and why."""
    assert (await room.desk.take(room.budget(60))).accepted
    assert (await room.desk.take(room.budget(50))).accepted
    assert (await room.desk.take(room.budget(40, source="grid"))).accepted
    room.open()
    assert sorted((b.power_w, str(b.source)) for b in room.desk.budgets()) == [(40e3, "grid"), (50e3, "operator")]
    end = BudgetEnd(scope="rack-01", source=BudgetSource.OPERATOR, actor="jo", reason="done", at_s=NOW_S)
    assert (await room.desk.take(end)).accepted
    refused = await room.desk.take(end)
    assert (refused.accepted, refused.text) == (False, "there is no budget of operator for rack-01")
    assert room.entries() == [("mei", "budget", "rack-01")] * 3 + [("jo", "budget-end", "rack-01")]


async def test_it_ends_at_its_time(room):
    """Also while the process was away; the audit says that time was over, and one in the past is refused."""
    await room.desk.take(room.budget(for_s=600))
    room.clock.advance(601)
    room.open()
    assert room.desk.budgets() == []
    await room.watch(lambda: ("coldplate", "budget-end", "rack-01") in room.entries())
    never = await room.desk.take(room.budget(for_s=math.nan))
    assert (never.accepted, room.desk.budgets()) == (False, [])
    late = await room.desk.take(room.budget(for_s=-5))
    assert (late.accepted, late.text) == (False, "until lies 5 s in the past of the site's clock")


async def test_below_what_runs_it_is_taken_and_told_of(room):
    """The answer says by how much; a condition stands until less runs."""
    room.draw(rack_01=80.0)
    answer = await room.desk.take(room.budget(60))
    assert (answer.accepted, "20.0 kW beyond it run already and go on" in answer.text) == (True, True)
    await room.watch(lambda: ("budget_exceeded", "rack-01") in room.codes())
    room.draw(rack_01=55.0)
    await room.watch(lambda: not room.codes())


async def test_power_that_is_not_known_is_not_free(room):
    """Racks that nobody hears count with their design power, which a condition tells."""
    answer = await room.desk.take(room.budget(60, scope="tcs-1"))
    assert "beyond it run already" in answer.text
    await room.watch(lambda: ("budget_unchecked", "tcs-1") in room.codes())


async def test_the_controller_sets_one_when_cooling_fails_and_ends_it(room):
    """Follows what it asks for, audits what is news, and is no second alarm beside shed_load."""
    racks = room.site.groups["tcs-1"].racks
    room.draw(**{r.replace("-", "_"): 100.0 for r in racks})
    reason = Message(code="shed_load", text="47 kW less is asked for")

    def shed(power_w: float) -> ShedRequest:
        times = {"at_s": room.clock.now(), "expires_s": room.clock.now() + 180}
        return ShedRequest(
            loop="tcs-1", power_w=power_w, it_w=8e5, bearable_w=8e5 - power_w, racks=racks, reason=reason, **times
        )

    await room.desk.follow([shed(47e3)])
    await room.desk.follow([shed(47.5e3)])
    (budget,) = room.desk.budgets()
    assert (budget.scope, budget.power_w, budget.source) == ("tcs-1", 752.5e3, BudgetSource.CONTROLLER)
    await asyncio.sleep(0)
    assert ("budget_exceeded", "tcs-1") not in room.codes()
    await room.desk.follow([shed(-60e3)])
    assert room.desk.budgets()[0].power_w == 8e5, "what is held back already leaves room, but nothing new starts"
    await room.desk.follow([])
    assert room.desk.budgets() == []
    assert [action for _, action, _ in room.entries()] == ["budget", "budget", "budget-end"]


async def test_scopes_that_are_none_are_named(room):
    """Rather than held for nothing."""
    with pytest.raises(ConfigError, match="no budget can be given to 'ups-1'"):
        await room.desk.take(room.budget(scope="ups-1"))

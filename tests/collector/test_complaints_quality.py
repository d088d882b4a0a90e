"""What users of other collectors complain about, as promises: old values shown as live, and wrong clocks."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from collector.collector import Collector
from collector.conditions import Ledger
from collector.intake import GATHER_ROWS, Intake
from collector.rules import Rule
from collector.spool import Spool
from collector.spool_writer import SpoolWriter
from plant.clock import ManualClock, ScaledClock
from plant.errors import StaleError
from plant.live import LiveTable
from plant.points import Point
from plant.samples import Quality, Reason, SampleBatch, split_code
from plant.topology import Equipment, Link, Source

RULES = {
    "cdu-1/tcs_flow": Rule(minimum=0.0, maximum=1.0, max_age_s=30.0, witness="cdu-1/tcs_differential_pressure", move_share=0.3),
    "cdu-1/tcs_differential_pressure": Rule(minimum=0.0, maximum=9e5, max_age_s=30.0),
    "cdu-1/energy": Rule(counter=True, rolls_over_at=1e9),
}  # fmt: skip
BLOCK = tuple(RULES)


class Rig:
    """An intake with a live table and a real spool, on time by hand."""

    def __init__(self, folder):
        self.clock, self.ledger, self.judged = ManualClock(), Ledger(), []
        self.points = {
            name: Point(id=name, quantity="temperature", equipment="cdu-1", link="x", period_s=10) for name in RULES
        }
        self.live = LiveTable(self.points.values(), self.clock)
        self.spool = Spool(folder / "spool", 10_000_000, self.clock)
        self.writer = SpoolWriter(self.spool, self.clock, self.ledger)
        self.intake = Intake(self.live, self.writer, RULES, self.clock, self.ledger, self.judged.append)

    def read(self, flow, pressure, energy=0.0):
        """A block is read, ten seconds after the last."""
        self.clock.advance(10)
        self.intake.take_values(BLOCK, np.array([flow, pressure, energy]))
        self.intake.flush()

    def codes(self):
        """Conditions by code and subject."""
        self.intake.judge(self.points, lambda _: False)
        return {(c.code, c.subject): c for c in self.ledger.all()}


@pytest.fixture
def rig(tmp_path):
    """See Rig."""
    rig = Rig(tmp_path)
    yield rig
    rig.spool.close()


def test_old_value_shown_as_live_when_a_device_goes_silent(rig):
    """Three periods without a value: whoever asks is refused, told how old it is, and a condition names the points."""
    rig.read(0.01, 1e5)
    assert rig.live.snapshot().value("cdu-1/tcs_flow") == 0.01
    rig.clock.advance(31)
    with pytest.raises(StaleError, match="STALE"):
        rig.live.snapshot().value("cdu-1/tcs_flow")
    assert ("stale_points", "cdu-1") in rig.codes()


def test_old_value_shown_as_live_by_a_gateway_that_repeats_it(rig):
    """Fresh answers with a frozen value: UNCERTAIN STUCK once its neighbour moved, so that control no longer acts on it."""
    for step in range(30):
        rig.read(0.01, 1e5 + step)
    assert rig.live.snapshot().value("cdu-1/tcs_flow") == 0.01
    for step in range(35):
        rig.read(0.01, 2e5 + step)
    with pytest.raises(StaleError, match="STUCK"):
        rig.live.snapshot().value("cdu-1/tcs_flow")
    assert "cdu-1/tcs_flow" in rig.codes()["stuck_values", "cdu-1"].cause.text
    rig.read(0.011, 2e5)
    assert rig.live.snapshot().value("cdu-1/tcs_flow") == 0.011
    assert ("stuck_values", "cdu-1") not in rig.codes()


def test_old_value_shown_as_live_after_a_late_message(rig):
    """A message that was held up goes to history and not over the newer value."""
    rig.read(0.01, 1e5)
    now = rig.clock.now()
    rig.intake.take(SampleBatch.of([("cdu-1/tcs_flow", now - 60, now, 0.5, 0)]))
    rig.intake.flush()
    assert rig.live.snapshot().value("cdu-1/tcs_flow") == 0.01
    assert rig.judged[-1].value.tolist() == [0.5]


def test_clock_skew_ahead_is_dated_by_its_arrival(rig):
    """A publisher an hour ahead: its arrival is the time, the sample says CLOCK, and the condition says how far off."""
    now = rig.clock.now()
    rig.intake.take(SampleBatch.of([("cdu-1/tcs_flow", now + 3600, now, 0.01, 0)]))
    rig.intake.flush()
    batch = rig.judged[-1]
    assert batch.time_s.tolist() == [now]
    assert split_code(int(batch.code[0])) == (Quality.UNCERTAIN, Reason.CLOCK)
    assert rig.codes()["clock_skew", "cdu-1"].cause.params["skew"] == 3600
    rig.read(0.02, 1e5)
    assert rig.live.snapshot().value("cdu-1/tcs_flow") == 0.02
    assert ("clock_skew", "cdu-1") not in rig.codes()


def test_clock_skew_within_a_day_behind_is_a_late_value_not_a_fault(rig):
    """Asymmetric on purpose: what was buffered for hours keeps its own time; more than a day is marked."""
    now = rig.clock.now()
    rows = [("cdu-1/tcs_flow", now - age, now, 0.01, 0) for age in (90_000, 80_000)]
    rig.intake.take(SampleBatch.of(rows))
    rig.intake.flush()
    assert rig.judged[-1].time_s.tolist() == [row[1] for row in rows]
    assert [bool(split_code(int(c))[1] & Reason.CLOCK) for c in rig.judged[-1].code] == [True, False]


def test_a_meter_that_is_set_back_is_told_and_a_roll_over_is_not(rig):
    """A fall to near zero from the register's end goes on; any other is noted for whoever reads the report."""
    rig.read(0.01, 1e5, 9.99e8)
    rig.read(0.01, 1e5, 50.0)
    assert ("meter_reset", "cdu-1") not in rig.codes()
    rig.read(0.01, 1e5, 5e8)
    rig.read(0.01, 1e5, 10.0)
    assert rig.codes()["meter_reset", "cdu-1"].cause.params["points"] == "cdu-1/energy"


async def test_blocks_are_judged_together_and_acknowledged_only_in_the_spool(rig):
    """Reads within 50 ms are one judgement; a commit spools all that came before it, a full queue does not wait."""
    for step in range(10):
        rig.intake.take_values(BLOCK, np.array([0.01, 1e5, float(step)]))
        rig.clock.advance(1)
    assert rig.judged == []
    now = rig.clock.now()
    rig.intake.take(SampleBatch.of([("dsx/new", now, now, 1.0, 0)]))
    await rig.intake.commit()
    assert [len(batch) for batch in rig.judged] == [31]
    assert rig.spool.accepted_samples == 31
    assert rig.judged[0].points[-1] == "dsx/new"
    rig.intake.take_values(BLOCK, np.array([0.01, 1e5, math.nan]))
    async with asyncio.timeout(5):
        while len(rig.judged) < 2:  # noqa: ASYNC110 - the timer is what is tested
            await asyncio.sleep(0.01)
    assert rig.live.snapshot().readings["cdu-1/energy"].reason is Reason.NOT_A_NUMBER
    many = tuple(f"new/p{i}" for i in range(GATHER_ROWS))
    rig.intake.take_values(many, np.zeros(GATHER_ROWS))
    assert len(rig.judged) == 3


async def test_what_waits_when_the_collector_stops_is_spooled(make_site, tmp_path):
    """Samples of the last 50 ms are judged and spooled before the writer's last commit."""
    cdu = Equipment(id="cdu-1", kind="cdu", sources=(Source(profile="dsx-cdu", link="bms"),))
    site = make_site([Link(id="bms", transport="mqtt", host="127.0.0.1", port=1)], [cdu])
    clock = ScaledClock()
    spool = Spool(tmp_path / "spool", 10_000_000, clock)
    collector = Collector(site, {}, LiveTable(site.points.values(), clock), spool, clock)
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(0.05)
    collector._intake.take_values(tuple(site.points), np.full(len(site.points), 20.0))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert spool.accepted_samples == len(site.points)
    spool.close()

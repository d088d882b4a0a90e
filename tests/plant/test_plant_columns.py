"""Samples in columns, and the live table over them."""

from __future__ import annotations

import numpy as np

from plant.clock import ManualClock
from plant.live import LiveTable
from plant.points import Point
from plant.quantities import Quantity
from plant.samples import Quality, Reason, SampleBatch, quality_code
from plant.slots import UNKNOWN, GrowingSlots, Slots

BACKFILL = quality_code(Quality.GOOD, Reason.BACKFILL)


def _table(clock):
    return LiveTable(
        [
            Point(id=i, quantity=Quantity.POWER, equipment="e", link="l", period_s=10.0)
            for i in ("e/a", "e/b", "e/never")
        ],
        clock,
    )


def test_joined_batches_keep_their_rows():
    """Joining names each point once and keeps every row in order, whether the names are shared or not."""
    one = SampleBatch.of([("a", 1.0, 1.0, 10.0, 0), ("b", 1.0, 1.0, 20.0, 0)])
    two = SampleBatch.of([("b", 2.0, 2.0, 21.0, 0), ("c", 2.0, 2.0, 30.0, 4)])
    joined = SampleBatch.joined([one, two, one])
    assert joined.names == ("a", "b", "c")
    assert joined.points == ("a", "b", "b", "c", "a", "b")
    assert joined.value.tolist() == [10.0, 20.0, 21.0, 30.0, 10.0, 20.0]
    assert SampleBatch.joined([one, one]).names is one.names
    assert joined.take(joined.value > 20).points == ("b", "c")


def test_the_newest_sample_of_a_batch_stays():
    """Of several samples of a point the newest is live, whatever their order; older ones and backfill never."""
    clock = ManualClock()
    table = _table(clock)
    rows = [("e/a", 5.0, 5.0, 5.0, 0), ("e/a", 3.0, 5.0, 3.0, 0), ("e/b", 1.0, 5.0, 1.0, 0), ("x", 1.0, 1.0, 1.0, 0)]
    table.update(SampleBatch.of(rows))
    table.update(SampleBatch.of([("e/b", 0.5, 6.0, 9.0, 0), ("e/a", 7.0, 7.0, 7.0, BACKFILL)]))
    shown = table.snapshot()
    assert {p: r.value for p, r in shown.readings.items()} == {"e/a": 5.0, "e/b": 1.0}
    assert len(table) == 2
    assert table.missing() == ["e/never"]


def test_a_clock_that_was_set_back_does_not_freeze_the_table():
    """An hour back: what was held from the future is replaced by the next reading; small steps back are late samples."""
    table, now_s = _table(ManualClock()), 1e9
    for step_s, value in ((0.0, 1.0), (-200.0, 2.0)):
        table.update(SampleBatch.of([("e/a", now_s + step_s, now_s + step_s, value, 0)]))
        assert table.snapshot().value("e/a") == 1.0
    for second, value in ((0.0, 3.0), (1.0, 4.0)):
        at_s = now_s - 3600.0 + second
        table.update(SampleBatch.of([("e/a", at_s, at_s, value, 0)]))
        assert table.snapshot().value("e/a") == value


def test_a_value_grows_old():
    """After its age a value is BAD and STALE, in the snapshot and in the list of missing points."""
    clock = ManualClock()
    table = _table(clock)
    table.update(SampleBatch.of([("e/a", 5.0, 5.0, 5.0, 0)]))
    clock.advance(30.0)
    assert table.snapshot().readings["e/a"].quality is Quality.GOOD
    clock.advance(0.5)
    reading = table.select(["e/a", "e/b", "nobody"]).readings["e/a"]
    assert (reading.quality, reading.reason) == (Quality.BAD, Reason.STALE)
    assert table.missing() == ["e/a", "e/b", "e/never"]


def test_slots_remember_a_tuple():
    """The very same tuple is looked up once; an equal one gives an equal answer."""
    slots = Slots({"a": 3, "b": 1})
    names = ("b", "z", "a")
    assert slots.of(names).tolist() == [1, UNKNOWN, 3]
    assert slots.of(names) is slots.of(names)
    assert np.array_equal(slots.of(tuple(names)), slots.of(("b", "z", "a")))


def test_a_large_table_is_looked_up_once():
    """With 300,000 names neither the table itself nor its blocks are looked up again, whatever else comes by."""
    names = tuple(f"rack-{i // 300:04d}/gpu-{i % 300:03d}/temperature" for i in range(300_000))
    blocks = [names[i : i + 3000] for i in range(0, len(names), 3000)]
    slots = GrowingSlots(names)
    table = slots.of(slots.names)
    first = [slots.of(block) for block in blocks]
    for k in range(450):
        slots.of(tuple(names[k : k + 500]))
    assert slots.of(slots.names) is table
    assert all(slots.of(block) is found for block, found in zip(blocks, first, strict=True))
    for k in range(3000):
        slots.of(tuple(names[k : k + 500]))
    assert slots.of(slots.names) is table


def test_growing_slots_know_their_own_names():
    """`names` lie at 0, 1, 2 and so on, before and after new ones have come."""
    slots = GrowingSlots(["a", "b"])
    assert slots.of(slots.names).tolist() == [0, 1]
    assert slots.of(("c", "a")).tolist() == [2, 0]
    assert slots.of(slots.names).tolist() == [0, 1, 2]


def test_a_table_without_points_takes_anything():
    """A site may have no points of its own, such as one that only discovers."""
    table = LiveTable([], ManualClock())
    table.update(SampleBatch.of([("x/y", 1.0, 1.0, 1.0, 0)]))
    assert (len(table), dict(table.snapshot().readings), table.missing()) == (0, {}, [])

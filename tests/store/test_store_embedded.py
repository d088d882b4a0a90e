"""The embedded store as its users see it."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.errors import ConfigError, RefusedError, StoreError
from plant.ports import RangeQuery
from plant.samples import Quality, Reason, SampleBatch, quality_code, split_code
from store.embedded import EmbeddedStore

T0 = 1_767_225_600.0  # 2026-01-01, a full day
DAYS = {"raw_days": 7.0, "minute_days": 90.0, "quarter_hour_days": 3660.0, "gpu_raw_days": 2.0}


def batch(*rows):
    """A batch from (point, time_s, value[, code]) rows."""
    return SampleBatch.of([(p, t, t, v, *(code or [0])) for p, t, v, *code in rows])


def ramp(point, start_s, count, step_s=10.0):
    """A batch of one point, 0.1 more each time."""
    return batch(*((point, start_s + i * step_s, i / 10) for i in range(count)))


@pytest.fixture
async def store(tmp_path):
    """A new store."""
    opened = EmbeddedStore.open(tmp_path / "history.sqlite", DAYS)
    yield opened
    await opened.close()


async def rows_of(store, point="cdu-1/t", start_s=T0, end_s=T0 + 86_400, step_s=None, aggregate="mean"):
    """(time, value) pairs of a query."""
    query = RangeQuery(points=(point,), start_s=start_s, end_s=end_s, step_s=step_s, aggregate=aggregate)
    (series,) = await store.range(query)
    return list(zip(series.time_s.tolist(), series.value.tolist(), strict=True))


async def test_what_is_written_is_read_back_in_order(store):
    """Samples come back ascending, in [start, end), points in the order asked for, an unknown one empty."""
    await store.write(batch(("b/x", T0 + 2, 2.5), ("b/x", T0, 1.5), ("a/x", T0, 7.0), ("b/x", T0 + 3, 9.0)))
    series = await store.range(RangeQuery(points=("b/x", "none/x", "a/x"), start_s=T0, end_s=T0 + 3))
    assert [s.point for s in series] == ["b/x", "none/x", "a/x"]
    assert series[0].time_s.tolist() == [T0, T0 + 2]
    assert series[0].value.tolist() == [1.5, 2.5]
    assert [len(s.value) for s in series] == [2, 0, 1]
    assert series[0].code.dtype == np.int32


async def test_writing_twice_changes_nothing(store):
    """A batch that is sent again is accepted again and kept once."""
    for _ in range(2):
        assert (await store.write(ramp("cdu-1/t", T0, 20))).accepted == 20
    assert len(await rows_of(store)) == 20


@pytest.mark.parametrize("packed", [False, True])
async def test_bad_values_are_kept_but_never_averaged(store, packed):
    """A NaN stays in raw history with its code, is left out of every aggregate, and shows in the bucket's code."""
    bad = quality_code(Quality.BAD, Reason.NO_COMM)
    await store.write(batch(("cdu-1/t", T0, 10.0), ("cdu-1/t", T0 + 10, math.nan, bad), ("cdu-1/t", T0 + 20, math.inf)))
    if packed:
        assert await store.maintain(T0 + 3 * 3600) == 3
    (raw,) = await store.range(RangeQuery(points=("cdu-1/t",), start_s=T0, end_s=T0 + 60))
    assert np.isnan(raw.value).tolist() == [False, True, True]
    assert raw.code[1] == bad
    assert split_code(int(raw.code[2])) == (Quality.BAD, Reason.NOT_A_NUMBER)
    for aggregate, value in {"mean": 10, "min": 10, "max": 10, "last": 10, "sum": 10, "count": 1}.items():
        assert await rows_of(store, step_s=60, aggregate=aggregate) == [(T0, value)], aggregate
    (bucket,) = await store.range(RangeQuery(points=("cdu-1/t",), start_s=T0, end_s=T0 + 60, step_s=60))
    assert split_code(int(bucket.code[0]))[0] is Quality.BAD


@pytest.mark.parametrize("step_s", [None, 5.0, 60.0, 300.0, 900.0, 3600.0, 5400.0, 86_400.0])
async def test_packing_does_not_change_answers(store, step_s):
    """Raw or rollup, hot or packed: the same query gives the same answer."""
    rng = np.random.default_rng(3)
    times = T0 + np.sort(rng.choice(np.arange(0, 14_400_000), 3000, replace=False)) / 1000
    await store.write(batch(*(("cdu-1/t", t, round(20 + math.sin(t / 500), 2)) for t in times.tolist())))
    for aggregate in ("mean", "min", "max", "last", "count", "sum", "good_s"):
        before = await rows_of(store, "cdu-1/t", T0 + 100, T0 + 14_000, step_s, aggregate)
        await store.maintain(T0 + 3 * 3600)
        await store.maintain(T0 + 30 * 3600)
        after = await rows_of(store, "cdu-1/t", T0 + 100, T0 + 14_000, step_s, aggregate)
        loose = 0.02 if aggregate == "sum" else 0.01 / 32
        if aggregate == "good_s":  # spacing is judged within an hour
            loose = 30.0
        assert [t for t, _ in after] == [t for t, _ in before]
        np.testing.assert_allclose([v for _, v in after], [v for _, v in before], atol=loose, rtol=1e-6)


POINTS = ("a/x", "b/x")
EXACT = (
    (None, "mean"),
    (60.0, "min"),
    (900.0, "min"),
    (60.0, "max"),
    (900.0, "max"),
    (900.0, "last"),
    (900.0, "count"),
)
samples = st.lists(
    st.tuples(st.sampled_from(POINTS), st.integers(0, 4 * 3600), st.integers(0, 100)),
    unique_by=lambda row: row[:2],
    max_size=40,
)


async def _answers(path, pieces):
    """What a new store says after it took the pieces, packing in between, so that later pieces come late."""
    store = EmbeddedStore.open(path, DAYS)
    for piece in pieces:
        await store.write(batch(*piece))
        await store.maintain(T0 + 4 * 3600)
    exact = [await rows_of(store, p, step_s=s, aggregate=a) for p in POINTS for s, a in EXACT]
    means = [await rows_of(store, p, step_s=s) for p in POINTS for s in (60.0, 900.0)]
    await store.close()
    return exact, means


@settings(max_examples=30, deadline=None)
@given(samples, st.randoms(use_true_random=False), st.integers(2, 5))
def test_order_and_duplicates_never_matter(tmp_path_factory, rows, random, parts):
    """However samples are split, shuffled, repeated and packed in between, range returns the same."""
    plain = [(point, T0 + second, value * 0.25) for point, second, value in rows]
    shuffled = [*plain, *plain[::2]]
    random.shuffle(shuffled)
    folder = tmp_path_factory.mktemp("order")
    exact, means = asyncio.run(_answers(folder / "1.sqlite", [plain]))
    same, close = asyncio.run(_answers(folder / "2.sqlite", [shuffled[i::parts] for i in range(parts)]))
    assert same == exact
    lows_and_highs = [exact[i] for i in (1, 2, 8, 9)], [exact[i] for i in (3, 4, 10, 11)]
    for one, other, low, high in zip(means, close, *lows_and_highs, strict=True):
        assert [t for t, _ in one] == [t for t, _ in other]
        # A mean is kept to 1/64 of what the bucket's low and high are multiples of, so at least of their distance
        for (_, a), (_, b), (_, least), (_, most) in zip(one, other, low, high, strict=True):
            assert abs(a - b) <= (most - least) / 32 + 1e-6


async def test_late_rows_join_a_packed_hour(store):
    """A row that comes after its hour was packed is seen at once, and still after the next packing."""
    await store.write(ramp("cdu-1/t", T0, 360))
    await store.maintain(T0 + 3 * 3600)
    await store.write(batch(("cdu-1/t", T0 + 5, 1000.0)))
    for _ in range(2):
        assert (T0 + 5, 1000.0) in await rows_of(store)
        assert (await rows_of(store, step_s=900, aggregate="max"))[0] == (T0, 1000.0)
        assert len(await rows_of(store)) == 361
        await store.maintain(T0 + 3 * 3600)


async def test_retention_drops_raw_first_and_gpus_sooner(store):
    """Raw samples go after their days, GPU points sooner; minutes and then quarter hours answer instead."""
    for point in ("cdu-1/t", "rack-01/gpu-00/temperature"):
        await store.write(ramp(point, T0, 720))
    counts = {}
    for days in (1, 3, 8, 91, 3700):
        for since in (3, 0) if days > 8 else (0,):  # what comes after weeks counts once it has come for days
            await store.write(ramp("still/here", T0 + (days - since) * 86_400, 2))
        await store.maintain(T0 + days * 86_400 + 7200)
        for point in ("cdu-1/t", "rack-01/gpu-00/temperature"):
            raw = len(await rows_of(store, point))
            counts[days, point] = (
                raw,
                len(await rows_of(store, point, step_s=60)),
                len(await rows_of(store, point, step_s=900)),
            )
    assert counts[1, "cdu-1/t"] == counts[1, "rack-01/gpu-00/temperature"] == (720, 120, 8)
    assert counts[3, "cdu-1/t"] == (720, 120, 8)
    assert counts[3, "rack-01/gpu-00/temperature"] == (0, 120, 8)
    assert counts[8, "cdu-1/t"] == (0, 120, 8)
    assert counts[91, "cdu-1/t"] == (0, 8, 8)
    assert counts[3700, "cdu-1/t"] == (0, 0, 0)
    assert await store.last(["cdu-1/t"]) == {}


async def test_sets_never_age_out(store, tmp_path):
    """LDMS #1584, #987: a point that is sent no more goes with its last data; coming back later it starts anew."""
    names = ["old/t", "kept/t", "rack-01/gpu-00/temperature"]
    late = T0 + 3700 * 86_400
    for name in names:
        await store.write(ramp(name, T0, 10))
    await store.maintain(T0 + 7200)
    for at_s in (late - 3 * 86_400, late):
        await store.write(ramp("kept/t", at_s, 10))
    reader = EmbeddedStore.open(tmp_path / "history.sqlite", DAYS, read_only=True)
    assert set(await reader.last(names)) == set(names)
    await store.maintain(late + 7200)
    for seen in (store, reader):
        assert set(await seen.last(names)) == {"kept/t", names[2]}, "the newest name stays, so that no id is used twice"
    await store.write(ramp("old/t", late + 60, 5))
    for seen in (store, reader):
        assert len(await rows_of(seen, "old/t", late, late + 7200)) == 5
        assert len(await rows_of(seen, "kept/t", late, late + 7200)) == 10
    await reader.close()


async def test_a_clock_years_ahead_forgets_nothing(store):
    """Retention goes by the newest sample and record where the clock is far ahead; what comes next is still taken."""
    await store.write(ramp("cdu-1/t", T0, 360))
    await store.append("plan", "loop-1", T0, {"n": 1})
    await store.maintain(T0 + 20 * 366 * 86_400)
    assert len(await rows_of(store)) == 360
    assert await store.latest("plan") == {"n": 1}
    assert (await store.write(batch(("cdu-1/t", T0 + 4000, 1.0)))).accepted == 1


async def test_samples_of_a_clock_that_is_set_wrong_cost_no_history(store):
    """Devices without a time of their own are stored by the host's: a year ahead for a day, then put right again."""
    await store.write(ramp("cdu-1/t", T0, 360))
    wrong = T0 + 366 * 86_400
    for hours in (0, 2, 24):
        await store.write(batch(("cdu-1/t", wrong + hours * 3600, 1.0)))
        await store.maintain(wrong + hours * 3600)
    await store.maintain(T0 + 7200)
    assert len(await rows_of(store)) == 360
    assert (await store.write(batch(("cdu-1/t", T0 + 7200, 1.0)))).accepted == 1


async def test_a_site_that_stood_still_forgets_again_after_two_days(store):
    """What comes after a jump counts once it has come for long enough."""
    await store.write(ramp("cdu-1/t", T0, 360))
    for hours in range(0, 60, 2):
        await store.write(batch(("cdu-1/t", T0 + 366 * 86_400 + hours * 3600, 1.0)))
    await store.maintain(T0 + 366 * 86_400 + 60 * 3600)
    assert await rows_of(store) == []


async def test_a_clock_put_right_is_believed_again(store):
    """Ahead for so long that history went by it: what comes then is taken, and no rollup is written over."""
    await store.write(ramp("cdu-1/t", T0, 360))
    for hours in range(0, 60, 2):
        await store.write(batch(("cdu-1/t", T0 + 40 * 86_400 + hours * 3600, 1.0)))
    await store.maintain(T0 + 40 * 86_400 + 60 * 3600)
    before = await rows_of(store, step_s=900)
    await store.maintain(T0 + 600)
    result = await store.write(batch(("cdu-1/t", T0 + 600, 99.0), ("cdu-1/t", T0 + 9000, 2.0)))
    assert result.accepted == 2
    await store.maintain(T0 + 4 * 3600)
    assert (await rows_of(store, step_s=900))[: len(before)] == before
    assert (T0 + 9000, 2.0) in await rows_of(store)


async def test_no_samples_pin_no_horizon(store):
    """A file that holds nothing yet takes samples of any time, whatever clock it was maintained by."""
    await store.maintain(T0 + 20 * 366 * 86_400)
    assert (await store.write(batch(("cdu-1/t", T0, 1.0)))).accepted == 1


async def test_old_records_go_where_no_samples_are_kept(store):
    """Records age by the newest of them: their file is bounded, too, where samples go to a server."""
    for day in (0, 10, 370):
        await store.append("plan", "loop-1", T0 + day * 86_400, {"day": day})
    await store.maintain(T0 + 370 * 86_400)
    assert [record["day"] for record in await store.since("plan", 0.0)] == [10, 370]


async def test_rows_older_than_raw_history_are_rejected_by_name(store):
    """A row of an hour whose raw samples are gone is refused with the reason, and its rollup stays as it was."""
    await store.write(ramp("cdu-1/t", T0, 360))
    await store.write(ramp("still/here", T0 + 8 * 86_400, 1))
    await store.maintain(T0 + 8 * 86_400)
    before = await rows_of(store, step_s=900)
    result = await store.write(
        batch(("cdu-1/t", T0 + 5, 99.0), ("cdu-1/t", T0 + 8 * 86_400, 1.0), ("cdu-1/t", math.nan, 1.0))
    )
    assert result.accepted == 1
    assert len(result.rejected) == 2
    assert "cdu-1/t" in result.rejected[0]
    assert "older" in result.rejected[0]
    await store.maintain(T0 + 8 * 86_400 + 7200)
    assert await rows_of(store, step_s=900) == before


async def test_last_is_the_newest_packed_or_not(store):
    """`last` finds the newest sample of each point, hot or packed, even when a late one comes after it."""
    await store.write(ramp("cdu-1/t", T0, 10))
    await store.write(batch(("cdu-1/u", T0, math.nan, 2)))
    await store.maintain(T0 + 3 * 3600)
    await store.write(batch(("cdu-1/t", T0 + 1, 55.0)))
    assert (await store.last(["cdu-1/t", "no/such"])) == {"cdu-1/t": (T0 + 90, 0.9, 0)}
    await store.write(batch(("cdu-1/t", T0 + 91, 56.0, 1)))
    newest = await store.last(["cdu-1/t", "cdu-1/u"])
    assert newest["cdu-1/t"] == (T0 + 91, 56.0, 1)
    assert math.isnan(newest["cdu-1/u"][1])


async def test_last_is_what_was_written_last_of_one_time(store):
    """A sample that is written again after it was packed: `last` and `range` give the later value."""
    await store.write(batch(("cdu-1/t", T0, 1.0)))
    await store.maintain(T0 + 3 * 3600)
    await store.write(batch(("cdu-1/t", T0, 2.0)))
    assert await rows_of(store) == [(T0, 2.0)]
    assert await store.last(["cdu-1/t"]) == {"cdu-1/t": (T0, 2.0, 0)}
    await store.maintain(T0 + 3 * 3600)
    assert await store.last(["cdu-1/t"]) == {"cdu-1/t": (T0, 2.0, 0)}


async def test_records_are_kept_by_kind_key_and_time(store):
    """append, latest and since give back what was kept, NaN as null, long ones too."""
    for i in range(3):
        await store.append("plan", f"loop-{i % 2}", T0 + i, {"n": i, "x": math.nan, "text": "long " * 100})
    assert (await store.latest("plan"))["n"] == 2
    assert (await store.latest("plan", "loop-1"))["n"] == 1
    assert (await store.latest("plan", "loop-1"))["x"] is None
    assert await store.latest("plan", "loop-9") is None
    assert [r["n"] for r in await store.since("plan", T0 + 1)] == [1, 2]
    assert [r["n"] for r in await store.since("plan", T0, limit=2)] == [0, 1]


async def test_wrong_uses_say_so(store, tmp_path):
    """An unknown aggregate, a write to a read-only store and a closed store each raise a sentence."""
    with pytest.raises(ConfigError, match="median"):
        await rows_of(store, step_s=60, aggregate="median")
    reader = EmbeddedStore.open(tmp_path / "history.sqlite", DAYS, read_only=True)
    with pytest.raises(RefusedError, match="read-only"):
        await reader.write(ramp("cdu-1/t", T0, 1))
    await reader.close()
    with pytest.raises(StoreError, match="closed"):
        await reader.last(["cdu-1/t"])

"""What every store promises, over every store."""

from __future__ import annotations

import asyncio
import math
import time

import numpy as np
import pytest

from plant.errors import ConfigError
from plant.ports import RangeQuery
from plant.samples import Quality, Reason, SampleBatch, quality_code

ODD = ["rack 1/a b", "a,b=c/x y", "机架-1/供水温度", 'it\'s/"q"', "back\\slash/x", "50%/a.b|c*(d)[e]+?^$", "ünïcode/é"]
ODD += ["dsx/a\\,b", "dsx/a\\\\b", "dsx/a\\\\, b", "dsx/a\\ b", "dsx/a\\=b", "dsx/a,b", "dsx/a\\nb", "dsx/a\\\\\\b"]
BAD = quality_code(Quality.BAD, Reason.NO_COMM)
UNSURE = quality_code(Quality.UNCERTAIN, Reason.STALE | Reason.JUMP)
OUT = quality_code(Quality.BAD, Reason.OUT_OF_SERVICE)


def batch(*rows):
    """From (point, time_s, value[, code]) rows."""
    return SampleBatch.of([(p, t, t, v, *(code or [0])) for p, t, v, *code in rows])


async def read(adapter, points, start_s, end_s, step_s=None, aggregate="mean"):
    """The answer, settled."""
    await adapter.settle()
    query = RangeQuery(points=tuple(points), start_s=start_s, end_s=end_s, step_s=step_s, aggregate=aggregate)
    return await adapter.store.range(query)


def same(adapter, got, expected):
    """Equal, to the last bit or to the twelve digits that VictoriaMetrics keeps."""
    if adapter.exact:
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=0)


async def test_samples_come_back_in_order_by_point(adapter, base_s):
    """Whatever the order of writing: ascending, in [start, end), points as asked for, an unknown one empty, ms kept."""
    rows = [("b/x", base_s + 2.001, 2.5), ("b/x", base_s, 1.5), ("a/x", base_s, -7e-9), ("b/x", base_s + 3, 9.0)]
    result = await adapter.store.write(batch(*rows))
    assert (result.accepted, result.rejected, result.rows) == (4, (), ())
    b, none, a = await read(adapter, ["b/x", "no/such", "a/x"], base_s, base_s + 3)
    assert [b.point, none.point, a.point] == ["b/x", "no/such", "a/x"]
    assert b.time_s.tolist() == [base_s, base_s + 2.001]
    same(adapter, b.value, [1.5, 2.5])
    same(adapter, a.value, [-7e-9])
    assert (b.code.dtype, len(none.value)) == (np.int32, 0)


async def test_writing_twice_is_writing_once(adapter, base_s):
    """A batch that is sent again changes neither samples, nor means, nor counts."""
    rows = batch(*(("a/x", base_s + i, i / 4) for i in range(300)))
    for _ in range(3):
        assert (await adapter.store.write(rows)).accepted == 300
        await adapter.settle()
    (raw,) = await read(adapter, ["a/x"], base_s, base_s + 300)
    assert len(raw.value) == 300
    for aggregate, expected in {
        "count": [60.0] * 5,
        "sum": [sum(range(k, k + 60)) / 4 for k in range(0, 300, 60)],
    }.items():
        (stepped,) = await read(adapter, ["a/x"], base_s, base_s + 300, 60.0, aggregate)
        same(adapter, stepped.value, expected)


async def test_duplicate_timestamps_overwrite_no_neighbour(adapter, base_s):
    """Influxdb #2055, #4150: what several points and devices say in one moment, and one point a ms later, all stays."""
    rows = [(f"{device}/{name}", base_s, 1.0 * n) for n, device in enumerate(("m1", "m2")) for name in ("x", "y")]
    await adapter.store.write(batch(*rows, ("m1/x", base_s + 0.001, 5.0)))
    found = await read(adapter, ["m1/x", "m1/y", "m2/x", "m2/y"], base_s, base_s + 1)
    assert [series.value.tolist() for series in found] == [[0.0, 5.0], [0.0], [1.0], [1.0]]


async def test_a_later_value_replaces_an_earlier_one(adapter, base_s):
    """Where `upsert` is claimed, the value and quality written last at a time are the ones read."""
    if "upsert" not in adapter.store.capabilities:
        pytest.skip("does not claim upsert")
    await adapter.store.write(batch(("a/x", base_s, 9.0, UNSURE), ("a/y", base_s, 5.0)))
    await adapter.store.write(batch(("a/x", base_s, 3.0, 0), ("a/y", base_s, math.nan, quality_code(Quality.GOOD))))
    x, y = await read(adapter, ["a/x", "a/y"], base_s, base_s + 1)
    assert (x.value.tolist(), x.code.tolist()) == ([3.0], [0])
    assert np.isnan(y.value).all()


@pytest.mark.parametrize("step_s", [10.0, 60.0, 900.0, 5400.0])
async def test_aggregates_equal_numpy(adapter, base_s, step_s):
    """Buckets start at multiples of the step since 1970, hold [start, start + step), and equal numpy's answer."""
    rng = np.random.default_rng(5)
    ms = np.sort(rng.choice(np.arange(7_200_000), 2000, replace=False))
    edges = np.array([0, 59_999, 60_000, 60_001, 899_999, 900_000])
    ms = np.unique(np.concatenate((ms, edges)))
    values = np.round(rng.normal(30, 5, len(ms)), 3)
    times = base_s + ms / 1000
    await adapter.store.write(batch(*(("a/x", t, v) for t, v in zip(times.tolist(), values.tolist(), strict=True))))
    bucket = np.rint(times * 1000).astype(np.int64) // int(step_s * 1000)
    groups = [values[bucket == b] for b in np.unique(bucket)]
    functions = {"mean": np.mean, "min": np.min, "max": np.max, "sum": np.sum, "count": len, "last": lambda g: g[-1]}
    for name, function in functions.items():
        (got,) = await read(adapter, ["a/x"], base_s, base_s + 7200, step_s, name)
        assert got.time_s.tolist() == (np.unique(bucket) * step_s).tolist(), name
        np.testing.assert_allclose(got.value, [function(g) for g in groups], rtol=1e-11, err_msg=name)
    (good,) = await read(adapter, ["a/x"], base_s, base_s + 7200, step_s, "good_s")
    assert len(good.value) == len(groups)
    assert (good.value <= step_s).all()


async def test_bad_samples_are_kept_but_never_averaged(adapter, base_s):
    """No number, infinite or out of service: read back with their quality, and no aggregate counts them."""
    rows = [("a/x", base_s, 10.0), ("a/x", base_s + 1, math.nan, BAD), ("a/x", base_s + 2, math.inf)]
    rows += [("a/x", base_s + 3, 99.0, OUT), ("a/x", base_s + 4, 20.0, UNSURE), ("a/x", base_s + 60, math.nan, BAD)]
    assert (await adapter.store.write(batch(*rows))).accepted == 6
    (raw,) = await read(adapter, ["a/x"], base_s, base_s + 120)
    np.testing.assert_array_equal(raw.value, [10.0, np.nan, np.nan, 99.0, 20.0, np.nan])
    nan_code = quality_code(Quality.BAD, Reason.NOT_A_NUMBER)
    assert raw.code.tolist() == [0, BAD, nan_code, OUT, UNSURE, BAD]
    for aggregate, value in {"mean": 15.0, "min": 10.0, "max": 20.0, "last": 20.0, "sum": 30.0, "count": 2.0}.items():
        (got,) = await read(adapter, ["a/x"], base_s, base_s + 120, 60.0, aggregate)
        assert got.value[0] == value, aggregate
        assert got.time_s.tolist() == [base_s, base_s + 60]
        assert (got.code & 3).tolist() == [Quality.BAD, Quality.BAD]
        assert got.value[1] == 0 if aggregate == "count" else math.isnan(got.value[1])


async def test_every_quality_and_reason_comes_back(adapter, base_s):
    """The code survives bit by bit, and a bucket shows its worst quality, whatever the reasons."""
    codes = [
        quality_code(q, Reason(r))
        for q in Quality
        for r in (0, *(1 << k for k in range(13)), 0x1FFF)
        if r not in {2048, 0x1FFF}
    ]
    usable = [c for c in codes if not (c >> 2) & int(Reason.OUT_OF_SERVICE)]
    await adapter.store.write(batch(*(("a/x", base_s + i, 1.0, c) for i, c in enumerate(usable))))
    await adapter.store.write(batch(("b/x", base_s, 1.0, UNSURE), ("b/x", base_s + 1, math.nan, 2)))
    raw, _ = await read(adapter, ["a/x", "b/x"], base_s, base_s + 120)
    assert raw.code.tolist() == usable
    _, bucket = await read(adapter, ["a/x", "b/x"], base_s, base_s + 60, 60.0)
    assert bucket.code[0] & 3 == Quality.BAD


async def test_odd_names_stay_apart(adapter, base_s):
    """Spaces, commas, quotes, regular expressions and other scripts in names: each point is itself, also in `last`."""
    await adapter.store.write(batch(*((p, base_s + i, float(i)) for i, p in enumerate(ODD))))
    found = await read(adapter, ODD, base_s, base_s + 60)
    assert [s.value.tolist() for s in found] == [[float(i)] for i in range(len(ODD))]
    stepped = await read(adapter, ODD, base_s, base_s + 60, 60.0)
    assert [s.value.tolist() for s in stepped] == [[float(i)] for i in range(len(ODD))]
    assert await adapter.store.last(ODD) == {p: (base_s + i, float(i), 0) for i, p in enumerate(ODD)}


async def test_last_is_the_newest_sample_of_each_point(adapter, base_s):
    """Not the one written last; with its quality, no number where it has none; unknown points are not there."""
    await adapter.store.write(
        batch(("a/x", base_s + 9, 2.5, UNSURE), ("a/y", base_s + 5, 7.0), ("a/z", base_s, 4.0, OUT))
    )
    await adapter.store.write(
        batch(("a/x", base_s, 1.0), ("a/y", base_s + 6, math.nan, BAD), ("a/old", base_s - 9e4, 3.0))
    )
    await adapter.settle()
    found = dict(await adapter.store.last(["a/x", "a/y", "a/z", "a/old", "no/such"]))
    at_s, value, code = found.pop("a/y")
    assert (at_s, math.isnan(value), code) == (base_s + 6, True, BAD)
    assert found == {"a/x": (base_s + 9, 2.5, UNSURE), "a/z": (base_s, 4.0, OUT), "a/old": (base_s - 9e4, 3.0, 0)}
    assert await adapter.store.last([]) == {}


async def test_a_hundred_thousand_samples_in_one_batch(adapter, base_s):
    """A large batch of many points is taken whole and read back whole."""
    names = tuple(f"rack-{i:03d}/power" for i in range(250))
    index = np.tile(np.arange(250), 400)
    time_s = np.repeat(base_s + np.arange(400), 250)
    value = np.round(np.random.default_rng(2).normal(900, 50, 100_000), 1)
    big = SampleBatch(
        names=names, index=index, time_s=time_s, received_s=time_s, value=value, code=np.zeros(100_000, np.int32)
    )
    assert (await adapter.store.write(big)).accepted == 100_000
    found, end_s = await read(adapter, names, base_s, base_s + 400), time.monotonic() + 10
    while sum(len(s.value) for s in found) < 100_000 and time.monotonic() < end_s:  # VictoriaMetrics may still be at it
        await asyncio.sleep(0.2)
        found = await read(adapter, names, base_s, base_s + 400)
    assert [len(s.value) for s in found] == [400] * 250
    same(adapter, found[137].value, value[index == 137])
    same(
        adapter,
        np.concatenate([s.value for s in found]).sum(),
        np.concatenate([value[index == i] for i in range(250)]).sum(),
    )


async def test_nothing_is_asked_and_nothing_is_given(adapter, base_s):
    """An empty batch, no points, an empty or backward span: empty answers, no error."""
    result = await adapter.store.write(SampleBatch.of([]))
    assert (result.accepted, result.rejected) == (0, ())
    assert await read(adapter, [], base_s, base_s + 10) == []
    for end_s in (base_s, base_s - 10):
        (series,) = await read(adapter, ["a/x"], base_s, end_s)
        assert len(series.value) == 0
    with pytest.raises(ConfigError, match="median"):
        await read(adapter, ["a/x"], base_s, base_s + 60, 60.0, "median")


async def test_impossible_times_are_refused_by_name(adapter, base_s):
    """What can't be kept is rejected with its place and reason, and what stands beside it is kept."""
    far = time.time() + 30 * 86_400
    rows = [("a/x", -5.0, 1.0), ("a/ok", base_s, 2.0), ("a/x", math.nan, 1.0), ("a/x", 9.9e9, 1.0), ("a/far", far, 4.0)]
    result = await adapter.store.write(batch(*rows))
    expected = {0, 2, 3} | ({4} if adapter.future_s else set())
    assert set(result.rows) == expected
    assert result.accepted == 5 - len(expected)
    assert all("a/" in reason and "time" in reason for reason in result.rejected)
    ok, away = await read(adapter, ["a/ok", "a/far"], 0, far + 60)
    assert ok.value.tolist() == [2.0]
    assert len(away.value) == (0 if adapter.future_s else 1)


async def test_old_samples_are_kept_where_the_server_keeps_them(adapter):
    """Ten years ago is a time like any other."""
    old_s = 1_420_070_400.0
    assert (await adapter.store.write(batch(("a/x", old_s, 1.5)))).accepted == 1
    (series,) = await read(adapter, ["a/x"], old_s - 10, old_s + 10)
    assert (series.time_s.tolist(), series.value.tolist()) == ([old_s], [1.5])


async def test_a_restart_keeps_what_was_taken(adapter, base_s):
    """Killed where `durable_on_ack` is claimed, ended in an orderly way where not: every sample is there afterwards."""
    await adapter.store.write(batch(*(("a/x", base_s + i, float(i)) for i in range(5000))))
    before = await adapter.store.started_s()
    await adapter.restart()
    (series,) = await read(adapter, ["a/x"], base_s, base_s + 5000)
    assert series.value.tolist() == list(map(float, range(5000)))
    after = await adapter.store.started_s()
    assert (before is None) == (after is None) == ("durable_on_ack" in adapter.store.capabilities)
    assert before is None or after > before


async def test_no_number_is_bad_whatever_it_was_called(adapter, base_s):
    """An UNCERTAIN row without a number comes back as BAD, with its own reasons and that it is none."""
    await adapter.store.write(batch(("a/x", base_s, math.nan, UNSURE), ("a/y", base_s, math.inf, 1)))
    one, other = await read(adapter, ["a/x", "a/y"], base_s, base_s + 10)
    assert one.code.tolist() == [quality_code(Quality.BAD, Reason.STALE | Reason.JUMP | Reason.NOT_A_NUMBER)]
    assert other.code.tolist() == [quality_code(Quality.BAD, Reason.NOT_A_NUMBER)]

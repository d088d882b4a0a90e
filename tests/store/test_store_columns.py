"""Column codecs and rollups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.errors import StoreError
from plant.samples import Quality, Reason, quality_code
from store.columns import pack, pack_floats, pack_ints, resolution_of, unpack, unpack_floats, unpack_ints
from store.rollups import Rollup, Samples, of_samples, regroup

values = st.lists(st.floats(allow_infinity=False) | st.integers(-400, 9000).map(lambda n: n * 0.01))


@given(st.lists(st.integers(-(2**60), 2**60)))
def test_integers_come_back(numbers):
    """Any column of integers is read back as it was."""
    assert unpack_ints(pack_ints(np.array(numbers, np.int64))).tolist() == numbers


@given(values)
def test_floats_come_back_exactly(numbers):
    """Any column of floats, NaN included, is read back bit by bit (save the sign of zero)."""
    column = np.array(numbers, np.float64)
    np.testing.assert_array_equal(unpack_floats(pack_floats(column)), column)


@pytest.mark.parametrize(
    ("raw", "to_si"),
    [(0.01, 1.0), (0.1, 1000.0), (0.01, 0.01), (1.0, 1.0), (1.0, 1 / 60_000)],
    ids=["centidegree", "decikilopascal", "centipercent", "watt", "litre a minute"],
)
def test_register_values_are_kept_as_counts(raw, to_si):
    """What a 16-bit register yields in SI is recognised as counts of a resolution, so that it packs small."""
    column = np.arange(2000, 2360) * (raw * to_si)
    assert resolution_of(column) is not None
    assert len(pack([pack_floats(column)])) < 200


@pytest.mark.parametrize("damage", [slice(0, 5), slice(10, 20)])
def test_a_damaged_blob_is_a_store_error(damage):
    """A flipped blob raises, and is never decoded to wrong numbers."""
    blob = bytearray(pack([pack_ints(np.arange(1000, dtype=np.int64) ** 2)]))
    blob[damage] = bytes(len(blob[damage]))
    with pytest.raises(StoreError, match="damaged"):
        unpack(bytes(blob))


rows = st.lists(
    st.tuples(st.integers(0, 7_199_999), st.floats(-1e6, 1e6) | st.just(float("nan")), st.sampled_from([0, 1, 2, 6])),
    min_size=1,
    unique_by=lambda row: row[0],
).map(sorted)


@given(rows)
def test_rollups_of_rollups_equal_rollups_of_samples(rows):
    """Quarter hours made from minutes say the same as those made from samples."""
    time, value, code = (np.array(c) for c in zip(*rows, strict=True))
    base = of_samples(Samples(time, value.astype(float), code))
    direct, twice = regroup(base, 900_000), regroup(regroup(base, 60_000), 900_000)
    for name in ("time_ms", "n", "low", "high", "last", "code"):
        np.testing.assert_array_equal(getattr(direct, name), getattr(twice, name), err_msg=name)
    np.testing.assert_allclose(direct.mean, twice.mean, rtol=1e-9, atol=1e-6)


@given(rows)
def test_rollups_match_plain_arithmetic(rows):
    """n, mean, min, max and last of a bucket are those of its values; the worst quality wins."""
    time, value, code = (np.array(c) for c in zip(*rows, strict=True))
    got = regroup(of_samples(Samples(time, value.astype(float), code)), 900_000)
    for i, start in enumerate(got.time_ms):
        inside = [r for r in rows if start <= r[0] < start + 900_000]
        present = [v for _, v, _ in inside if not np.isnan(v)]
        assert got.n[i] == len(present)
        assert got.code[i] & 3 == max(c & 3 for *_, c in inside)
        if present:
            assert (got.low[i], got.high[i], got.last[i]) == (min(present), max(present), present[-1])
            assert got.mean[i] == pytest.approx(sum(present) / len(present), rel=1e-9, abs=1e-6)
        else:
            assert np.isnan([got.mean[i], got.low[i], got.high[i], got.last[i]]).all()


def test_packed_means_are_off_by_less_than_the_device_resolves():
    """A packed rollup keeps extremes exactly and means within 1/64 of the device's resolution."""
    rng = np.random.default_rng(1)
    time = np.arange(0, 3_600_000, 10_000)
    value = np.round(4000 + np.cumsum(rng.normal(0, 3, len(time)))) * 0.01
    exact = regroup(of_samples(Samples(time, value, np.zeros(len(time), np.int64))), 60_000)
    back = Rollup.unpack(exact.pack())
    np.testing.assert_array_equal(back.low, exact.low)
    np.testing.assert_array_equal(back.high, exact.high)
    np.testing.assert_allclose(back.mean, exact.mean, atol=0.01 / 64 * 1.001)


def test_good_time_excludes_bad_samples_and_gaps():
    """Seconds good count only GOOD samples, and a gap counts for at most three spacings."""
    bad = quality_code(Quality.BAD, Reason.STUCK)
    time = np.array([0, 10_000, 20_000, 30_000, 600_000, 610_000])
    code = np.array([0, 0, bad, 0, 0, 0])
    got = regroup(of_samples(Samples(time, np.ones(6), code)), 900_000)
    assert got.good_ms.tolist() == [10_000 + 10_000 + 30_000 + 10_000 + 10_000]

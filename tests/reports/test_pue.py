"""Promises of the energy account: registers to kWh, kWh to PUE."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.ports import Series
from plant.samples import Quality, Reason, quality_code
from reports.pue import ReportError, common_interval, pue, register_energy

KWH = 3.6e6


def _series(times, kwh, codes=None):
    return Series(
        point="m/energy_import",
        time_s=np.asarray(times, dtype=np.float64),
        value=np.asarray(kwh, dtype=np.float64) * KWH,
        code=np.zeros(len(times), np.int32) if codes is None else np.asarray(codes, dtype=np.int32),
    )


def _kwh(series, start_s, end_s, **declared):
    return register_energy(series, start_s, end_s, max_gap_s=60, **declared).energy_j / KWH


@pytest.mark.parametrize(
    ("total", "it", "expected"),
    [
        ([1100, 200], [1000, 100], 1300 / 1100),  # not the mean of ratios, 1.55
        ([1200], [1000], 1.2),
        ([1200], [980], 1.2245),
        ([1200], [970], 1.2371),
        ([11.4e6], [10e6], 1.14),
        ([1150], [1000], 1.15),
        ([1040], [900], 1.1556),
    ],
)
def test_pue_is_sum_over_sum(total, it, expected):
    """The published test vectors come out, and several intervals are summed before they are divided."""
    assert pue(total, it) == pytest.approx(expected, abs=5e-5)


def test_impossible_meters_are_refused():
    """No IT energy, or more of it than the site used, gives an error and no number."""
    with pytest.raises(ReportError, match="no energy"):
        pue([5.0], [0.0])
    with pytest.raises(ReportError, match="less than its IT energy"):
        pue([5.0], [6.0])


def test_boundary_values_are_interpolated():
    """An interval that begins and ends between readings gets its share of both."""
    assert _kwh(_series([0, 10, 20, 30], [100, 110, 120, 130]), 5, 22) == pytest.approx(17)


def test_a_hole_in_the_readings_loses_no_energy_but_is_named():
    """The register counted on: exact energy, lower coverage, and a gap filled by its difference."""
    energy = register_energy(_series([0, 10, 500, 510], [0, 1, 50, 51]), 0, 510, max_gap_s=60)
    assert energy.energy_j / KWH == pytest.approx(51)
    [gap] = energy.gaps
    assert (gap.how, gap.start_s, gap.end_s, gap.energy_j / KWH) == ("register_difference", 10, 500, 49)
    assert energy.good_fraction == pytest.approx(20 / 510)


def test_a_declared_rollover_is_counted_through():
    """At its declared end a register starts again from zero and no energy is lost."""
    energy = register_energy(_series([0, 10, 20], [998, 999.5, 1.5]), 0, 20, max_gap_s=60, rollover_j=1000 * KWH)
    assert energy.energy_j / KWH == pytest.approx(3.5)
    assert (energy.rollovers, energy.gaps) == (1, ())


def test_a_declared_replacement_counts_from_zero():
    """A new meter begins at zero from the time declared."""
    energy = register_energy(_series([0, 10, 20], [998, 999, 2]), 0, 20, max_gap_s=60, replaced_s=[15])
    assert energy.energy_j / KWH == pytest.approx(3)
    assert energy.replacements == 1


@pytest.mark.parametrize("declared_s", [-3600, 0, 9, 15, 60, 80_000])
def test_a_replacement_may_be_declared_to_the_day(declared_s):
    """People note the day: the fall next to the declared time is the replacement, and no old reading counts from zero."""
    readings = _series([0, 10, 20, 30], [998, 999, 2, 3])
    energy = register_energy(readings, 0, 30, max_gap_s=60, replaced_s=[declared_s])
    assert energy.energy_j / KWH == pytest.approx(4)
    assert (energy.replacements, energy.unfilled(0, 30)) == (1, [])


def test_a_replacement_that_no_reading_shows():
    """Declared without a fall: a meter that went on counting is not counted anew, one that counted more since is."""
    went_on = register_energy(_series([0, 10, 20], [998, 999, 1000]), 0, 20, max_gap_s=60, replaced_s=[15])
    assert (went_on.energy_j / KWH, went_on.replacements) == (pytest.approx(2), 0)
    new = register_energy(_series([0, 10, 1010], [4, 5, 90]), 0, 1010, max_gap_s=60, replaced_s=[15])
    assert (new.energy_j / KWH, new.replacements) == (pytest.approx(91), 1)


def test_a_second_hand_meter_is_not_counted_from_zero():
    """It showed more than can have been counted meanwhile: that step counts nothing, and is a replacement."""
    energy = register_energy(_series([0, 10, 20, 30], [998, 999, 700, 701]), 0, 30, max_gap_s=60, replaced_s=[15])
    assert (energy.energy_j / KWH, energy.replacements) == (pytest.approx(2), 1)


@pytest.mark.parametrize("rollover_kwh", [None, 5000])
def test_a_register_that_goes_back_undeclared_is_an_unfilled_gap(rollover_kwh):
    """Nothing is invented where a register falls for no declared reason, nor for a roll-over far from its end."""
    rollover_j = None if rollover_kwh is None else rollover_kwh * KWH
    energy = register_energy(_series([0, 10, 20, 30], [90, 100, 40, 50]), 0, 30, max_gap_s=60, rollover_j=rollover_j)
    assert energy.energy_j / KWH == pytest.approx(20)
    assert [(g.how, g.start_s, g.end_s) for g in energy.unfilled(0, 30)] == [("unfilled", 10, 20)]
    assert energy.unfilled(20, 30) == []


def test_only_good_readings_count():
    """UNCERTAIN, BAD and NaN readings are left out, backfilled good ones are not."""
    bad, unsure = quality_code(Quality.BAD, Reason.RANGE), quality_code(Quality.UNCERTAIN, Reason.JUMP)
    late = quality_code(Quality.GOOD, Reason.BACKFILL)
    series = _series([0, 10, 20, 30, 40], [0, 900, np.nan, 3, 4], [0, bad, 0, late, unsure])
    energy = register_energy(series, 0, 30, max_gap_s=60)
    assert energy.energy_j / KWH == pytest.approx(3)


def test_what_the_readings_do_not_span_is_not_invented():
    """An interval longer than the readings gets energy only from the part that they span, and says so."""
    energy = register_energy(_series([100, 110], [0, 1]), 0, 200, max_gap_s=60)
    assert (energy.start_s, energy.end_s) == (100, 110)
    assert [g.how for g in energy.gaps] == ["unfilled", "unfilled"]
    with pytest.raises(ReportError, match="fewer than two good readings"):
        register_energy(_series([100, 110], [0, 1]), 200, 300, max_gap_s=60)
    with pytest.raises(ReportError, match="fewer than two good readings"):
        register_energy(_series([], []), 0, 300, max_gap_s=60)


def test_meters_need_a_time_in_common():
    """Numerator and denominator are taken over one interval, or not at all."""
    early = register_energy(_series([0, 50], [0, 1]), 0, 200, max_gap_s=60)
    late = register_energy(_series([40, 110], [0, 1]), 0, 200, max_gap_s=60)
    never = register_energy(_series([120, 130], [0, 1]), 0, 200, max_gap_s=60)
    assert common_interval([early, late]) == (40, 50)
    with pytest.raises(ReportError, match="no time in common"):
        common_interval([early, never])


increments = st.lists(st.floats(0, 100), min_size=3, max_size=30)


@given(increments, st.floats(0.05, 0.95), st.floats(1, 1e6))
def test_splitting_a_period_changes_nothing(steps, share, begin):
    """The parts of a period add up to the whole, wherever it is cut, and the unit of the register cancels in a ratio."""
    times = np.arange(len(steps) + 1) * 10.0
    series = _series(times, begin + np.concatenate(([0.0], np.cumsum(steps))))
    cut_s = share * times[-1]
    whole = _kwh(series, 0, times[-1])
    assert _kwh(series, 0, cut_s) + _kwh(series, cut_s, times[-1]) == pytest.approx(whole, abs=1e-6)
    assert whole == pytest.approx(sum(steps), abs=1e-6)


@given(increments, st.floats(0, 990))
def test_rollover_never_changes_the_energy(steps, begin):
    """The same load on a register that rolls over gives the same energy as on one that does not."""
    kwh = begin + np.concatenate(([0.0], np.cumsum(steps)))
    times = np.arange(len(kwh)) * 10.0
    plain = _kwh(_series(times, kwh), 3, times[-1] - 4)
    rolled = _kwh(_series(times, kwh % 1000), 3, times[-1] - 4, rollover_j=1000 * KWH)
    assert rolled == pytest.approx(plain, abs=1e-6)


def test_a_reset_far_from_the_registers_end_is_no_roll_over():
    """A meter that begins anew at 600 of 1,000 MWh has not counted 400 MWh in ten seconds."""
    series = _series([0, 10, 20, 30], [600_000, 600_001, 0, 1])
    energy = register_energy(series, 0, 30, max_gap_s=60, rollover_j=1e6 * KWH)
    assert (energy.energy_j / KWH, energy.rollovers) == (pytest.approx(2), 0)
    assert [(g.start_s, g.end_s) for g in energy.unfilled(0, 30)] == [(10, 20)]


def test_a_roll_over_in_a_long_gap_is_counted_where_the_load_explains_it():
    """Weeks without readings: as much as the meter counts in that time is no reset."""
    series = _series([0, 10, 400_010, 400_020], [700, 700.01, 99, 99.01])
    energy = register_energy(series, 0, 400_020, max_gap_s=60, rollover_j=1000 * KWH)
    assert (energy.energy_j / KWH, energy.rollovers) == (pytest.approx(399.01), 1)


def test_readings_of_two_kinds_have_gaps_of_their_own():
    """Values of quarters of an hour, then one each ten seconds: only the hole in the latter is a gap."""
    times = [0, 900, 1800, 2700, 2710, 2720, 2900, 2910]
    energy = register_energy(_series(times, np.array(times) / 100), 0, 2910, max_gap_s=60, coarse=(2700, 1800))
    assert [(g.start_s, g.end_s) for g in energy.gaps] == [(2720, 2900)]

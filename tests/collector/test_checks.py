"""Quality checks on columns: single rows, chains of samples, and the promise that batches don't matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.judge import Judge
from collector.rules import Rule
from plant.samples import Quality, Reason, SampleBatch, quality_code, split_code

RULES = {"a/t": Rule(minimum=0.0, maximum=90.0, max_jump=10.0, period_s=2.0)}
NOW = 1_800_000_000.0
GOOD = (Quality.GOOD, Reason.NONE)
STUCK = (Quality.UNCERTAIN, Reason.STUCK)


def judged(value, *, time_s=NOW, code=0, before=(), point="a/t"):
    """One sample through the checks, after (time, value) ones `before`: all found, and its quality and reason."""
    judge = Judge(RULES, RULES)
    if before:
        judge.judge(SampleBatch.of([(point, t, t, v, 0) for t, v in before]))
    checked = judge.judge(SampleBatch.of([(point, time_s, NOW, value, code)]))
    quality, reason = split_code(int(checked.batch.code[0]))
    return checked, quality, reason


def verdicts(judge, rows):
    """(quality, reason) of each (point, time, value) row, judged in one call."""
    batch = SampleBatch.of([(p, NOW + t, NOW + t, v, 0) for p, t, v in rows])
    return [split_code(code) for code in judge.judge(batch).batch.code.tolist()]


@pytest.mark.parametrize(
    ("value", "quality", "reason"),
    [
        (40.0, Quality.GOOD, Reason.NONE),
        (math.nan, Quality.BAD, Reason.NOT_A_NUMBER),
        (90.1, Quality.BAD, Reason.RANGE),
        (-0.1, Quality.BAD, Reason.RANGE),
        (math.inf, Quality.BAD, Reason.RANGE),
    ],
)
def test_impossible_values_are_bad(value, quality, reason):
    """A value that can't be is stored as NaN with the reason, and what came is kept for the report."""
    checked, *found = judged(value)
    assert found == [quality, reason]
    assert math.isnan(checked.batch.value[0]) == (quality is Quality.BAD)
    assert checked.raw[0] == value or math.isnan(value)


@pytest.mark.parametrize(
    ("gap_s", "step", "jumped"), [(2, 9, False), (2, 11, True), (1, 11, True), (6, 29, False), (6, 31, True)]
)
def test_jumps_are_uncertain_not_lost(gap_s, step, jumped):
    """More than max_jump per period is marked and kept; a longer gap allows more."""
    checked, quality, reason = judged(20.0 + step, before=[(NOW - gap_s, 20.0)])
    assert (quality, reason) == ((Quality.UNCERTAIN, Reason.JUMP) if jumped else GOOD)
    assert checked.batch.value[0] == 20.0 + step


@pytest.mark.parametrize(
    ("offset_s", "marked", "clamped"),
    [(299, False, False), (301, True, True), (1e9, True, True), (-86_399, False, False), (-86_401, True, False)],
)
def test_wrong_clocks_are_marked(offset_s, marked, clamped):
    """A future time becomes the receive time, a very old one stays; both are marked."""
    checked, quality, reason = judged(40.0, time_s=NOW + offset_s)
    assert (reason is Reason.CLOCK, quality is Quality.UNCERTAIN) == (marked, marked)
    assert checked.batch.time_s[0] == (NOW if clamped else NOW + offset_s)


def test_a_sample_that_came_bad_keeps_its_reason():
    """No communication is not also called not-a-number."""
    _, quality, reason = judged(math.nan, code=quality_code(Quality.BAD, Reason.NO_COMM))
    assert (quality, reason) == (Quality.BAD, Reason.NO_COMM)


def test_points_without_bounds_take_any_number():
    """No rule, no verdict; not-a-number is bad all the same."""
    assert judged(1e12, point="b/x")[1] is Quality.GOOD
    assert judged(math.nan, point="b/x")[1] is Quality.BAD


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_good_is_always_a_possible_number(values):
    """Whatever comes, what is GOOD or UNCERTAIN is finite and in range, and what is BAD is NaN."""
    batch = SampleBatch.of([("a/t", NOW + i, NOW, v, 0) for i, v in enumerate(values)])
    checked = Judge(RULES, RULES).judge(batch)
    for value, bad in zip(checked.batch.value, checked.bad, strict=True):
        assert math.isnan(value) if bad else 0 <= value <= 90


def test_the_same_sample_again_changes_nothing_and_another_value_of_its_time_contradicts():
    """A message that is sent twice is idempotent; two values of one moment can't both be right."""
    rows = [("a/t", 0, 20.0), ("a/t", 0, 20.0), ("a/t", 0, 21.0), ("a/t", 2, 22.0)]
    assert verdicts(Judge(RULES, RULES), rows) == [GOOD, GOOD, (Quality.UNCERTAIN, Reason.DUPLICATE), GOOD]


def test_a_late_sample_is_no_jump():
    """What arrives out of order is compared with nothing, and nothing with it."""
    assert verdicts(Judge(RULES, RULES), [("a/t", 10, 20.0), ("a/t", 5, 80.0), ("a/t", 12, 21.0)]) == [GOOD] * 3


WATCHED = {
    "r/t": Rule(quantum=0.1, max_age_s=30.0, witness="r/p", move_share=0.2),
    "r/p": Rule(max_age_s=30.0),
}


def test_a_clock_that_was_set_back_begins_the_chain_anew():
    """After an hour back jumps are found as before, not only when the old time is reached again."""
    judge, jump = Judge(RULES, RULES), (Quality.UNCERTAIN, Reason.JUMP)

    def at(time_s, value):
        batch = SampleBatch.of([("a/t", time_s, time_s, value, 0)])
        return split_code(int(judge.judge(batch).batch.code[0]))

    assert [at(NOW, 20.0), at(NOW + 1, 60.0)] == [GOOD, jump]
    assert [at(NOW - 3600, 20.0), at(NOW - 3599, 60.0), at(NOW - 3598, 60.0)] == [GOOD, jump, GOOD]


def run_of(seconds, *, value=30.0, power=100.0, start=0):
    """Rows every 10 s in which the temperature stays and the witness shows `power`."""
    times = range(start, start + seconds, 10)
    return [row for t in times for row in (("r/p", t, power + 0.001 * t), ("r/t", t, value))]


def stuck_at(judge, rows):
    """Times at which the temperature was called stuck."""
    found = verdicts(judge, rows)
    return [t for (point, t, _), verdict in zip(rows, found, strict=True) if point == "r/t" and verdict == STUCK]


def test_a_sensor_that_stays_while_its_witness_moves_is_stuck():
    """Ten minutes the same, although the power doubled: UNCERTAIN until the value moves again."""
    judge = Judge(WATCHED, WATCHED)
    rows = run_of(300) + run_of(600, power=200.0, start=300) + [("r/t", 900, 31.0)]
    found = stuck_at(judge, rows)
    assert found[0] == 610
    assert 900 not in found
    assert found == sorted(set(found))


def test_a_quiet_plant_is_not_stuck():
    """A day without a change of load: a well-held temperature may stay for as long as it likes."""
    assert stuck_at(Judge(WATCHED, WATCHED), run_of(86_400, power=1000.0)) == []


def test_less_than_a_quantum_is_no_movement():
    """A register that flickers below the sensor's resolution is stuck all the same."""
    rows = run_of(300) + run_of(600, power=200.0, start=300)
    rows = [(p, t, v + 0.02 * (t % 20 == 0)) if p == "r/t" else (p, t, v) for p, t, v in rows]
    assert stuck_at(Judge(WATCHED, WATCHED), rows)


def test_silence_ends_a_run():
    """What was not seen for longer than its age is not known to have stayed the same."""
    assert stuck_at(Judge(WATCHED, WATCHED), run_of(300) + run_of(590, power=200.0, start=350)) == []


def test_the_longest_natural_run_is_learned_from_quiet_times():
    """After a healthy run of 1,000 s the alarm comes at 3,000 s; a run that was called stuck teaches nothing."""
    judge = Judge(WATCHED, WATCHED)
    stuck_at(judge, [*run_of(1010), ("r/t", 1010, 31.0), ("r/t", 1020, 32.0)])
    for start, value in ((2000, 33.0), (12_000, 34.0)):
        rows = run_of(500, value=value, start=start) + run_of(4000, value=value, power=200.0, start=start + 500)
        assert stuck_at(judge, rows)[0] == start + 3010


def test_a_declared_natural_run_is_taken_as_it_is():
    """`natural_run_s` in the profile rules, whatever was seen."""
    rules = WATCHED | {"r/t": Rule(max_age_s=30.0, natural_run_s=400.0, witness="r/p", move_share=0.2)}
    judge = Judge(rules, rules)
    stuck_at(judge, run_of(3000))
    rows = run_of(500, value=31.0, start=3000) + run_of(2000, value=31.0, power=200.0, start=3500)
    assert stuck_at(judge, rows)[0] == 3000 + 1210


COUNTER = {"m/e": Rule(counter=True, rolls_over_at=1000.0, max_jump=50.0, period_s=10.0)}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (990.0, 5.0, Reason.NONE),
        (400.0, 5.0, Reason.JUMP),
        (990.0, 500.0, Reason.JUMP),
        (400.0, 430.0, Reason.NONE),
    ],
)
def test_a_counter_may_roll_over_but_not_fall(before, after, reason):
    """From near its end to near its start is a roll-over; any other fall is a meter that was set back."""
    assert verdicts(Judge(COUNTER, COUNTER), [("m/e", 0, before), ("m/e", 10, after)])[1][1] is reason


MIXED = {
    "a/t": Rule(minimum=-50.0, maximum=90.0, max_jump=3.0, period_s=100.0),
    "r/t": Rule(quantum=1.0, max_age_s=2000.0, witness="r/p", move=1.0),
    "r/p": Rule(max_jump=4.0, period_s=300.0, natural_run_s=300.0, witness="r/t", move=0.5),
    "m/e": Rule(counter=True, rolls_over_at=8.0),
}
rows_of = st.lists(
    st.tuples(
        st.sampled_from([*MIXED, "new/x"]),
        st.sampled_from([0, 0, 1, 100, 300, 700, -1, -400]),
        st.sampled_from([0.0, 0.0, 0.0, 1.0, 4.0, 7.5, 95.0, math.nan]),
        st.sampled_from(
            [0, 0, 0, quality_code(Quality.BAD, Reason.NO_COMM), quality_code(Quality.GOOD, Reason.BACKFILL)]
        ),
    ),
    min_size=1,
    max_size=60,
)


def batch_of(steps):
    """Steps in time become samples, in the order of their arrival."""
    now_s, rows = NOW, []
    for point, step_s, value, code in steps:
        rows.append((point, now_s + min(step_s, 0), now_s, value, code))
        now_s += max(step_s, 0)
    return SampleBatch.of(rows)


@settings(max_examples=150)
@given(rows_of, st.lists(st.integers(0, 60), max_size=6))
def test_how_a_stream_is_cut_into_batches_does_not_matter(steps, cuts):
    """Any split gives the codes of one call, whatever repeats, lags, or comes out of order."""
    whole = batch_of(steps)
    at_once = Judge(MIXED, MIXED).judge(whole).batch
    judge = Judge(MIXED, MIXED)
    parts = np.split(np.arange(len(whole)), sorted(cut for cut in cuts if cut < len(whole)))
    together = SampleBatch.joined([judge.judge(whole.take(rows)).batch for rows in parts])
    assert together.code.tolist() == at_once.code.tolist()
    assert together.points == at_once.points


def test_the_property_is_not_vacuous():
    """A stream of that kind holds every verdict."""
    rng = np.random.default_rng(1)
    points, times = [*MIXED, "a/t"], np.cumsum(rng.choice([0, 1, 100, 300], 4000))
    values = rng.choice([0.0, 0.0, 0.0, 0.0, 1.0, 4.0, 7.5, 95.0, math.nan], 4000)
    rows = [(points[rng.integers(5)], NOW + t, NOW + t, v, 0) for t, v in zip(times.tolist(), values, strict=True)]
    code = Judge(MIXED, MIXED).judge(SampleBatch.of(rows)).batch.code
    seen = Reason(int(np.bitwise_or.reduce(code >> 2)))
    assert seen == Reason.RANGE | Reason.STUCK | Reason.JUMP | Reason.DUPLICATE | Reason.NOT_A_NUMBER

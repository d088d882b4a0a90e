"""Promises of the guard."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actuator.guard
from actuator.guard import guard
from plant.leases import Envelope, Lease
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

ENVELOPE = Envelope(
    point="c/s", minimum=22, maximum=42, max_step=1, min_dwell_s=300, dew_point_margin_k=3,
    dew_point_points=("c/dew", "d/dew"), inputs=("c/in",), source="test",
)  # fmt: skip
LEASE = Lease(point="c/s", value=31.5, epoch=4, seq=1, issued_s=0, issued_mono_s=100, ttl_s=60)


def reading(value: float, quality: Quality = Quality.GOOD) -> Reading:
    """A reading of a value."""
    return Reading(value, 0.0, 1.0, quality, Reason.NONE)


def snapshot(**changes: Reading | None) -> Snapshot:
    """A snapshot with some readings changed or left out."""
    base: dict[str, Reading | None] = {"c/dew": reading(12), "c/in": reading(1)}
    base |= {k.replace("_", "/"): v for k, v in changes.items()}
    return Snapshot(0.0, MappingProxyType({k: v for k, v in base.items() if v is not None}))


def judge(lease=LEASE, envelope=ENVELOPE, actual=32.0, last=-math.inf, seen=None, mono_s=120.0, epoch=4):
    """Ask the guard with sound defaults."""
    return guard(lease, envelope, actual, last, seen or snapshot(), mono_s, epoch=epoch)


def test_a_proper_lease_is_allowed_as_it_is():
    """A lease inside everything is allowed unchanged."""
    assert (judge().code, judge().value) == ("allowed", 31.5)


def test_a_long_step_is_cut_with_a_note():
    """The only change the guard makes is the step's length, and the text says what was asked and allowed."""
    verdict = judge(replace(LEASE, value=36))
    assert (verdict.code, verdict.value) == ("clipped", 33.0)
    assert "36" in verdict.text
    assert "33" in verdict.text


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("wrong_point", {"lease": replace(LEASE, point="x/y")}),
        ("foreign_epoch", {"epoch": 5}),
        ("expired", {"mono_s": 160.0}),
        ("from_the_future", {"mono_s": 98.0}),
        ("not_a_number", {"lease": replace(LEASE, ttl_s=math.inf)}),
        ("not_a_number", {"lease": replace(LEASE, value=math.nan)}),
        ("not_a_number", {"lease": replace(LEASE, value=math.inf)}),
        ("out_of_range", {"lease": replace(LEASE, value=42.01)}),
        ("out_of_range", {"lease": replace(LEASE, value=21.99)}),
        ("out_of_range", {"lease": replace(LEASE, value=50), "envelope": replace(ENVELOPE, source="")}),
        ("bad_envelope", {"envelope": replace(ENVELOPE, max_step=math.nan)}),
        ("bad_envelope", {"envelope": replace(ENVELOPE, minimum=50)}),
        ("bad_envelope", {"envelope": replace(ENVELOPE, max_step=0)}),
        ("actual_unknown", {"actual": math.nan}),
        ("actual_out_of_range", {"actual": 50.0}),
        ("input_not_good", {"seen": snapshot(c_in=None)}),
        ("input_not_good", {"seen": snapshot(c_in=reading(1, Quality.UNCERTAIN))}),
        ("input_not_good", {"seen": snapshot(c_in=reading(math.nan))}),
        ("dew_point_unknown", {"seen": snapshot(c_dew=None)}),
        ("dew_point_unknown", {"seen": snapshot(c_dew=reading(12, Quality.BAD))}),
        ("dew_point", {"seen": snapshot(c_dew=reading(28.6))}),
        ("dew_point", {"seen": snapshot(d_dew=reading(28.6))}),
        ("dwell", {"last": 0.0}),
    ],
)
def test_each_reason_refuses(code, arguments):
    """Every rule refuses by its own code, and a refusal has no value that could be written by mistake."""
    verdict = judge(**arguments)
    assert (verdict.allowed, verdict.code) == (False, code)
    assert math.isnan(verdict.value)
    assert verdict.text


def test_repeating_the_actual_value_needs_no_dwell():
    """A renewal of what the device follows already is no change."""
    assert judge(replace(LEASE, value=32.0), last=119.0).allowed


def test_an_operator_needs_neither_inputs_nor_dwell_but_range_and_dew_point():
    """A person sees by other means, yet can't leave the envelope nor make the pipes sweat."""
    hand = replace(LEASE, holder="operator:ann")
    assert judge(hand, last=119.0, seen=snapshot(c_in=None)).allowed
    assert judge(replace(hand, value=43)).code == "out_of_range"
    assert judge(hand, seen=snapshot(c_dew=reading(29))).code == "dew_point"
    assert judge(hand, seen=snapshot(c_dew=None)).code == "dew_point_unknown"


def test_a_point_without_margin_ignores_the_dew_point():
    """A pressure has no dew point."""
    assert judge(envelope=replace(ENVELOPE, dew_point_margin_k=None), seen=snapshot(c_dew=None)).allowed


any_float = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=800, deadline=None)
@given(
    value=any_float | st.floats(15, 50), actual=any_float | st.floats(15, 50), issued=any_float | st.floats(0, 200),
    ttl=any_float | st.floats(0, 600), mono=any_float | st.floats(0, 400), last=any_float | st.floats(0, 400),
    dew=any_float | st.floats(0, 40), step=any_float | st.floats(0.1, 5),
    low=any_float | st.floats(15, 30), high=any_float | st.floats(30, 50),
    operator=st.booleans(), epoch=st.integers(3, 5),
)  # fmt: skip
def test_whatever_is_asked_nothing_leaves_envelope_step_or_dew_point(
    value, actual, issued, ttl, mono, last, dew, step, low, high, operator, epoch
):
    """Hostile numbers anywhere: an allowed value is finite, inside the envelope, one step away, and above the dew point."""
    holder = "operator:x" if operator else "controller"
    lease = replace(LEASE, value=value, issued_mono_s=issued, ttl_s=ttl, holder=holder, epoch=epoch)
    envelope = replace(ENVELOPE, minimum=low, maximum=high, max_step=step)
    verdict = judge(lease, envelope, actual, last, snapshot(c_dew=reading(dew)), mono)
    if not verdict.allowed:
        assert math.isnan(verdict.value)
        return
    assert low <= verdict.value <= high
    assert abs(verdict.value - actual) <= step * (1 + 1e-9) + 1e-12 * abs(actual)
    assert verdict.value >= dew + 3
    assert epoch == 4
    assert lease.live(mono)
    assert min(value, actual) <= verdict.value <= max(value, actual)


def test_the_guard_is_small_and_needs_no_numpy():
    """It stays at most 200 lines and imports nothing heavier than the vocabulary."""
    source = Path(actuator.guard.__file__).read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 200
    imported = {n.module for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)}
    assert imported == {"__future__", "dataclasses", "plant.leases", "plant.live"}

"""Promises of the guard: every boundary, every branch, every mutant, and ten thousand hostile asks."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import coverage
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import actuator.guard
from actuator.guard import guard, guard_frame

SOURCE = Path(actuator.guard.__file__)
SEEDS = 10_000
ASKS_PER_SEED = {False: 1, True: 100}


@pytest.fixture
def lease(guard_cases):
    """A proper lease."""
    return guard_cases.LEASE


@pytest.fixture
def envelope(guard_cases):
    """A proper envelope."""
    return guard_cases.ENVELOPE


def test_every_boundary(guard_cases):
    """At each boundary, and one float beyond it, the guard says what it must: code, value and words."""
    faults = [fault for case in guard_cases.cases() if (fault := case.fault(actuator.guard))]
    assert faults == []


def test_every_mutant_is_killed(guard_cases, mutants):
    """With one small fault anywhere in the guard, at least one boundary is judged otherwise."""
    cases, alive, made = guard_cases.cases(), [], 0
    for what, code in mutants.mutants(SOURCE.read_text(encoding="utf-8")):
        made += 1
        module = mutants.module_of(code)
        if not any(case.fault(module) for case in cases):
            alive.append(what)
    assert alive == []
    assert made > 150


def test_every_branch_is_covered(guard_cases, tmp_path):
    """The boundaries reach each branch of the guard both ways."""
    measured = coverage.Coverage(branch=True, include=[str(SOURCE)], data_file=None, config_file=False)
    with measured.collect():
        spec = importlib.util.spec_from_file_location("guard_measured", SOURCE)
        module = importlib.util.module_from_spec(spec)
        sys.modules["guard_measured"] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules["guard_measured"]
        assert not [fault for case in guard_cases.cases() if (fault := case.fault(module))]
    measured.json_report(outfile=str(tmp_path / "coverage.json"))
    totals = json.loads((tmp_path / "coverage.json").read_text())["totals"]
    assert totals["num_branches"] > 30
    assert (totals["missing_lines"], totals["missing_branches"], totals["percent_covered"]) == (0, 0, 100.0)


HOSTILE = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.8e308, -1.8e308, 1e16)


class Numbers:
    """Numbers as bad luck and bad faith make them: edges and their neighbours, and anything that is a float."""

    def __init__(self, chance):
        self.chance = chance

    def near(self, low, high, *edges):
        """Mostly in range or at an edge, sometimes beside it, now and then anything."""
        kind = self.chance.random()
        if kind < 0.06:
            return self.chance.choice(HOSTILE)
        if kind < 0.3 and edges:
            edge = self.chance.choice(edges)
            return math.nextafter(edge, self.chance.choice((-math.inf, edge, math.inf)))
        return self.chance.uniform(low, high)


def hostile(request, check):
    """Ten thousand asks, a million in a campaign: there a hundred for each seed, as drawing one costs far more."""
    asks = ASKS_PER_SEED[bool(request.config.getoption("--campaign"))]
    many = settings(
        max_examples=SEEDS, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    done = 0

    def of_one_seed(chance):
        nonlocal done
        for _ in range(asks):
            check(Numbers(chance))
            done += 1

    many(given(st.randoms(use_true_random=True))(of_one_seed))()
    assert done == SEEDS * asks


def test_whatever_is_asked_nothing_leaves_envelope_step_dwell_or_dew_point(request, guard_cases, lease, envelope):
    """Hostile numbers anywhere: an allowed value is finite, inside the envelope, one step away, dwelt and dry."""
    codes = set()

    def check(some):
        low, high = some.near(15, 30, 22.0), some.near(30, 50, 42.0)
        step, dwell = some.near(0.1, 5, 1.0), some.near(0, 600, 300.0)
        actual, mono, last = some.near(low, high, 22.0, 42.0), some.near(100, 400, 100.0, 160.0), some.near(-400, 400)
        value, dew = some.near(low, high, low, high, actual, actual + step), some.near(0, 30, actual - 3.0)
        operator, epoch = some.chance.random() < 0.3, some.chance.choice((4, 4, 4, 4, 3, 5))
        asked = replace(
            lease, value=value, issued_mono_s=some.near(0, 200, mono, mono + 1.0), ttl_s=some.near(0, 600, 60.0),
            holder="operator:x" if operator else "controller", epoch=epoch,
        )  # fmt: skip
        within = replace(envelope, minimum=low, maximum=high, max_step=step, min_dwell_s=dwell)
        seen = guard_cases.snapshot(c_dew=guard_cases.reading(dew))
        verdict = guard(asked, within, actual, last, seen, mono, epoch=4)
        codes.add(verdict.code)
        if not verdict.allowed:
            assert math.isnan(verdict.value)
            return
        assert low <= verdict.value <= high
        assert abs(verdict.value - actual) <= step * (1 + 1e-9) + 1e-12 * abs(actual)
        assert verdict.value >= dew + 3
        assert operator or verdict.value == actual or mono - last >= dwell
        assert epoch == 4
        assert asked.live(mono)
        assert min(value, actual) <= verdict.value <= max(value, actual)

    hostile(request, check)
    assert {"allowed", "clipped", "dwell", "dew_point", "out_of_range", "actual_out_of_range", "expired"} <= codes


def test_no_frame_leaves_that_says_something_else(request, envelope):
    """Whatever a frame says: if it may leave, it is what was meant, to the register's resolution, inside the envelope."""
    codes = set()

    def check(some):
        meant, within = some.near(22, 42, 22.0, 42.0), some.near(0, 1, 0.005, 1.0)
        factor = some.chance.choice((1.0, 1.0, 1.0, 10.0, 0.1, 1.8, 1e3, 1e-3, -1.0, 6.894757, some.near(0.9, 1.1)))
        said = meant * factor + some.near(-1, 1, 0.0, within, -within)
        verdict = guard_frame(meant, said, envelope, within)
        codes.add(verdict.code)
        if verdict.allowed:
            assert abs(said - meant) <= within <= envelope.max_step
            assert envelope.minimum - 2.1e-5 <= said <= envelope.maximum + 2.1e-5

    hostile(request, check)
    assert codes == {"allowed", "frame_mismatch"}


def test_the_guard_is_small_and_needs_no_numpy():
    """It stays at most 200 lines and imports nothing heavier than the vocabulary."""
    source = SOURCE.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 200
    imported = {n.module for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)}
    assert imported == {"__future__", "dataclasses", "plant.leases", "plant.live", "plant.sight"}

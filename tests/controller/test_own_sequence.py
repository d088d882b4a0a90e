"""Units that no stage names: what telemetry tells of their own sequence, and what a plan makes of it."""

from __future__ import annotations

from dataclasses import replace

import coldplate_test_trains as trains
import pytest

from controller.heats import Heat
from controller.own_sequence import GAP, Sequence, standing_under, watched
from controller.stage_reserve import SuddenLoad
from controller.staging import whole_plant
from controller.straying import MOST_K, STEADY
from plant.live import Snapshot

LOW_W, HIGH_W = 250e3, 850e3
TOWERS = ("tcs-1", "cooling-tower")


@pytest.fixture(scope="module")
def own():
    """Three trains that the building switches."""
    return trains.all_on(trains.trains(3))


def hall_of(site, *units, wet_bulb_c=15.0):
    """One in which only these run."""
    hall = trains.Hall(site, wet_bulb_c=wet_bulb_c)
    hall.enabled = set(units)
    return hall


def first(count):
    """The first trains, without their chillers."""
    return [f"{name}-{n + 1}" for name in ("tower", "economiser", "pump") for n in range(count)]


def test_one_more_is_expected_from_the_heat_at_which_one_was_started():
    """Of 2.0 MW a second, of 3.0 MW a third: from 2 MW each; what never ran at once is not expected."""
    grown = Sequence(1, 1, 1e6).seen(2, 0, 2e6)
    assert [grown.expected(0, w) for w in (1e6, 1.9e6, 2.1e6, 9e6)] == [2, 2, 2, 2]
    back = grown.seen(3, 0, 3e6).seen(1, 0, 0.5e6)
    assert back.most == 3
    assert [back.expected(0, w) for w in (1e6, 2.1e6, 4.1e6, 9e6)] == [1, 2, 3, 3]
    assert back.expected(1, 4.1e6) == 2, "one of the kind that is switched here carries its part"
    assert Sequence(1, 3, 1e6).expected(0, 9e6) == 1, "it was never seen to start one"


def test_a_stop_tells_too_but_not_one_after_a_fall():
    """Two that do for 1.5 MW start a third at a usual gap above it; with the heat gone a stop tells nothing."""
    steady = Sequence(3, 3, 1.6e6).seen(2, 0, 1.5e6)
    assert steady.starts_w == (GAP * 0.75e6,)
    assert Sequence(3, 3, 1.6e6).seen(2, 0, 0.8e6).starts_w == ()


@pytest.mark.parametrize("told", ["running", "flow"])
def test_what_is_seen_standing_does_not_count(own, told):
    """By its run state, or by its flow where it tells none; unless it is a kind that stands altogether."""
    hall = hall_of(own, *first(1))
    shown = hall.snapshot(LOW_W)
    if told == "flow":
        still = {
            f"{u}/flow": replace(shown.readings[f"{u}/running"], value=0.0) for u in set(hall.units) - hall.enabled
        }
        readings = {
            p: r for p, r in shown.readings.items() if not p.endswith(("/running", "/effective_enable_command"))
        }
        shown = Snapshot(at_s=shown.at_s, readings=readings | still)
    stands = standing_under(own, shown, own.groups["tcs-1"], {}, 0.0)
    assert stands == {f"{name}-{n}" for name in ("tower", "economiser", "pump") for n in (2, 3)}
    nothing = hall_of(own).snapshot(LOW_W)
    assert not standing_under(own, nothing, own.groups["tcs-1"], {}, 0.0)


def test_staged_units_are_left_to_staging():
    """What a stage names is staging's, whatever it shows."""
    site = trains.trains(3)
    shown = hall_of(site, *first(1)).snapshot(LOW_W)
    assert not standing_under(site, shown, site.groups["tcs-1"], {}, 0.0)


def test_what_was_seen_to_start_is_expected_under_more_heat(own):
    """One train by night and three by day, looked at: by night limits count on three, costs on one."""
    group, known = own.groups["tcs-1"], {}
    for count, heat_w in ((1, LOW_W), (2, HIGH_W), (3, HIGH_W), (1, LOW_W)):
        shown = hall_of(own, *first(count)).snapshot(heat_w)
        known = watched(known, own, shown, {"tcs-1": Heat(heat_w)})
    assert known[TOWERS].most == 3
    assert "tower-2" in standing_under(own, shown, group, known, 0.0)
    assert "tower-2" in standing_under(own, shown, group, known, 0.9 * LOW_W)
    resting = standing_under(own, shown, group, known, 2.1 * HIGH_W)
    assert not {u for u in resting if u.startswith("tower-")}
    assert not watched({}, own, shown, {"tcs-1": Heat(float("nan"))})


def test_a_plan_counts_what_runs(own):
    """With one train of three its fans have all to do: the same setpoints cost more than with three."""
    costs_w = []
    for count in (1, 3):
        hall = hall_of(own, *first(count), wet_bulb_c=18.0)
        costs_w.append(hall.decide([LOW_W] * 120).plan.predicted_cooling_w)
    assert costs_w[0] != pytest.approx(costs_w[1], rel=0.02)


def test_beside_units_that_stand_nothing_that_stands_is_reserve():
    """Chillers that start fast are reserve for a sudden load, but where nobody here can start what they may need."""
    hall = hall_of(trains.trains(3), *first(1))
    plant = whole_plant(hall.site, hall.snapshot(LOW_W), hall.group, {}, hall.now_s)
    ready = tuple(replace(u, may_start=not u.on, stage=replace(u.stage, start_s=60.0)) for u in plant.units)
    asked = []
    for beside in (frozenset(), frozenset({"tower-4"})):
        sudden = SuddenLoad(replace(plant, units=ready, beside=beside), asked.append)
        sudden.__dict__["_share"] = 1.0
        sudden._carries = lambda on, _: asked.append(on)
        sudden.carried_by(plant.on)
    assert asked == [frozenset(u.id for u in ready), plant.on]


def test_beside_units_that_stand_a_supply_keeps_the_most():
    """Whatever was seen of it so far: four kelvin from its upper limits."""
    assert STEADY.kept_beside(frozenset()) == (0.0, 0.0)
    assert STEADY.kept_beside(frozenset({"tower-4"})) == (0.0, MOST_K)

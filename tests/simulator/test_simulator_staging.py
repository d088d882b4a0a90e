"""Switched units: commands, minimum times, and the plain sequence that stages by load."""

import pytest

from simulator.staging import LoadSequence, Switch


def units(count, **kwargs):
    """Units that stand and may start at once."""
    return [Switch(f"unit-{n}", min_on_s=600.0, min_off_s=300.0, **kwargs) for n in range(count)]


def run(sequence, load, minutes, **kwargs):
    """So many minutes at a load; how many run at the end."""
    for _ in range(minutes):
        sequence.step(60.0, load, **kwargs)
    return len(sequence.running)


def test_one_more_above_the_upper_load_one_less_below_the_lower():
    """Units follow load up and down, with room between, so that a steady load never switches."""
    sequence = LoadSequence(units(6), up_load=0.9, down_load=0.7)
    assert run(sequence, 2.6, 60) == 3
    assert run(sequence, 2.6, 600) == 3
    assert run(sequence, 5.0, 60) == 6
    assert run(sequence, 1.0, 120) == 2
    assert run(sequence, 0.0, 120) == 1, "the least runs always"


def test_starts_are_one_by_one():
    """After each start the sequence waits before it judges again."""
    sequence = LoadSequence(units(6), wait_s=300.0, patience_s=120.0)
    assert run(sequence, 6.0, 1) == 1
    assert run(sequence, 6.0, 4) == 1
    assert run(sequence, 6.0, 1) == 2


def test_what_is_commanded_is_left_alone_and_counts():
    """A commanded unit obeys its command only; the sequence stages the rest around it."""
    fleet = units(3)
    fleet[0].asked, fleet[1].asked = True, False
    sequence = LoadSequence(fleet)
    assert run(sequence, 3.0, 60) == 2
    assert [u.running for u in fleet] == [True, False, True]
    fleet[1].asked = None
    assert run(sequence, 3.0, 60) == 3


def test_minimum_times_hold_against_commands_but_not_against_a_lost_permit():
    """A command waits for the shortest time; what must not run stops now."""
    unit = Switch("unit", min_on_s=600.0, min_off_s=300.0)
    unit.asked = True
    unit.step(1.0)
    assert unit.running
    unit.asked = False
    for _ in range(599):
        unit.step(1.0)
    assert unit.running
    unit.step(1.0)
    assert not unit.running
    unit.asked = True
    unit.step(300.0)
    assert unit.running
    unit.permitted = False
    unit.step(1.0)
    assert not unit.running


def test_what_does_not_suffice_gets_help_whatever_the_load_says():
    """`short` asks for one more; a unit that may not start is passed over."""
    fleet = units(3)
    sequence = LoadSequence(fleet)
    assert run(sequence, 0.1, 60) == 1
    assert run(sequence, 0.1, 10, short=True, may=lambda unit: unit.id != "unit-1") == 2
    assert not fleet[1].running
    assert fleet[0].since_s == pytest.approx(70 * 60.0, abs=120.0)

"""What is told of a device that misses answers or refuses, and when it is withdrawn."""

from __future__ import annotations

from operator import attrgetter

import pytest

from collector.conditions import Ledger
from collector.link_health import SILENT_AFTER, Health, LinkHealth, site_seconds
from collector.wiring import Wire
from devices.profiles import load_profile
from plant.clock import ManualClock, ScaledClock

PROFILE = load_profile("generic-power-meter")


class Silences:
    """Keeps what is marked."""

    def __init__(self):
        self.marked = []

    def take_values(self, points, values):
        """Nothing is read here."""

    def take_silence(self, points):
        """Points whose device is silent."""
        self.marked.append(points)


class Rig:
    """Links to one equipment, with one device each."""

    def __init__(self, *links):
        self.ledger, self.intake, self.clock = Ledger(), Silences(), ManualClock()
        self.links = [LinkHealth(name, f"{name}:502", self.clock, self.ledger, attrgetter("unit")) for name in links]
        wire = Wire("meter", PROFILE, 7, "meter")
        self.devices = [Health(link, [wire], lambda w: [f"{w.equipment}/power"], self.intake) for link in self.links]

    def codes(self):
        """Conditions that stand."""
        return [c.code for c in self.ledger.all()]


def test_silence_is_told_after_two_missed_answers_and_marked_once():
    """One lost packet alarms nobody; the next ones do, with endpoint, unit and cause."""
    rig = Rig("a")
    (device,) = rig.devices
    device.unanswered("no answer")
    assert (rig.codes(), rig.intake.marked) == ([], [])
    for _ in range(3):
        device.unanswered("no answer")
    assert rig.codes() == ["device_silent"]
    assert rig.ledger.all()[0].cause.text == "meter at a:502 unit 7 does not answer: no answer"
    assert rig.intake.marked == [["meter/power"]]
    device.answered("fast")
    assert (rig.codes(), device.missed, device.failures) == ([], 0, 4)


def test_an_answer_on_one_link_does_not_clear_the_silence_on_another():
    """An equipment with two sources: what one link hears says nothing of the device on the other."""
    rig = Rig("a", "b")
    one, other = rig.devices
    for _ in range(SILENT_AFTER):
        one.unanswered("dead")
        other.unanswered("dead too")
    one.answered("fast")
    assert rig.codes() == ["device_silent"]
    assert "at b:502" in rig.ledger.all()[0].cause.text
    one.lacks("x")
    other.lacks("")
    assert set(rig.codes()) == {"device_silent", "profile_mismatch"}
    other.answered("fast")
    one.lacks("")
    assert rig.codes() == []


def test_a_refusal_of_one_part_stands_while_the_others_answer():
    """One polling group is refused, the other is read: the condition does not come and go with the turns."""
    rig = Rig("a")
    (device,) = rig.devices
    assert device.refused_by("slow", "exception 4")
    for _ in range(3):
        device.answered("fast")
        assert rig.codes() == ["device_refused"]
        assert not device.refused_by("slow", "exception 4")
    assert device.mismatch == "exception 4"
    device.answered("slow")
    assert (rig.codes(), device.mismatch) == ([], "")


def test_a_part_that_is_no_longer_asked_for_is_no_longer_refused():
    """A group whose every register turned out to be unreadable is a mismatch, not a refusal for ever."""
    rig = Rig("a")
    (device,) = rig.devices
    device.refused_by("slow", "it knows none of the addresses")
    device.left_out("slow")
    assert rig.codes() == []


def test_a_silent_device_that_answers_with_an_exception_is_no_longer_silent():
    """It answers, though not with values: it refuses."""
    rig = Rig("a")
    (device,) = rig.devices
    for _ in range(SILENT_AFTER):
        device.unanswered("no answer")
    device.refused_by("fast", "exception 4")
    assert rig.codes() == ["device_refused"]
    assert not device.silent


def test_a_link_is_slow_when_more_than_half_of_its_polls_end_late():
    """Up, slow, mismatch with its reason, silent; since when it is so."""
    rig = Rig("a")
    (link,), (device,) = rig.links, rig.devices
    device.answered("fast")
    link.served(late=True)
    link.update(all_silent=False)
    assert link.state(5).state == "slow"
    link.served(late=False)
    rig.clock.advance(3.0)
    link.update(all_silent=False)
    assert (link.state(5).state, link.state(5).since_s, link.state(5).reads) == ("up", rig.clock.now(), 5)
    device.lacks("frequency")
    link.update(all_silent=False)
    assert (link.state(5).state, link.state(5).last_error) == (
        "mismatch",
        "the device lacks points of its profile",
    )
    link.update(all_silent=True)
    assert link.state(5).state == "silent"


def test_a_wait_for_a_wire_is_real():
    """Eight seconds are 160 on a clock that runs 20 times as fast; by hand, time stands still."""
    assert site_seconds(ScaledClock(20.0), 8.0) == pytest.approx(160.0)
    assert site_seconds(ManualClock(), 8.0) == 8.0

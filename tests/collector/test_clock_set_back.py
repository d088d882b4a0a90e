"""A host's clock that is set back by an hour: nothing stands, or is put off, for that hour."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from collector.conditions import Ledger
from collector.mqtt_link import MqttLink
from collector.sparkplug_join import SparkplugJoin
from collector.wiring import Wire
from devices import sparkplug
from devices.mqtt_wire import Message
from devices.sparkplug import Metric
from plant.clock import ManualClock
from plant.topology import Link


@pytest.fixture
def link(make_site):
    """A link of a site without equipment, its clock and its conditions."""
    of = Link(id="bms", transport="mqtt", host="127.0.0.1", port=1883)
    clock, ledger = ManualClock(), Ledger()
    return MqttLink(make_site([of], []), of, [], None, clock, ledger), clock, ledger


def test_what_was_forgiven_by_now_is(link):
    """A condition that stands for ten minutes does not stand for an hour more."""
    mqtt, clock, ledger = link
    mqtt._rows_of([Message("BMS/v1/PUB/Value/x", b"{", False, 0, 0, 0)], clock.now())
    mqtt.judge()
    assert ledger.has("unparsable_messages", "bms")
    clock.advance(-5.0)
    mqtt.judge()
    assert ledger.has("unparsable_messages", "bms"), "a clock that is put right by seconds changes nothing"
    clock.advance(-3600.0)
    mqtt.judge()
    assert not ledger.has("unparsable_messages", "bms")


def test_a_bms_that_falls_silent_is_told(link):
    """Its silence counts from when the clock was set back."""
    mqtt, clock, ledger = link
    mqtt._state, mqtt._beat_s = "up", clock.now()
    clock.advance(-3600.0)
    mqtt.judge()
    clock.advance(120.0)
    mqtt.judge()
    assert ledger.has("bms_silent", "bms")


def test_a_node_is_asked_for_its_birth_again():
    """Until then nothing of what it tells by aliases can be read."""
    asked = []
    wire = Wire("rack-01", SimpleNamespace(points=()), unit=1, object="hall/gw")
    join = SparkplugJoin([wire], asked.append)
    payload = sparkplug.decode(sparkplug.encode(1e9, [Metric(alias=1, value=1.0, datatype=sparkplug.FLOAT)], 1))
    for now_s in (1e9, 1e9 + 1.0, 1e9 - 3600.0):
        join.rows(sparkplug.parse_topic("spBv1.0/hall/NDATA/gw"), payload, now_s)
    assert asked == ["hall/gw", "hall/gw"]

"""Setpoint requests over a real broker, against a BMS written here by the contract's words and not with our code."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from actuator.guard import guard_frame
from devices import dsx_integration
from devices.dsx_device import DsxDevice
from devices.dsx_integration import BmsIntegration
from devices.mqtt import Subscriber
from devices.profiles import load_profile
from plant.clock import ScaledClock
from plant.errors import RefusedError, SilentError
from plant.leases import Envelope

pytestmark = pytest.mark.real

ENVELOPE = Envelope(point="cdu-1/bms_supply_temperature_setpoint", minimum=22, maximum=42, max_step=1, min_dwell_s=0)
REQUEST = "CDU/LiquidTemperatureSpRequest/hall/CDU-1/request"
BEAT = "System/HeartbeatTimestampIntegration/hall/coldplate/beat"
SETPOINT = "CDU/LiquidTemperature/hall/CDU-1/sp"
SPEED = 20.0


class MismatchError(Exception):
    """The guard kept a frame back."""


class Bms:
    """Offers a request, a heartbeat and its own setpoint; keeps every message of any integration."""

    def __init__(self, port, clock, *, unit="C", integration="coldplate"):
        self.clock, self.unit, self.integration, self.said = clock, unit, integration, []
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _client, _data, m: self.said.append((m.topic, json.loads(m.payload), m.retain))
        listening = threading.Event()
        self.client.on_subscribe = lambda *_: listening.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("BMS/v1/+/Value/#", qos=1)
        assert listening.wait(5)
        body = {"objectType": "CDU", "objectName": "CDU-1", "objectId": "CDU-1"}
        asked = {**body, "pointType": "LiquidTemperatureSpRequest", "engUnit": unit, "integration": integration}
        self.put(f"BMS/v1/PUB/Metadata/{REQUEST}", asked, retain=True)
        shown = {**body, "pointType": "LiquidTemperature", "engUnit": "C", "isSetpoint": True}
        self.put(f"BMS/v1/PUB/Metadata/{SETPOINT}", shown | {"processArea": ["Secondary", "Supply"]}, retain=True)
        beat = {"objectType": "System", "pointType": "HeartbeatTimestampIntegration", "integration": integration}
        self.put(f"BMS/v1/PUB/Metadata/{BEAT}", beat | {"objectName": "x", "objectId": integration}, retain=True)

    def put(self, topic, body, *, retain=False):
        """Publish at QoS 1."""
        self.client.publish(topic, json.dumps(body), qos=1, retain=retain).wait_for_publish(5)

    def value(self, topic, value, **changes):
        """Publish a value now."""
        body = {"value": value, "timestamp": round(self.clock.now() * 1000), "quality": 1}
        self.put(f"BMS/v1/PUB/Value/{topic}", body | changes)

    def beat(self):
        """Its own heartbeat."""
        self.value("System/HeartbeatTimestampBms/hall/BMS", round(self.clock.now() * 1000))

    def of(self, integration, tail):
        """What an integration said of a point, oldest first."""
        return [body for topic, body, _ in self.said if topic == f"BMS/v1/{integration}/Value/{tail}"]

    def close(self):
        """Leave."""
        self.client.disconnect()
        self.client.loop_stop()


class Desk:
    """Broker, BMS and our side of it."""

    def __init__(self, peers, broker, **bms):
        self.peers, self.broker, self.clock = peers, broker, ScaledClock(speed=SPEED)
        self.bms = Bms(broker.port, self.clock, **bms)
        self.profile = load_profile("dsx-cdu-driven")
        subscriber = Subscriber(
            "127.0.0.1", broker.port, "edge", dsx_integration.topics("coldplate"), keep_session=False
        )
        self.integration = BmsIntegration("coldplate", subscriber, self.clock, send_timeout_s=1.0)
        self.subscriber = subscriber
        self.device = self.hands("CDU-1")

    def hands(self, name, profile=None, equipment="cdu-1"):
        """The hands of an object."""
        return DsxDevice(self.integration, equipment, profile or self.profile, name, self.clock)

    async def ask(self, value, device=None):
        """A request as the actuator makes it, with the guard on the outgoing message."""

        def check(said):
            verdict = guard_frame(value, said, ENVELOPE, 4e-5)
            if not verdict.allowed:
                raise MismatchError(verdict.text)

        return await (device or self.device).write("cdu-1/bms_supply_temperature_setpoint", value, check)

    async def vouch(self, number=1):
        """The actuator's heartbeat."""
        await self.device.write("cdu-1/bms_heartbeat", float(number))


@pytest.fixture
async def open_desk(peers, real_program, tmp_path):
    """A function that opens a connected desk; the BMS has beaten once unless `silent`."""
    desks, broker, tasks = [], peers.Broker(real_program("mosquitto"), tmp_path).start(), []

    async def make(*, silent=False, **bms):
        desk = Desk(peers, broker, **bms)
        desks.append(desk)
        tasks.append(asyncio.create_task(desk.integration.run()))
        await peers.until(lambda: desk.subscriber.connected and len(desk.integration._metadata) == 3)
        if not silent:
            desk.bms.beat()
            await peers.until(lambda: desk.integration.alive)
        return desk

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for desk in desks:
        desk.bms.close()
    broker.stop()


async def test_a_request_reaches_the_bms_and_is_not_retained(open_desk, peers):
    """The request goes to the derived topic in the contract's form, is read back from the bus, and never retained."""
    desk = await open_desk()
    assert await desk.ask(31.5) == 31.5
    await peers.until(lambda: desk.bms.of("coldplate", REQUEST))
    (body,) = desk.bms.of("coldplate", REQUEST)
    assert (body["value"], body["quality"]) == (31.5, 1)
    assert abs(body["timestamp"] / 1000 - desk.clock.now()) < 20
    assert await desk.device.read_back("cdu-1/bms_supply_temperature_setpoint") == 31.5
    assert not any(retain for *_, retain in desk.bms.said)
    late = Bms(desk.broker.port, desk.clock)
    await asyncio.sleep(0.3)
    assert late.of("coldplate", REQUEST) == []
    late.close()


async def test_the_heartbeat_runs_while_somebody_vouches(open_desk, peers):
    """It beats at the contract's pace with its own time; without a word it first withdraws the request, then stops."""
    desk = await open_desk()
    await desk.ask(31.5)
    await desk.vouch()
    began = time.monotonic()
    await peers.until(lambda: any(b["quality"] == 0 for b in desk.bms.of("coldplate", REQUEST)), 10)
    site_s = (time.monotonic() - began) * SPEED
    assert dsx_integration.VOUCHED_S - 1 <= site_s <= dsx_integration.VOUCHED_S + 25
    assert desk.bms.of("coldplate", REQUEST)[-1]["value"] is None
    beats = [b["value"] / 1000 for b in desk.bms.of("coldplate", BEAT)]
    assert len(beats) >= 3
    assert beats == sorted(set(beats))
    await asyncio.sleep(1.5)
    assert [b["value"] / 1000 for b in desk.bms.of("coldplate", BEAT)] == beats
    desk.bms.beat()
    await peers.until(lambda: desk.integration.alive)
    with pytest.raises(RefusedError, match="was withdrawn"):
        await desk.vouch(2)


async def test_one_device_falls_while_another_stands(open_desk, peers):
    """The heartbeat of all goes on for the one that is vouched for; the other's request was withdrawn before."""
    desk = await open_desk()
    body = {"objectType": "CDU", "objectName": "CDU-2", "objectId": "CDU-2", "integration": "coldplate"}
    second = REQUEST.replace("CDU-1", "CDU-2")
    body |= {"pointType": "LiquidTemperatureSpRequest", "engUnit": "C"}
    desk.bms.put(f"BMS/v1/PUB/Metadata/{second}", body, retain=True)
    await peers.until(lambda: len(desk.integration._metadata) == 4)
    other = desk.hands("CDU-2", equipment="cdu-2")
    await desk.ask(31.5)
    await desk.vouch()
    await other.write("cdu-2/bms_supply_temperature_setpoint", 30.0)
    await other.write("cdu-2/bms_heartbeat", 1.0)
    for number in range(14):
        desk.bms.beat()
        await desk.vouch(number)
        await asyncio.sleep(0.3)
    assert desk.bms.of("coldplate", second)[-1]["quality"] == 0
    assert desk.bms.of("coldplate", REQUEST)[-1]["quality"] == 1
    assert desk.bms.said[-1][0].endswith(BEAT)


async def test_a_request_is_withdrawn_at_once_when_it_is_let_go(open_desk, peers):
    """Switching it off publishes no value of no quality, and the heartbeat stops with the last request."""
    desk = await open_desk()
    await desk.ask(31.5)
    await desk.vouch()
    await desk.device.write("cdu-1/bms_request_stands", 0.0)
    await peers.until(lambda: [b["quality"] for b in desk.bms.of("coldplate", REQUEST)] == [1, 0])
    beats = len(desk.bms.of("coldplate", BEAT))
    await asyncio.sleep(1.2)
    assert len(desk.bms.of("coldplate", BEAT)) == beats
    assert await desk.device.read_back("cdu-1/bms_request_stands") == 0.0


async def test_without_a_heartbeat_of_the_bms_nothing_is_asked(open_desk, peers):
    """Before its first heartbeat, with a retained one, and after it has been silent for 30 s, requests are refused."""
    desk = await open_desk(silent=True)
    stamp = {"value": 1.0, "timestamp": round(desk.clock.now() * 1000), "quality": 1}
    with pytest.raises(RefusedError, match="no heartbeat of it was heard"):
        await desk.ask(31.5)
    desk.bms.beat()
    await peers.until(lambda: desk.integration.alive)
    await desk.ask(31.5)
    await peers.until(lambda: not desk.integration.alive, 5)
    desk.bms.put("BMS/v1/PUB/Value/System/HeartbeatTimestampBms/hall/BMS", stamp | {"quality": 0})
    for act in (desk.ask(31.6), desk.vouch()):
        with pytest.raises(RefusedError, match="the BMS at"):
            await act
    assert [b["value"] for b in desk.bms.of("coldplate", REQUEST) if b["quality"]] == [31.5]


@pytest.mark.parametrize("unit", ["F", "degF"])
async def test_a_wrong_unit_never_leaves(open_desk, unit):
    """The BMS reads Fahrenheit: the message that would say 31.5 °F is kept back by the guard."""
    desk = await open_desk(unit=unit)
    with pytest.raises(MismatchError, match=r"31\.5 was meant, the frame said -0\.27"):
        await desk.ask(31.5)
    await asyncio.sleep(0.2)
    assert desk.bms.of("coldplate", REQUEST) == []


@pytest.mark.parametrize("unit", ["K", "", "kW"])
async def test_an_unknown_or_other_unit_never_leaves(open_desk, unit):
    """A unit that can't be checked, that is missing, or of another quantity."""
    desk = await open_desk(unit=unit)
    with pytest.raises((MismatchError, RefusedError)):
        await desk.ask(31.5)
    await asyncio.sleep(0.2)
    assert desk.bms.of("coldplate", REQUEST) == []


@pytest.mark.parametrize("scale", [0.1, 10.0])
async def test_a_tenfold_profile_never_leaves(open_desk, scale):
    """A profile that scales the request by ten, either way, is kept back by the guard."""
    desk = await open_desk()
    points = [
        p.model_copy(update={"scale": scale}) if p.point == "LiquidTemperatureSpRequest" else p
        for p in desk.profile.points
    ]
    wrong = desk.hands("CDU-1", desk.profile.model_copy(update={"points": tuple(points)}))
    with pytest.raises(MismatchError, match="not sent"):
        await desk.ask(31.5, wrong)
    await asyncio.sleep(0.2)
    assert desk.bms.of("coldplate", REQUEST) == []


async def test_what_is_offered_to_others_is_not_ours(open_desk):
    """A request point of another integration, or of another object, is never written."""
    desk = await open_desk(integration="MEPAI")
    with pytest.raises(RefusedError, match="offers no CDU/LiquidTemperatureSpRequest"):
        await desk.ask(31.5)
    assert [m for m in desk.bms.said if "/MEPAI/" in m[0] or "/coldplate/" in m[0]] == []


async def test_a_foreign_request_in_our_name_is_seen(open_desk, peers):
    """Somebody else who publishes in our namespace shows in the read-back."""
    desk = await open_desk()
    await desk.ask(31.5)
    assert await desk.device.read_back("cdu-1/bms_supply_temperature_setpoint") == 31.5
    foreign = {"value": 40.0, "timestamp": round(desk.clock.now() * 1000), "quality": 1}
    desk.bms.put(f"BMS/v1/coldplate/Value/{REQUEST}", foreign)
    await peers.until(lambda: desk.integration.passed(f"BMS/v1/coldplate/Value/{REQUEST}")[0] == 2)
    assert await desk.device.read_back("cdu-1/bms_supply_temperature_setpoint") == 40.0


async def test_before_a_request_the_bms_own_setpoint_is_read(open_desk, peers):
    """The confirmation is the BMS's own setpoint, never its sensor; it is NaN until there is a good one."""
    desk = await open_desk()
    assert str(await desk.device.read_back("cdu-1/bms_supply_temperature_setpoint")) == "nan"
    desk.bms.value(SETPOINT, 32.25)
    await peers.until(lambda: len(desk.integration._values) == 1)
    assert await desk.device.read_back("cdu-1/bms_supply_temperature_setpoint") == 32.25
    assert str(await desk.device.look("cdu-1/bms_tcs_supply_temperature")) == "nan"


@pytest.mark.parametrize("unit", ["furlong", "kPa"])
async def test_a_setpoint_in_a_unit_of_something_else_shows_nothing(open_desk, peers, unit):
    """What nobody knows the scale of is no value, and no fault of whoever asks for it."""
    desk = await open_desk()
    body = {"objectType": "CDU", "objectName": "CDU-1", "objectId": "CDU-1", "pointType": "LiquidTemperature"}
    body |= {"engUnit": unit, "isSetpoint": True, "processArea": ["Secondary", "Supply"]}
    desk.bms.put(f"BMS/v1/PUB/Metadata/{SETPOINT}", body, retain=True)
    desk.bms.value(SETPOINT, 32.25)
    await peers.until(lambda: len(desk.integration._values) == 1)
    assert str(await desk.device.read_back("cdu-1/bms_supply_temperature_setpoint")) == "nan"


async def test_a_broker_that_does_not_acknowledge_is_silence(open_desk, peers):
    """Without the broker a request and a word end in silence, and nothing is sent later when it is back."""
    desk = await open_desk()
    await desk.ask(31.5)
    await desk.vouch()
    desk.broker.process.send_signal(19)  # SIGSTOP: the socket takes bytes, nobody answers
    try:
        for act in (desk.ask(31.6), desk.vouch(2)):
            with pytest.raises(SilentError):
                await act
    finally:
        desk.broker.process.send_signal(18)
    await peers.until(lambda: desk.subscriber.connected, 10)
    await peers.until(lambda: desk.bms.of("coldplate", REQUEST)[-1]["quality"] == 0, 10)


async def test_a_silent_integration_neither_beats_nor_withdraws(open_desk):
    """For the failsafe test of a BMS: as if this process were gone; the next write ends the silence."""
    desk = await open_desk()
    await desk.ask(31.5)
    await desk.vouch()
    desk.device.fall_silent()
    await asyncio.sleep(0.3)
    said = len(desk.bms.said)
    await asyncio.sleep(3.0)
    assert len(desk.bms.said) == said
    assert [b["quality"] for b in desk.bms.of("coldplate", REQUEST)] == [1]
    await desk.device.write("cdu-1/bms_request_stands", 0.0)
    await asyncio.sleep(0.3)
    assert [b["quality"] for b in desk.bms.of("coldplate", REQUEST)] == [1, 0]


async def test_a_request_that_stands_is_said_again(open_desk, peers):
    """A BMS that missed it hears it again within a minute; not where somebody else has spoken since."""
    desk = await open_desk()
    await desk.ask(31.5)
    for number in range(12):
        desk.bms.beat()
        await desk.vouch(number)
        await asyncio.sleep(0.3)
    said = desk.bms.of("coldplate", REQUEST)
    assert [b["value"] for b in said] == [31.5] * len(said)
    assert 2 <= len(said) <= 3
    assert said[0]["timestamp"] < said[1]["timestamp"]
    foreign = {"value": 40.0, "timestamp": round(desk.clock.now() * 1000), "quality": 1}
    desk.bms.put(f"BMS/v1/coldplate/Value/{REQUEST}", foreign)
    await asyncio.sleep(0.3)
    for number in range(12):
        desk.bms.beat()
        await desk.vouch(number)
        await asyncio.sleep(0.3)
    assert desk.bms.of("coldplate", REQUEST)[-1]["value"] == 40.0

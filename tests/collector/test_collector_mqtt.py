"""The collector on a real mosquitto: the recorded pod, rogue payloads, GPU messages, and a broker that goes."""

from __future__ import annotations

import asyncio
import csv
import json
import re

import pytest

from collector.collector import Collector
from collector.forwarder import Forwarder
from collector.spool import Spool
from devices import dsx, gpu
from devices.mqtt import Message
from devices.profiles import load_profile
from plant.clock import ScaledClock
from plant.live import LiveTable
from plant.samples import Quality, Reason, split_code
from plant.topology import Equipment, Link, Source

pytestmark = pytest.mark.real
_OFFSET = re.compile(r"(?:(\d+)m(?!s))?([\d.]+)(ms|s)")


def offset_ms(text):
    """`3.4731ms`, `0s`, `1m2.3s` in ms."""
    minutes, number, unit = _OFFSET.fullmatch(text).groups()
    return int(minutes or 0) * 60_000 + float(number) * (1 if unit == "ms" else 1000)


@pytest.fixture
def exemplar(public_data):
    """The recording: (offset [ms], topic, payload) rows."""
    with (public_data / "dsx" / "dsx_exemplar.csv").open(newline="") as file:
        return [(offset_ms(r["offset"]), r["topic"], r["payload"]) for r in csv.DictReader(file)]


def stamped(rows, base_s):
    """The recording as it was sent, moved to begin at `base_s`."""
    base_ms = round(base_s * 1000)
    return [
        (topic, payload.replace("{{timestamp_ms}}", str(base_ms + int(offset))), "/Metadata/" in topic)
        for offset, topic, payload in rows
    ]


class Rig:
    """A collector on one broker."""

    def __init__(self, make_site, folder, port, equipment, **options):
        link = Link(id="bms", transport="mqtt", host="127.0.0.1", port=port, options=options)
        self.site = make_site([link], equipment)
        self.clock = ScaledClock()
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.spool = Spool(folder / "spool", 50_000_000, self.clock)
        self.collector = Collector(self.site, {}, self.live, self.spool, self.clock)

    def count(self, name):
        """One counter."""
        return self.collector.counters()[name]

    def codes(self):
        """Standing conditions by code and subject."""
        return {(c.code, c.subject): c for c in self.collector.conditions()}

    def up(self):
        """Whether the broker is connected."""
        return self.collector.links()[0].state == "up"


POD = [
    *(
        Equipment(
            id=f"rack-{n:02d}", kind="rack", sources=(Source(profile="dsx-rack", link="bms", object=f"pod1c-e{n:02d}"),)
        )
        for n in range(1, 7)
    ),
    Equipment(id="cdu-5", kind="cdu", sources=(Source(profile="dsx-cdu", link="bms", object="C-F00-CDU-05"),)),
    Equipment(id="bus-1", kind="meter", sources=(Source(profile="dsx-meter", link="bms", object="C-E-BUS-E1"),)),
]


async def test_the_recorded_pod_is_stored_once_and_joined(peers, broker, exemplar, make_site, tmp_path, memory_store):
    """All 4,545 recorded values reach the store exactly once, under the equipment that their metadata names."""
    rig = Rig(make_site, tmp_path, broker.port, POD, discover=True)
    forwarder = Forwarder(rig.spool, memory_store, rig.clock)
    base_s = rig.clock.now() - 120
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, stamped(exemplar, base_s))
        await peers.until(lambda: rig.count("samples") >= 4545, 30)
        await asyncio.sleep(0.3)
        assert (rig.count("dsx_values"), rig.count("unparsable_messages"), rig.count("waiting_values")) == (4545, 0, 0)
        assert rig.count("unmapped_values") == 0
        snapshot = rig.live.snapshot()
    await forwarder.drain()
    assert forwarder.forwarded_samples == 4545
    assert len(memory_store.rows) == 4545
    # Re-read by hand from the recording: 51.135 l/min in rack E05, 44.0 kPa and so on, in SI
    last = {topic: float(json.loads(p)["value"]) for topic, p, _ in stamped(exemplar, base_s) if "/Value/" in topic}
    flow = last["BMS/v1/PUB/Value/Rack/RackLiquidFlow/nvidia/titan/pod1C/rowE/rack05/energyValve/flow/feedback/value"]
    power = last["BMS/v1/PUB/Value/PowerMeter/ActivePower/nvidia/titan/pod1C/C-E-BUS-E1/info/activePower/value"]
    tcs = last[
        "BMS/v1/PUB/Value/CDU/LiquidTemperature/nvidia/titan/pod1C/C-F00-CDU-05/secondary/return/temperature/feedback/value"
    ]
    assert snapshot.value("rack-05/liquid_flow") == pytest.approx(flow / 60_000)
    assert snapshot.value("bus-1/bms_active_power") == pytest.approx(power * 1000)
    assert snapshot.value("cdu-5/bms_tcs_return_temperature") == pytest.approx(tcs)
    assert any(point == "cdu-5/bms_tcs_flow" for point, _ in memory_store.rows)
    assert any(point.startswith("dsx/nvidia/titan/pod1C/rowE/environment/coldAisle") for point, _ in memory_store.rows)


async def test_the_raw_recording_is_set_aside(peers, broker, exemplar, make_site, tmp_path):
    """With the placeholder still in them, all 4,545 values are counted as unparsable, none is stored, and it is told."""
    rig = Rig(make_site, tmp_path, broker.port, POD, discover=True)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(t, p, "/Metadata/" in t) for _, t, p in exemplar])
        await peers.until(lambda: rig.count("unparsable_messages") == 4545, 30)
        assert rig.count("samples") == 0
        condition = rig.codes()["unparsable_messages", "bms"]
        assert "4545 messages on link bms could not be read" in condition.cause.text
        assert "BMS/v1/PUB/Value/" in condition.cause.text
    # They were acknowledged: a new run with the same session gets only the retained metadata
    rig = Rig(make_site, tmp_path / "again", broker.port, POD, discover=True)
    async with peers.running(rig.collector.run()):
        await peers.until(lambda: rig.count("mqtt_messages") >= 166)
        await asyncio.sleep(0.3)
        assert rig.count("unparsable_messages") == 0


async def test_values_before_their_metadata_wait_for_it(peers, broker, make_site, tmp_path):
    """A value that comes first is joined when its metadata comes, with its own time."""
    rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
    point = load_profile("dsx-rack").point("power")
    value_topic, metadata_topic = dsx.point_topics(point, "a/b")
    now_s = round(rig.clock.now(), 3)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(str(value_topic), dsx.encode_value(40.0, now_s), False)])
        await peers.until(lambda: rig.count("waiting_values") == 1)
        assert rig.count("samples") == 0
        await asyncio.to_thread(broker.publish, [(str(metadata_topic), dsx.encode_metadata(point, "Pod1C-E01"), True)])
        await peers.until(lambda: rig.count("samples") == 1)
        reading = rig.live.snapshot().readings["rack-01/power"]
        assert (reading.value, reading.time_s) == (40_000.0, now_s)
        assert rig.count("waiting_values") == 0


async def test_what_the_site_does_not_know_is_counted(peers, broker, make_site, tmp_path):
    """Without `discover`, values of unknown objects are counted and told, not stored."""
    rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
    point = load_profile("dsx-rack").point("power")
    value_topic, metadata_topic = dsx.point_topics(point, "a/b")
    messages = [
        (str(metadata_topic), dsx.encode_metadata(point, "elsewhere"), True),
        (str(value_topic), dsx.encode_value(40.0, rig.clock.now()), False),
    ]
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, messages)
        await peers.until(lambda: rig.count("unmapped_values") == 1)
        assert rig.count("samples") == 0
        assert "belong to no equipment" in rig.codes()["unmapped_messages", "bms"].cause.text


async def test_rogue_and_future_messages_stop_nothing(peers, broker, make_site, tmp_path):
    """Garbage, wrong shapes and a clock of next year are each told, and good values flow on."""
    rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
    profile = load_profile("dsx-rack")
    power, flow = profile.point("power"), profile.point("liquid_flow")
    now_s = rig.clock.now()
    messages = [
        *((str(dsx.point_topics(p, p.name)[1]), dsx.encode_metadata(p, "Pod1C-E01"), True) for p in (power, flow)),
        ("BMS/v1/PUB/nonsense", b"x", False),
        ("coldplate/v1/pod/gpu/rack-01/n1", b"\xff\xfe", False),
        (str(dsx.point_topics(power, "power")[0]), b'{"value": "hot"}', False),
        (str(dsx.point_topics(flow, "liquid_flow")[0]), dsx.encode_value(50.0, now_s + 3e7), False),
        (str(dsx.point_topics(power, "power")[0]), dsx.encode_value(41.0, now_s), False),
    ]
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, messages)
        await peers.until(lambda: rig.count("samples") == 2)
        readings = rig.live.snapshot().readings
        assert readings["rack-01/power"].value == 41_000.0
        late = readings["rack-01/liquid_flow"]
        assert (late.quality, late.reason) == (Quality.UNCERTAIN, Reason.CLOCK)
        assert abs(late.time_s - now_s) < 10
        assert set(rig.codes()) == {("clock_skew", "rack-01"), ("unparsable_messages", "bms")}
        assert rig.count("unparsable_messages") == 3


async def test_gpu_messages_become_points(peers, broker, make_site, tmp_path):
    """A node's message fills its GPUs' points in SI; GPUs that the site has not are counted."""
    rack = Equipment(id="rack-01", kind="rack", sources=(Source(profile="gpu-node", link="bms"),))
    rig = Rig(make_site, tmp_path, broker.port, [rack])
    fields = {"temp_c": 61.0, "power_w": 1000.0, "util_pct": 90.0, "sm_clock_mhz": 1980.0, "xid": 0.0}
    payload = gpu.encode(rig.clock.now(), {0: fields, 3: fields | {"temp_c": 300.0}, 9: fields})
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(gpu.topic("pod", "rack-01", "node-1"), payload, False)])
        await peers.until(lambda: rig.count("samples") == 10)
        snapshot = rig.live.snapshot()
        assert snapshot.value("rack-01/gpu-00/temperature") == 61.0
        assert snapshot.value("rack-01/gpu-00/utilisation") == 0.9
        assert snapshot.value("rack-01/gpu-03/sm_clock") == 1.98e9
        assert snapshot.readings["rack-01/gpu-03/temperature"].reason is Reason.RANGE
        assert rig.count("unmapped_values") == 1


async def test_a_lost_broker_is_told_and_nothing_is_lost(peers, real_program, make_site, tmp_path, memory_store):
    """While the collector is away the broker keeps its messages; while the broker is away a condition says so."""
    with peers.Broker(real_program("mosquitto"), tmp_path) as broker:
        power = load_profile("dsx-rack").point("power")
        value_topic, metadata_topic = map(str, dsx.point_topics(power, "a"))
        rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
        now_s = round(rig.clock.now())
        async with peers.running(rig.collector.run()):
            await peers.until(rig.up)
            await asyncio.to_thread(broker.publish, [(metadata_topic, dsx.encode_metadata(power, "Pod1C-E01"), True)])
        rig.spool.close()
        values = [(value_topic, dsx.encode_value(float(i), now_s + i / 10), False) for i in range(300)]
        await asyncio.to_thread(broker.publish, values)
        rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.count("samples") == 300)
            await asyncio.to_thread(broker.stop)
            await peers.until(lambda: ("broker_lost", "bms") in rig.codes())
            assert f"127.0.0.1:{broker.port}" in rig.codes()["broker_lost", "bms"].cause.text
            assert rig.collector.links()[0].state == "silent"
            await asyncio.to_thread(broker.start)
            await peers.until(lambda: rig.up() and ("broker_lost", "bms") not in rig.codes(), 15)
        await Forwarder(rig.spool, memory_store, rig.clock).drain()
        stored = sorted(
            value for (point, _), (value, code) in memory_store.rows.items() if split_code(code)[0] is Quality.GOOD
        )
        assert stored == [i * 1000.0 for i in range(300)]


def published(name="power", tag="a", value=40.0, time_s=0.0):
    """A point of rack 1 as (metadata, value) messages."""
    point = load_profile("dsx-rack").point(name)
    value_topic, metadata_topic = map(str, dsx.point_topics(point, tag))
    metadata = (metadata_topic, dsx.encode_metadata(point, "Pod1C-E01"), True)
    return metadata, (value_topic, dsx.encode_value(value, time_s), False)


async def test_metadata_that_never_pauses_holds_up_no_values(peers, broker, make_site, tmp_path):
    """A bus that says its metadata again ten times a second, as a large one does, is learnt and then read."""
    rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
    metadata, value = published(time_s=rig.clock.now())
    await asyncio.to_thread(broker.publish, [metadata])
    client = peers.paho.Client(peers.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    async def repeat():
        while True:
            client.publish(metadata[0], metadata[1], qos=1, retain=True)
            await asyncio.sleep(0.1)

    async with peers.running(repeat()), peers.running(rig.collector.run()):
        await peers.until(rig.up, 5)
        await asyncio.to_thread(broker.publish, [value])
        await peers.until(lambda: rig.count("samples") == 1)
    client.disconnect()
    client.loop_stop()


async def test_learning_has_an_end(peers, broker, make_site, tmp_path, monkeypatch):
    """Even a broker that never stops sending retained metadata is read after the limit."""

    class Endless:
        connected, last_error = True, ""

        async def run(self, handler):
            """Retained metadata for ever."""
            while True:
                await handler([Message(metadata[0], metadata[1], retain=True, qos=1, mid=1, session=1)])
                await asyncio.sleep(0.05)

    monkeypatch.setattr("collector.mqtt_link.LEARNING_S", 1.0)
    rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
    metadata, _ = published()
    rig.collector._by_link["bms"]._learner = Endless()
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up, 5)


async def test_values_that_waited_over_a_restart_of_the_link_are_kept(peers, broker, make_site, tmp_path):
    """What was acknowledged while its metadata was missing is stored when the link learns that at its next start."""
    rig = Rig(make_site, tmp_path, broker.port, [POD[0]])
    metadata, value = published(time_s=rig.clock.now())
    async with peers.running(rig.collector._by_link["bms"].run()):
        await peers.until(lambda: rig.collector._by_link["bms"].subscriber.connected)
        await asyncio.to_thread(broker.publish, [value])
        await peers.until(lambda: rig.count("waiting_values") == 1)
    await asyncio.to_thread(broker.publish, [metadata])
    async with peers.running(rig.collector.run()):
        await peers.until(lambda: rig.count("waiting_values") == 0)
        await peers.until(lambda: rig.count("samples") == 1)
        assert rig.live.snapshot().value("rack-01/power") == 40_000.0


async def test_unmapped_values_are_forgiven(peers, broker, make_site, tmp_path, monkeypatch):
    """Once a publisher has stopped sending what the site does not know, the condition goes."""
    monkeypatch.setattr("collector.mqtt_link.FORGIVEN_AFTER_S", 1.0)
    rig = Rig(make_site, tmp_path, broker.port, [POD[1]])
    messages = published(time_s=rig.clock.now())
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, messages)
        await peers.until(lambda: ("unmapped_messages", "bms") in rig.codes())
        await peers.until(lambda: ("unmapped_messages", "bms") not in rig.codes(), 5)
        assert rig.count("unmapped_values") == 1


async def test_a_site_that_only_discovers_is_collected(peers, broker, make_site, tmp_path):
    """A link with `discover: true` and no equipment at all: its values are stored, though none is a point of the site."""
    rig = Rig(make_site, tmp_path, broker.port, [], discover=True)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, published(time_s=rig.clock.now()))
        await peers.until(lambda: rig.count("spooled_samples") == 1)
        assert len(rig.live) == 0

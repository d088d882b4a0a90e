"""What users of other collectors complain about, on a real mosquitto: each is a promise here."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from collector import wiring
from collector.collector import Collector
from collector.forwarder import Forwarder
from collector.spool import Spool
from devices import dsx, sparkplug
from devices.mqtt import Subscriber
from devices.profiles import Profile, load_profile
from devices.sparkplug import Metric
from devices.tls import Tls
from plant.clock import ScaledClock
from plant.errors import ConfigError
from plant.live import LiveTable
from plant.points import Point
from plant.samples import Quality, Reason
from plant.topology import Equipment, Link, Source

pytestmark = pytest.mark.real

RACK = Equipment(id="rack-01", kind="rack", sources=(Source(profile="dsx-rack", link="bms", object="E01"),))
POWER = load_profile("dsx-rack").point("power")
VALUE, METADATA = map(str, dsx.point_topics(POWER, "e01/power"))


def own_profile(**fields):
    """A profile of a rack with two temperatures, as a user would write it."""
    points = fields.pop("points")
    common = {"quantity": "temperature", "unit": "degC", "period_s": 10, "max_age_s": 300, "min": -20, "max": 120}
    return Profile.model_validate(
        {
            "profile": "own", "kind": "rack", "transport": "mqtt", "revision": "1", "source": "test",
            "fallback": {"kind": "none"}, "points": [common | point for point in points], **fields,
        }
    )  # fmt: skip


class Rig:
    """A collector on one broker; `profile` stands in for the equipment's shipped one."""

    def __init__(self, make_site, folder, port, equipment=(RACK,), profile=None, monkeypatch=None, **options):
        if profile is not None:
            monkeypatch.setattr(wiring, "load_profile", lambda _name: profile)
        link = Link(id="bms", transport="mqtt", host="127.0.0.1", port=port, options=options)
        self.site = make_site([link], equipment)
        if profile is not None:
            points = {f"{e.id}/{p.name}": (e.id, p) for e in equipment for p in profile.points}
            known = {
                id_: Point(id=id_, quantity=p.quantity, equipment=of, link="bms", period_s=10, max_age_s=300)
                for id_, (of, p) in points.items()
            }
            self.site = replace(self.site, points=known)
        self.clock = ScaledClock()
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.spool = Spool(folder, 50_000_000, self.clock)
        self.collector = Collector(self.site, {}, self.live, self.spool, self.clock)

    def count(self, name):
        """One counter."""
        return self.collector.counters()[name]

    def codes(self):
        """Standing conditions by code."""
        return {c.code: c for c in self.collector.conditions()}

    def up(self):
        """Whether the broker is connected."""
        return self.collector.links()[0].state == "up"

    def spooled(self):
        """(point, time, value, code) of everything in the spool."""
        frames = [frame.batch for frame in self.spool.read_on(None, 1 << 40)]
        return [
            row
            for b in frames
            for row in zip(b.points, b.time_s.tolist(), b.value.tolist(), b.code.tolist(), strict=True)
        ]


def the_link(rig):
    """The task of the rig's only link."""
    return rig.collector._by_link["bms"]


def values(clock, count, first=0):
    """DSX messages, a value each."""
    now_s = round(clock.now(), 1)
    return [(VALUE, dsx.encode_value(20.0 + i / 100, now_s + i / 1000), False) for i in range(first, first + count)]


async def test_poison_messages_never_block_the_queue(peers, broker, make_site, tmp_path):
    """Telegraf #13476, #13922, #14685: unparsable messages are acknowledged; far more of them than fit in flight."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    poison = [(VALUE, b"\xff", False)] * 300
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True), *poison])
        await asyncio.to_thread(broker.publish, values(rig.clock, 1))
        await peers.until(lambda: rig.count("samples") == 1)
        assert rig.count("unparsable_messages") == 300
        assert "unparsable_messages" in rig.codes()


DEEP = b"[" * 100_000 + b"]" * 100_000
HUGE = b"1" + b"0" * 400
POISON = [
    (VALUE, b'{"value":1,"timestamp":' + HUGE + b',"quality":1}'),
    (VALUE, b'{"value":1,"timestamp":1,"quality":1,"x":' + DEEP + b"}"),
    (METADATA, b'{"x":' + DEEP + b"}"),
    ("coldplate/v1/pod/gpu/rack-01/n1", b'{"timestamp":' + HUGE + b',"gpus":[]}'),
    ("coldplate/v1/pod/gpu/rack-01/n1", b'{"timestamp":1,"gpus":[],"x":' + DEEP + b"}"),
]


async def test_nesting_without_end_and_numbers_beyond_any_float_are_set_aside(
    peers, broker, make_site, tmp_path, caplog
):
    """One such message must not have the link start again and the broker send it again, for ever."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    poison = [(topic, payload, False) for topic, payload in POISON]
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True), *poison])
        await asyncio.to_thread(broker.publish, values(rig.clock, 1))
        await peers.until(lambda: rig.count("samples") == 1)
        assert rig.count("unparsable_messages") == len(POISON)
    assert "failed" not in caplog.text


async def test_whatever_a_decoder_did_not_foresee_is_set_aside(peers, broker, make_site, tmp_path, monkeypatch):
    """The last guard: a fault of a decoder costs the message, not the link."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    read = rig.collector._counting[0]._read

    def fragile(message, now_s, rows):
        if message.payload == b"1":
            raise ZeroDivisionError("unforeseen")
        read(message, now_s, rows)

    monkeypatch.setattr(rig.collector._counting[0], "_read", fragile)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True)])
        await asyncio.to_thread(broker.publish, [(VALUE, b"1", False), *values(rig.clock, 1)])
        await peers.until(lambda: rig.count("samples") == 1)
        assert "unforeseen" in rig.codes()["unparsable_messages"].cause.text


async def test_a_unit_that_nobody_knows_is_told_and_its_values_are_not_taken(peers, broker, make_site, tmp_path):
    """Values in an unknown unit would be GOOD and wrong; metadata with a known one brings them back."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    known = dsx.encode_metadata(POWER, "E01")
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, known.replace(b'"kW"', b'"furlong"'), True)])
        await asyncio.to_thread(broker.publish, values(rig.clock, 1))
        await peers.until(lambda: rig.count("unmapped_values") == 1)
        told = rig.codes()["unparsable_messages"].cause.text
        assert METADATA in told
        assert "unknown unit 'furlong', expected one like 'kW'" in told
        assert (rig.count("samples"), rig.count("waiting_values")) == (0, 0)
        await asyncio.to_thread(broker.publish, [(METADATA, known, True), *values(rig.clock, 1, 5)])
        await peers.until(lambda: rig.count("samples") == 1)


async def test_nothing_is_acknowledged_before_the_disk_has_it(peers, broker, make_site, tmp_path):
    """Aiomqtt loses thousands when it is killed: what was not spooled comes again, and is spooled once."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    gate, write = threading.Event(), rig.spool.append_groups
    rig.spool.append_groups = lambda groups: (gate.wait(20), write(groups))[0]
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True)])
        await asyncio.to_thread(broker.publish, sent := values(rig.clock, 10))
        await peers.until(lambda: rig.count("mqtt_messages") == 11)
        await asyncio.sleep(0.5)  # time for a wrong early acknowledgement
        again = Subscriber("127.0.0.1", broker.port, "coldplate-pod-bms", ["BMS/#"])
        got = []

        async def keep(batch):
            got.extend(m for m in batch if m.topic == VALUE)

        try:
            async with peers.running(again.run(keep)):  # as a collector that was killed and started again
                await peers.until(lambda: len(got) == 10)
        finally:
            gate.set()
    assert [m.payload for m in got] == [payload for _, payload, _ in sent]


async def test_a_consumer_that_is_too_slow_stays_bounded(peers, broker):
    """Aiomqtt #108, #164: while the store is slow the broker keeps the messages; memory does not grow."""
    gate = asyncio.Event()
    got = []

    async def slow(batch):
        await gate.wait()
        got.extend(batch)

    subscriber = Subscriber("127.0.0.1", broker.port, "slow", ["t/#"], protocol=5, capacity=50)
    async with peers.running(subscriber.run(slow)):
        await peers.until(lambda: subscriber.connected)
        await asyncio.to_thread(broker.publish, [("t/1", b"x" * 100, False)] * 2000)
        await asyncio.sleep(0.3)
        assert subscriber.received <= 50
        gate.set()
        await peers.until(lambda: len(got) == 2000)


async def test_qos_1_queue_is_silently_dropped(peers, real_program, make_site, tmp_path):
    """Mosquitto #1593: with the shipped configuration, five times its default queue waits for an absent collector."""
    broker = peers.Broker(real_program("mosquitto"), tmp_path)
    shipped = (Path(__file__).parents[2] / "packaging" / "mosquitto" / "coldplate.conf").read_text("utf-8")
    ours = shipped.replace("listener 1883 ", f"listener {broker.port} ").replace("/var/lib/mosquitto", str(tmp_path))
    (tmp_path / "mosquitto.conf").write_text(ours + ("user root\n" if os.geteuid() == 0 else ""))
    with broker:
        rig = Rig(make_site, tmp_path / "s", broker.port)
        async with peers.running(rig.collector.run()):
            await peers.until(rig.up)
            await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True)])
            await peers.until(lambda: rig.count("mqtt_messages") == 1)
        await asyncio.to_thread(broker.publish, values(rig.clock, 5000))
        again = Rig(make_site, tmp_path / "s2", broker.port)
        async with peers.running(again.collector.run()):
            await peers.until(lambda: len(again.spooled()) == 5000)


async def test_the_backlog_of_an_outage_is_stored_but_never_live(peers, broker, make_site, tmp_path):
    """ESPHome #18961: an old value is not shown as live, even if it comes just now; and none waits in memory only."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True)])
    rig.spool.close()
    old_s = rig.clock.now() - 3600
    await asyncio.to_thread(broker.publish, [(VALUE, dsx.encode_value(20.0, old_s + i), False) for i in range(200)])
    rig = Rig(make_site, tmp_path / "s", broker.port)
    async with peers.running(rig.collector.run()):
        await peers.until(lambda: rig.count("samples") == 200)
        assert rig.live.snapshot().readings == {}
        assert "late_values" in rig.codes()
        assert rig.count("waiting_values") == 0


async def test_duplicates_are_stored_once(peers, broker, make_site, tmp_path, memory_store):
    """Emqx #752: the same messages twice are one sample per point and time."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True)])
        await asyncio.to_thread(broker.publish, values(rig.clock, 50) * 2)
        await peers.until(lambda: rig.count("samples") == 100)
    await Forwarder(rig.spool, memory_store, rig.clock).drain()
    assert len(memory_store.rows) == 50


async def test_a_clock_that_is_ahead_is_clamped_and_told(peers, broker, make_site, tmp_path):
    """SentryGuard #210: a publisher an hour ahead does not write into the future."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        await asyncio.to_thread(broker.publish, [(METADATA, dsx.encode_metadata(POWER, "E01"), True)])
        await asyncio.to_thread(broker.publish, [(VALUE, dsx.encode_value(20.0, rig.clock.now() + 3600), False)])
        await peers.until(lambda: rig.count("samples") == 1)
        reading = rig.live.snapshot().readings["rack-01/power"]
        assert (reading.quality, reading.reason) == (Quality.UNCERTAIN, Reason.CLOCK)
        assert abs(reading.time_s - rig.clock.now()) < 10
        assert "clock_skew" in rig.codes()


async def test_two_collectors_share_a_broker(peers, broker, make_site, tmp_path):
    """NATS delivers nothing for $share: by partitions each value is stored exactly once, with its metadata."""
    rigs = [Rig(make_site, tmp_path / f"s{i}", broker.port, discover=True, partitions=2, partition=i) for i in range(2)]
    topics = [tuple(map(str, dsx.point_topics(POWER, f"hall/{i}/power"))) for i in range(40)]
    async with peers.running(rigs[0].collector.run()), peers.running(rigs[1].collector.run()):
        await peers.until(lambda: all(rig.up() for rig in rigs))
        for value, metadata in topics:
            messages = [
                (metadata, dsx.encode_metadata(POWER, "other"), True),
                (value, dsx.encode_value(1.0, rigs[0].clock.now()), False),
            ]
            await asyncio.to_thread(broker.publish, messages)
        await peers.until(lambda: sum(rig.count("spooled_samples") for rig in rigs) == 40)
        assert rigs[0].count("other_partitions_messages") >= 40
    stored = [row[0] for rig in rigs for row in rig.spooled()]
    assert len(stored) == len(set(stored)) == 40
    assert all(10 <= len(rig.spooled()) <= 30 for rig in rigs)


def node(kind, device=""):
    """A topic of the edge node."""
    return str(sparkplug.Topic("hall", kind, "gw", device))


async def test_sparkplug_from_birth_to_death(peers, broker, make_site, tmp_path, monkeypatch):
    """Aliases of the births, a gap answered by a request for rebirth, history, null, and deaths old and new."""
    profile = own_profile(
        format="sparkplug", points=[{"name": "hot", "field": "Temp/Hot"}, {"name": "cold", "field": "Temp/Cold"}]
    )
    rack = Equipment(
        id="rack-01", kind="rack", sources=(Source(profile="dsx-rack", link="bms", object="hall/gw/rack"),)
    )
    rig = Rig(make_site, tmp_path / "s", broker.port, [rack], profile, monkeypatch)
    now_s = round(rig.clock.now(), 3)
    birth = [
        Metric("Temp/Hot", 1, now_s, sparkplug.FLOAT, value=60.0),
        Metric("Temp/Cold", 2, now_s, sparkplug.INT16, value=-5),
    ]

    def bd(n):
        return Metric("bdSeq", datatype=sparkplug.INT64, value=n)

    def send(*messages):
        return asyncio.to_thread(broker.publish, [(topic, payload, False) for topic, payload in messages])

    commands = []

    async def listen(batch):
        commands.extend(sparkplug.decode(m.payload).metrics[0].name for m in batch)

    listener = Subscriber("127.0.0.1", broker.port, "node", ["spBv1.0/hall/NCMD/gw"])
    async with peers.running(listener.run(listen)):
        await peers.until(lambda: listener.connected)
        async with peers.running(rig.collector.run()):
            await peers.until(lambda: rig.up() and commands == [sparkplug.REBIRTH])  # births are not retained
            await send(
                (node("NBIRTH"), sparkplug.encode(now_s, [bd(4)], 0)),
                (node("DBIRTH", "rack"), sparkplug.encode(now_s, birth, 1)),
                (
                    node("DDATA", "rack"),
                    sparkplug.encode(now_s + 1, [Metric(alias=1, value=61.5, datatype=sparkplug.FLOAT)], 2),
                ),
                (node("DDATA", "rack"), sparkplug.encode(now_s + 2, [Metric(alias=2, value=None)], 3)),
                (
                    node("DDATA", "rack"),
                    sparkplug.encode(
                        now_s,
                        [Metric(alias=1, time_s=now_s - 60, historical=True, value=50.0, datatype=sparkplug.FLOAT)],
                        4,
                    ),
                ),
                (node("NDEATH"), sparkplug.encode(now_s, [bd(3)])),  # of an older session
            )
            await peers.until(lambda: rig.count("samples") == 5)
            readings = rig.live.snapshot().readings
            assert readings["rack-01/hot"].value == 61.5
            assert readings["rack-01/cold"].quality is Quality.BAD
            assert "edge_node_offline" not in rig.codes()
            # 5 and 6 are lost; by its alias alone a metric is not believed, by its name it is
            the_link(rig).sparkplug._nodes["hall/gw"].asked_s = 0
            await send(
                (
                    node("DDATA", "rack"),
                    sparkplug.encode(now_s + 3, [Metric(alias=1, value=99.0, datatype=sparkplug.FLOAT)], 7),
                )
            )
            await peers.until(lambda: rig.count("missed_messages") == 2 and len(commands) == 2)
            assert "messages_missed" in rig.codes()
            assert rig.count("samples") == 5
            await send((node("NDEATH"), sparkplug.encode(now_s, [bd(4)])))
            await peers.until(lambda: rig.count("samples") == 7)
            hot = rig.live.snapshot().readings["rack-01/hot"]
            assert (hot.quality, hot.reason) == (Quality.BAD, Reason.NO_COMM | Reason.STALE)
            assert "edge_node_offline" in rig.codes()
            await send((node("NDATA"), b"\x12\x05"))
            await peers.until(lambda: rig.count("unparsable_messages") == 1)
    history = [row for row in rig.spooled() if row[1] == now_s - 60]
    assert [(row[2], row[3] >> 2) for row in history] == [(50.0, Reason.BACKFILL)]


async def test_plain_json_by_path(peers, broker, make_site, tmp_path, monkeypatch):
    """Nested values, pointers, a time, null, a counted gap; what is missing is no zero."""
    profile = own_profile(
        format="json", topic="plc/{object}/state", time_path="meta.t", sequence_path="meta.n",
        points=[{"name": "hot", "path": "temps.0.value"}, {"name": "cold", "path": "/temps/1/a~1b"}],
    )  # fmt: skip
    rig = Rig(make_site, tmp_path / "s", broker.port, [RACK], profile, monkeypatch)
    ms = round(rig.clock.now() * 1000)

    def message(n, body):
        return ("plc/E01/state", b'{"meta": {"t": %d, "n": %d}, "temps": %s}' % (ms + n, n, body), False)

    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        messages = [
            message(1, b'[{"value": "61.5"}, {"a/b": 20}]'),
            message(2, b'[{"value": null}]'),
            message(5, b"[{}, {}]"),
            message(6, b'[{"value": [1]}]'),
        ]
        await asyncio.to_thread(broker.publish, messages)
        await peers.until(lambda: rig.count("samples") == 3 and rig.count("unparsable_messages") == 2)
        assert rig.count("missed_messages") == 2
    rows = sorted(rig.spooled())
    assert [row[:3] for row in rows[:2]] == [
        ("rack-01/cold", (ms + 1) / 1000, 20.0),
        ("rack-01/hot", (ms + 1) / 1000, 61.5),
    ]
    assert rows[2][3] & 3 == Quality.BAD


async def test_a_silent_bms_is_told(peers, broker, make_site, tmp_path):
    """A heartbeat that stops is told apart from values that do not change."""
    rig = Rig(make_site, tmp_path / "s", broker.port)
    clock = the_link(rig)._clock = ScaledClock(speed=60)
    async with peers.running(rig.collector.run()):
        await peers.until(rig.up)
        beat = "BMS/v1/PUB/Value/System/HeartbeatTimestampBms/bms/heartbeat"
        await asyncio.to_thread(broker.publish, [(beat, dsx.encode_value(1.0, clock.now()), False)])
        await peers.until(lambda: "bms_silent" in rig.codes(), 15)
        await asyncio.to_thread(broker.publish, [(beat, dsx.encode_value(1.0, clock.now()), False)])
        await peers.until(lambda: "bms_silent" not in rig.codes())


@pytest.fixture
def certificates(real_program, tmp_path):
    """An authority, a server named localhost, a client; made by openssl."""
    openssl = real_program("openssl")

    def run(*arguments):
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=tmp_path)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    usage = ("-addext", "keyUsage=critical,keyCertSign")
    run(*new, "-x509", *usage, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        run(*new[:4], "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (tmp_path / "ext").write_text("subjectAltName=DNS:localhost")
        run(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "ext",
            "-out",
            f"{name}.pem",
        )
    return tmp_path


async def test_tls_with_client_certificates(peers, real_program, certificates):
    """The right certificates connect; a wrong host name or a missing client certificate does not."""
    broker = peers.Broker(real_program("mosquitto"), certificates)
    lines = [
        f"cafile {certificates}/ca.pem",
        f"certfile {certificates}/server.pem",
        f"keyfile {certificates}/server.key",
        "require_certificate true",
    ]
    conf = certificates / "mosquitto.conf"
    first, _, rest = conf.read_text().partition("\n")
    conf.write_text("\n".join([first, *lines, rest]))
    ca, cert, key = (str(certificates / name) for name in ("ca.pem", "client.pem", "client.key"))

    async def nothing(_batch):
        return

    with broker:
        right = Subscriber("localhost", broker.port, "e", ["t"], tls=Tls(ca, cert, key))
        async with peers.running(right.run(nothing)):
            await peers.until(lambda: right.connected)
        for host, tls in (("127.0.0.1", Tls(ca, cert, key)), ("localhost", Tls("", cert, key)), ("localhost", Tls(ca))):
            wrong = Subscriber(host, broker.port, "e", ["t"], tls=tls)
            async with peers.running(wrong.run(nothing)):
                await peers.until(lambda: wrong.last_error != "not connected yet")  # noqa: B023 - used within the turn
                assert not wrong.connected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tls_ca": "/nowhere.pem"}, "/nowhere.pem: tls_ca: no such file or directory; name PEM files"),
        ({"partitions": 2, "partition": 2}, "link bms: partition 2 of 2; count partition from 0"),
        ({"protocol": 3}, "link bms: unknown protocol; use 4"),
        ({"qos": 1}, "link bms: unknown option 'qos'; an MQTT link has client_id, discover"),
    ],
)
def test_wrong_options_are_refused(make_site, tmp_path, options, text):
    """With the place and the remedy."""
    with pytest.raises(ConfigError) as caught:
        Rig(make_site, tmp_path / "s", 1, **options)
    assert str(caught.value).startswith(text)

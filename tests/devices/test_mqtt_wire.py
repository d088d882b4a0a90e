"""MQTT packets: against bytes of the specification, cut anywhere, and malformed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import mqtt_wire as wire
from devices.mqtt_wire import Accepted, Alive, Message, Parser, Refused, Subscribed, Taken
from plant.errors import ConfigError, PermanentError


def read(parser, data, room=1000):
    """All packets in the bytes."""
    parser.feed(data)
    return parser.take(room)


def publish(topic, payload, *, mid=0, v5=False, flags=0):
    """A PUBLISH as a broker sends it, written by hand."""
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if mid else b"") + (b"\x00" if v5 else b"")
    body += payload
    length = b""
    rest = len(body)
    while True:
        rest, low = rest >> 7, rest & 0x7F
        length += bytes([low | (0x80 if rest else 0)])
        if not rest:
            return bytes([0x30 | (2 if mid else 0) | flags]) + length + body


def test_a_message_of_5_without_its_properties_is_malformed():
    """Not a message whose payload is the last byte of its topic."""
    with pytest.raises(PermanentError, match="malformed"):
        read(Parser(5, 1), b"\x30\x03\x00\x01t")


def test_connect_of_311():
    """Every byte of CONNECT after 3.1.1 §3.1, with user name and password, for a session that stays."""
    data = wire.connect("edge", protocol=4, keepalive_s=30, username="u", password="p", expiry_s=1, maximum=9)
    assert data == b"\x10\x16\x00\x04MQTT\x04\xc0\x00\x1e\x00\x04edge\x00\x01u\x00\x01p"


def test_connect_of_5():
    """CONNECT after 5.0 §3.1: session expiry and receive maximum; without expiry the session starts clean."""
    data = wire.connect("e", protocol=5, keepalive_s=30, username="", password="", expiry_s=86400, maximum=1000)
    assert data == b"\x10\x16\x00\x04MQTT\x05\x00\x00\x1e\x08\x11\x00\x01\x51\x80\x21\x03\xe8\x00\x01e"
    clean = wire.connect("e", protocol=4, keepalive_s=30, username="", password="", expiry_s=0, maximum=1000)
    assert clean[9] == 0x02


def test_a_password_needs_a_user_name_in_311():
    """3.1.1 §3.1.2.9 forbids it, and brokers close such a connection without a word; 5.0 allows it."""
    given = {"keepalive_s": 30, "username": "", "password": "p", "expiry_s": 1, "maximum": 9}
    with pytest.raises(ConfigError, match="a password without a user name; add username"):
        wire.connect("edge", protocol=4, **given)
    assert wire.connect("edge", protocol=5, **given)[9] == 0x40


def test_subscribe_and_publish():
    """SUBSCRIBE at QoS 1 and PUBLISH at QoS 0 in both versions."""
    assert wire.subscribe(1, ["a/#", "b"], 4) == b"\x82\x0c\x00\x01\x00\x03a/#\x01\x00\x01b\x01"
    assert wire.subscribe(1, ["b"], 5) == b"\x82\x07\x00\x01\x00\x00\x01b\x01"
    assert wire.publish("t", b"xy", 4) == b"\x30\x05\x00\x01txy"
    assert wire.publish("t", b"xy", 5) == b"\x30\x06\x00\x01t\x00xy"


def test_what_brokers_say():
    """CONNACK good and bad, SUBACK with a refused topic, PINGRESP, DISCONNECT with its reason."""
    assert read(Parser(4, 1), b"\x20\x02\x01\x00") == [Accepted(True, None)]
    assert read(Parser(4, 1), b"\x20\x02\x00\x05") == [Refused("not authorised")]
    assert read(Parser(5, 1), b"\x20\x03\x00\x87\x00") == [Refused("not authorised")]
    # keep alive 20 s behind a text (assigned client id) and a pair of texts (user property)
    properties = b"\x12\x00\x02ab" + b"\x26\x00\x01k\x00\x01v" + b"\x13\x00\x14"
    assert read(Parser(5, 1), b"\x20\x12\x00\x00\x0f" + properties) == [Accepted(False, 20)]
    assert read(Parser(4, 1), b"\x90\x04\x00\x01\x01\x80") == [Subscribed((1,))]
    assert read(Parser(5, 1), b"\x90\x05\x00\x01\x00\x01\x87") == [Subscribed((1,))]
    assert read(Parser(4, 1), b"\xd0\x00") == [Alive()]
    assert read(Parser(5, 1), b"\xe0\x02\x8e\x00") == [Refused("session taken over by another client of the same id")]


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=300), st.integers(0, 65535)), max_size=6),
    st.booleans(),
    st.data(),
)
def test_messages_cut_anywhere(messages, v5, data):
    """However the bytes are cut, the same messages come out."""
    stream = b"".join(publish(topic.encode(), payload, mid=mid, v5=v5) for topic, payload, mid in messages)
    parser = Parser(5 if v5 else 4, 7)
    got = []
    while stream:
        size = data.draw(st.integers(1, max(1, len(stream))))
        got += read(parser, stream[:size])
        stream = stream[size:]
    assert [(m.topic, m.payload, m.mid, m.qos, m.session) for m in got] == [
        (topic, payload, mid, 1 if mid else 0, 7) for topic, payload, mid in messages
    ]


def test_no_more_than_there_is_room_for():
    """The rest stays, and is not forgotten."""
    parser = Parser(4, 1)
    assert [m.topic for m in read(parser, publish(b"a", b"1") * 3, room=2)] == ["a", "a"]
    assert parser.waiting
    assert len(parser.take(5)) == 1


def test_a_message_at_qos_1_and_its_answer():
    """Packet id behind the topic, never retained; an acknowledgement carries it back, in v5 with the reason of a no."""
    assert wire.publish("a/b", b"x", 4, 7) == b"\x32\x08\x00\x03a/b\x00\x07x"
    assert wire.publish("a/b", b"x", 5, 7) == b"\x32\x09\x00\x03a/b\x00\x07\x00x"
    assert wire.publish("a/b", b"x", 4) == b"\x30\x06\x00\x03a/bx"
    assert read(Parser(4, 1), b"\x40\x02\x00\x07") == [Taken(7, "")]
    assert read(Parser(5, 1), b"\x40\x03\x00\x07\x10") == [Taken(7, "")]  # no matching subscribers
    assert read(Parser(5, 1), b"\x40\x04\x00\x07\x87\x00") == [Taken(7, "not authorised")]


def test_flags():
    """Retained, and sent again."""
    (message,) = read(Parser(4, 1), publish(b"a", b"1", mid=5, flags=0x09))
    assert message == Message("a", b"1", True, 1, 5, 1, True)


@pytest.mark.parametrize(
    "bad",
    [
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x30\x03\x00\x09a",  # a topic longer than its packet
        b"\x34\x05\x00\x01a\x00\x01",  # QoS 2 was never granted
        b"\x30\x03\x00\x01\xff",  # a topic that is no UTF-8
        b"\x20\x01\x00",  # half a CONNACK
    ],
)
def test_malformed_packets_are_refused(bad):
    """They end the connection with a reason, not the collector."""
    with pytest.raises(PermanentError, match="malformed packet"):
        read(Parser(4, 1), bad)


@given(st.binary(max_size=300), st.sampled_from([4, 5]))
def test_any_bytes_are_read_or_refused(data, protocol):
    """Nothing but packets or PermanentError comes of any bytes."""
    with contextlib.suppress(PermanentError):
        read(Parser(protocol, 1), data)

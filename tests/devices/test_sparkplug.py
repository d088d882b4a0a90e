"""Sparkplug B payloads: against bytes made by hand from the specification, and there and back."""

from __future__ import annotations

import contextlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import protobuf, sparkplug
from devices.sparkplug import Metric, decode, encode, meant, parse_topic
from plant.errors import PermanentError

# timestamp 1486144502122, one metric {name "A", alias 5, datatype Int8, int_value 0xFFFFFFFE}, seq 3: written by hand
BY_HAND = bytes.fromhex("08eaf2f5a8a02b" + "120d" + "0a0141" + "1005" + "2001" + "50feffffff0f" + "1803")
# Written by Google's protobuf runtime from sparkplug_b.proto's fields, not by our encoder
BY_GOOGLE = bytes.fromhex(
    "08fbd095ffbc31120b0a0562645365712004580712420a0b54656d702f537570706c7910ac0218e4d095ffbc3120094a220a07656e67556e69"
    "740a075175616c6974791207080c4203c2b0431205080318f403650000024212150a04466c6f771002200a2801699a9999999999b9bf12100a"
    "04436f6c641003200250d4fdffff0f120a0a024f6e1004200b700112120a04546578741005200c7a066cc3a4756674120c0a044e756c6c1006"
    "20093801120e0a0352617710082011820102000112130a03536574100920108a01070801120161180918ff012203752d31"
)


def test_bytes_made_by_hand():
    """Every byte after the protobuf encoding guide and sparkplug_b.proto."""
    payload = decode(BY_HAND)
    assert (payload.time_s, payload.seq) == (1486144502.122, 3)
    (metric,) = payload.metrics
    assert (metric.name, metric.alias, metric.datatype) == ("A", 5, sparkplug.INT8)
    assert meant(metric.value, metric.datatype) == -2.0


def test_bytes_of_another_encoder():
    """Every field that we read, from protobuf's own runtime: properties, history, null, a DataSet, bytes."""
    payload = decode(BY_GOOGLE)
    assert (payload.time_s, payload.seq) == (1700000000.123, 255)
    values = {m.name: meant(m.value, m.datatype) for m in payload.metrics}
    assert values == {
        "bdSeq": 7.0, "Temp/Supply": 32.5, "Flow": -0.1, "Cold": -300.0, "On": 1.0, "Text": "läuft", "Null": None,
        "Raw": None, "Set": None,
    }  # fmt: skip
    temperature, flow = payload.metric("Temp/Supply"), payload.metric("Flow")
    assert (temperature.alias, temperature.time_s, temperature.quality) == (300, 1700000000.1, sparkplug.STALE)
    assert flow.historical
    assert not temperature.historical


def _tagged(number, wire, body):
    return bytes([number << 3 | wire]) + body


def _nested(number, body):
    return protobuf.number(number << 3 | 2) + protobuf.number(len(body)) + body


def _metric(value):
    return _nested(2, _nested(1, b"x") + value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_tagged(12, 5, struct.pack("<f", 1.5)), 1.5),
        (_tagged(13, 1, struct.pack("<d", -2.25)), -2.25),
        (_tagged(14, 0, b"\x01"), 1.0),
        (_nested(15, "läuft".encode()), "läuft"),
        (_tagged(7, 0, b"\x01"), None),
        (b"", None),
        (b"\x82\x01\x00", None),  # bytes
        (b"\x8a\x01\x02\x08\x01", None),  # a DataSet
        (b"\x92\x01\x02\x0a\x00", None),  # a Template
        (b"\x9a\x01\x00", None),  # an extension
        (_tagged(12, 5, struct.pack("<f", 1.5)) + b"\xa2\x06\x01\x00", 1.5),  # an unknown field behind it
        (_tagged(6, 0, b"\x01") + _tagged(12, 5, struct.pack("<f", 7)), 7.0),  # transient
    ],
)
def test_each_kind_of_value(value, expected):
    """Scalars are read, everything else is passed over."""
    assert decode(_metric(value)).metrics[0].value == expected


@pytest.mark.parametrize(
    ("datatype", "raw", "expected"),
    [
        (sparkplug.INT8, 0xFE, -2),  # some encoders cut to the width, some extend the sign
        (sparkplug.INT8, 0xFFFFFFFE, -2),
        (sparkplug.INT16, 0x8000, -32768),
        (sparkplug.INT32, 0xFFFFFFFF, -1),
        (sparkplug.INT64, 0xFFFFFFFFFFFFFFFF, -1),
        (sparkplug.UINT8, 0xFF, 255),
        (sparkplug.UINT32, 0xFFFFFFFF, 4294967295),
        (sparkplug.UINT64, 1 << 63, float(1 << 63)),
        (sparkplug.DATETIME, 1486144502122, 1486144502122.0),
        (0, 7, 7.0),
    ],
)
def test_whole_numbers_by_their_data_type(datatype, raw, expected):
    """Signed numbers travel as unsigned ones."""
    assert meant(raw, datatype) == expected


_scalars = st.one_of(
    st.tuples(st.sampled_from([1, 2, 3]), st.integers(-128, 127)),
    st.tuples(st.just(sparkplug.INT64), st.integers(-(2**53), 2**53)),
    st.tuples(st.just(sparkplug.UINT32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(sparkplug.FLOAT), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(sparkplug.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(sparkplug.BOOLEAN), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just(sparkplug.STRING), st.text()),
    st.tuples(st.sampled_from([3, 10, 12]), st.none()),
)


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.one_of(st.none(), st.integers(0, 2**63)), _scalars, st.booleans()),
        max_size=5,
    ),
    st.integers(0, 255),
)
def test_there_and_back(rows, seq):
    """What is encoded is decoded as the same."""
    sent = [
        Metric(name, alias, 1700000000.5, datatype, historical, value, 192)
        for name, alias, (datatype, value), historical in rows
    ]
    got = decode(encode(1700000001.25, sent, seq))
    assert (got.time_s, got.seq) == (1700000001.25, seq)
    for was, is_ in zip(sent, got.metrics, strict=True):
        for name in ("name", "alias", "time_s", "datatype", "historical", "quality"):
            assert getattr(is_, name) == getattr(was, name)
        assert meant(is_.value, is_.datatype) == was.value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    """Nothing but a payload or PermanentError comes of any bytes."""
    with contextlib.suppress(PermanentError):
        decode(data)


@pytest.mark.parametrize("cut", range(1, len(BY_HAND)))
def test_cut_off_payloads_are_refused(cut):
    """A payload cut inside a field is malformed; cut between fields it is shorter."""
    between = {7, 22}
    if cut in between:
        decode(BY_HAND[:cut])
    else:
        with pytest.raises(PermanentError, match="sparkplug payload of"):
            decode(BY_HAND[:cut])


@pytest.mark.parametrize(
    "bad",
    [
        b"\x0d\x00\x00\x00\x00",  # the timestamp as four bytes
        b"\x00\x01",  # field 0
        b"\x0b\x0c",  # a group
        b"\x12\x02\x20\x01",  # a metric without name and alias
        b"\x18\x80\x02",  # seq 256
        _nested(2, _nested(1, b"\xff")),  # a name that is no UTF-8
        b"\x08" + b"\xff" * 10 + b"\x01",  # a number without end
    ],
)
def test_malformed_payloads_are_refused(bad):
    """Strict about everything that the specification names."""
    with pytest.raises(PermanentError):
        decode(bad)


def test_topics():
    """Group, kind, edge node, device; anything else is refused."""
    topic = parse_topic("spBv1.0/hall/DDATA/gw-1/cdu-1")
    assert (topic.group, topic.kind, topic.edge, topic.device, topic.node) == (
        "hall",
        "DDATA",
        "gw-1",
        "cdu-1",
        "hall/gw-1",
    )
    assert str(topic) == "spBv1.0/hall/DDATA/gw-1/cdu-1"
    for bad in ("spBv1.0/hall/NDATA", "spAv1.0/a/NDATA/b", "spBv1.0/a/NDATA//x", "spBv1.0/a/DDATA/b/c/d"):
        with pytest.raises(PermanentError):
            parse_topic(bad)


def test_the_request_for_a_rebirth():
    """NCMD with `Node Control/Rebirth` true, as boolean."""
    (metric,) = decode(sparkplug.rebirth(5.0)).metrics
    assert (metric.name, metric.datatype, metric.value) == ("Node Control/Rebirth", sparkplug.BOOLEAN, 1.0)
    assert math.isclose(metric.time_s, 5.0)

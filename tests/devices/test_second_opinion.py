"""The second opinion on a frame: it agrees with a right encoder in every type, order and unit, and with no wrong one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.encode import encode_words
from devices.modbus_frames import write_request
from devices.profiles import ProfilePoint
from devices.second_opinion import in_si, said_by, said_on_bus, units
from plant import quantities
from plant.errors import RefusedError

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")


def register(**changes):
    """A writable temperature."""
    plain = {"name": "sp", "quantity": "temperature", "unit": "degC", "period_s": 5, "table": "holding", "address": 103}
    return ProfilePoint.model_validate(plain | changes)


def frame(point, value, exponent=0):
    """The bytes that would leave."""
    return write_request(1, point.address, encode_words(point, value, exponent=exponent)).pdu


@pytest.mark.parametrize("unit", sorted(quantities._TO_SI))
def test_both_tables_of_units_agree(unit):
    """Typed twice, from different sources: no unit has one factor when read and another when checked."""
    factor, offset = quantities.to_si(unit)
    assert unit in units()
    for value in (0, 1, 37):
        assert float(in_si(value, unit)) == pytest.approx(value * factor + offset, rel=1e-6, abs=1e-9)


@settings(max_examples=400, deadline=None)
@given(
    value=st.floats(10, 60), kind=st.sampled_from(("u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64")),
    order=st.sampled_from(ORDERS), scale=st.sampled_from((1.0, 0.1, 0.01, 0.5)), fixed=st.sampled_from((0, 0, 4)),
    unit=st.sampled_from(("degC", "degF")), exponent=st.sampled_from((0, -1, 1)),
)  # fmt: skip
def test_it_hears_what_was_meant(value, kind, order, scale, fixed, unit, exponent):
    """Encoded for the wire and heard again by the other way, a value comes back to half a count."""
    fixed = 0 if kind.startswith("f") else fixed
    point = register(type=kind, order=order, scale=scale, fixed=fixed, unit=unit)
    try:
        pdu = frame(point, value, exponent)
    except RefusedError:  # too large for the register: nothing leaves
        return
    heard = said_by(pdu, point, 103, exponent=exponent)
    count = abs(point.factor) * 10.0**exponent
    assert heard == pytest.approx(value, abs=0.500001 * count if not kind.startswith("f") else 1e-4)


@pytest.mark.parametrize("kind", ["u32", "s32", "f32", "u64", "s64", "f64"])
def test_an_encoder_with_the_wrong_order_is_heard(kind):
    """Words or octets in another order than the profile says never sound like what was meant."""
    for right in ORDERS:
        for wrong in set(ORDERS) - {right}:
            pdu = frame(register(type=kind, order=wrong, scale=0.01), 31.7)
            heard = said_by(pdu, register(type=kind, order=right, scale=0.01), 103)
            assert not abs(heard - 31.7) < 1


@pytest.mark.parametrize(("wrong", "right"), [(0.1, 0.01), (0.001, 0.01), (-0.01, 0.01)])
def test_an_encoder_with_the_wrong_scale_is_heard(wrong, right):
    """Ten times too much, too little, or the wrong sign."""
    pdu = frame(register(type="s16", scale=wrong), 31.7)
    assert not abs(said_by(pdu, register(type="s16", scale=right), 103) - 31.7) < 1


def test_a_frame_for_something_else_is_refused():
    """Another address, another length, another function: it is not this point's write."""
    point = register(type="s16", scale=0.01)
    good = frame(point, 31.7)
    for pdu in (good[:1] + b"\0\0" + good[3:], b"\x05" + good[1:], frame(register(type="s32"), 31.7), b"\x06\0g"):
        with pytest.raises(RefusedError):
            said_by(pdu, point, 103)
    assert math.isnan(said_by(b"\x10\0g\0\2\4\x7f\xc0\0\0", register(type="f32"), 103))
    with pytest.raises(RefusedError, match="furlong"):
        in_si(1, "furlong")


@pytest.mark.parametrize(
    ("payload", "unit", "said"),
    [
        (b'{"value":31.5,"timestamp":1,"quality":1}', "C", 31.5),
        (b'{"value":315,"timestamp":1,"quality":1}', "C", 315.0),
        (b'{"value":50,"timestamp":1,"quality":1}', "F", 10.0),
        (b'{"value":null,"timestamp":1,"quality":1}', "C", math.nan),
        (b'{"value":31.5,"timestamp":1,"quality":0}', "C", math.nan),
        (b'{"value":true,"timestamp":1,"quality":1}', "C", math.nan),
        (b'{"value":NaN,"timestamp":1,"quality":1}', "C", math.nan),
    ],
)
def test_a_bus_message_is_read_as_its_reader_will(payload, unit, said):
    """The number in the reader's unit; NaN for what is no number or is not stood by."""
    assert said_on_bus(payload, "p", unit) == pytest.approx(said, nan_ok=True)


@pytest.mark.parametrize("payload", [b"", b"[]", b"31.5", b'{"value":31.5}', b"\xff"])
def test_what_is_no_bus_message_is_refused(payload):
    """Anything else ends in one kind of error."""
    with pytest.raises(RefusedError, match="no value of the bus"):
        said_on_bus(payload, "p", "C")


def test_a_unit_it_does_not_know_is_refused():
    """Rankine is no unit of this house."""
    with pytest.raises(RefusedError, match="can't be checked"):
        said_on_bus(b'{"value":540,"timestamp":1,"quality":1}', "p", "R")

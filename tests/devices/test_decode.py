"""Registers to SI and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.decode import compile_block, decode_words, encode_words, no_value_words
from devices.profiles import WORDS, ProfilePoint, load_profile
from plant.errors import RefusedError

TYPES = sorted(WORDS)
ORDERS = ["ABCD", "CDAB", "BADC", "DCBA"]


def register(**given_fields):
    """A temperature register, changed where given."""
    fields = {"name": "x", "quantity": "temperature", "unit": "degC", "period_s": 1, "table": "holding", "address": 0}
    return ProfilePoint(**(fields | given_fields))


@given(st.sampled_from(TYPES), st.sampled_from(ORDERS), st.sampled_from([1.0, 0.1, 0.01]), st.integers(1, 30_000))
def test_what_is_encoded_decodes_to_the_same_value(kind, order, scale, steps):
    """A value on the device's grid survives the way out and back, in every type and word order."""
    point = register(type=kind, order=order, scale=scale)
    words = encode_words(point, steps * scale)
    assert len(words) == WORDS[kind]
    assert decode_words(point, words) == pytest.approx(steps * scale, rel=1e-6)


@given(st.floats(-300.0, 300.0))
def test_rounding_is_at_most_half_a_step(value):
    """A written temperature is off by at most half of the register's resolution."""
    point = register(type="s16", scale=0.01, quantity="count")
    assert abs(decode_words(point, encode_words(point, value)) - value) <= 0.005 + 1e-9


@pytest.mark.parametrize("order", ORDERS)
def test_word_orders_are_the_ones_of_the_trade(order):
    """0x41C80000 is 25.0 in each of the four orders that devices use."""
    words = {"ABCD": [0x41C8, 0], "CDAB": [0, 0x41C8], "BADC": [0xC841, 0], "DCBA": [0, 0xC841]}[order]
    assert decode_words(register(type="f32", order=order), words) == 25.0


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("u16", [0xFFFF]),
        ("s16", [0x8000]),
        ("s16", [0xFFFF]),
        ("u32", [0xFFFF, 0xFFFF]),
        ("f32", [0x7FC0, 0]),
        ("f32", [0x7F80, 0]),
    ],
)
def test_words_of_a_missing_sensor_are_not_a_number(kind, words):
    """All ones, the smallest signed number, NaN and infinity mean that there is no measurement."""
    assert math.isnan(decode_words(register(type=kind, scale=0.01), words))


def test_a_counter_may_use_every_word():
    """A heartbeat of 0xFFFF is a heartbeat."""
    assert decode_words(register(quantity="count", unit="1"), [0xFFFF]) == 65535


def test_a_state_that_the_profile_does_not_know_is_no_value():
    """An undeclared state never passes as one of the declared."""
    point = register(quantity="state", unit="code", states={0: "off", 1: "on"})
    assert decode_words(point, [1]) == 1
    assert math.isnan(decode_words(point, [7]))


@pytest.mark.parametrize("kind", TYPES)
def test_no_value_words_decode_to_nan(kind):
    """The words that stand for a broken sensor are read as one."""
    point = register(type=kind, order="CDAB")
    assert math.isnan(decode_words(point, no_value_words(point)))


@pytest.mark.parametrize("value", [math.nan, math.inf, 700.0, -400.0])
def test_what_does_not_fit_is_refused(value):
    """No wrapped or undefined word ever leaves."""
    with pytest.raises(RefusedError):
        encode_words(register(type="s16", scale=0.01), value)


def test_units_become_si():
    """l/min, kPa and % leave as m³/s, Pa and 1."""
    points = [
        register(name="flow", quantity="volume_flow", unit="l/min", type="f32", address=10),
        register(name="dp", quantity="differential_pressure", unit="kPa", type="u16", scale=0.1, address=12),
        register(name="speed", quantity="fraction", unit="%", type="u16", scale=0.01, address=13),
    ]
    values = compile_block(points, 10).decode([0x4270, 0, 1100, 7500])
    assert values.tolist() == pytest.approx([60 / 60_000, 110_000.0, 0.75])


def test_every_shipped_modbus_profile_round_trips():
    """Each register of each shipped profile decodes what it encodes."""
    for name in ("generic-cdu", "generic-dry-cooler", "generic-chiller", "generic-power-meter", "aalc-rpu"):
        for point in load_profile(name).points:
            value = 1 * point.factor + point.offset
            assert decode_words(point, encode_words(point, value)) == pytest.approx(value), f"{name} {point.name}"

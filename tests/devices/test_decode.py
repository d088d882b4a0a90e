"""Registers to SI and back."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.decode import compile_points, decode_words
from devices.encode import encode_words, no_value_words
from devices.profiles import WORDS, ProfilePoint, load_profile
from plant.errors import RefusedError

TYPES = sorted(WORDS)
ORDERS = ["ABCD", "CDAB", "BADC", "DCBA"]


def register(**given_fields):
    """A temperature register, changed where given."""
    fields = {"name": "x", "quantity": "temperature", "unit": "degC", "period_s": 1, "table": "holding", "address": 0}
    return ProfilePoint(**(fields | given_fields))


@settings(deadline=None)
@given(st.sampled_from(TYPES), st.sampled_from(ORDERS), st.sampled_from([1.0, 0.1, 0.01]), st.integers(1, 30_000))
def test_what_is_encoded_decodes_to_the_same_value(kind, order, scale, steps):
    """A value on the device's grid survives the way out and back, in every type and word order."""
    point = register(type=kind, order=order, scale=scale)
    words = encode_words(point, steps * scale)
    assert len(words) == WORDS[kind]
    assert decode_words(point, words) == pytest.approx(steps * scale, rel=1e-6)


@settings(deadline=None)
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
        ("u32", [0xFFFF, 0xFFFF]),
        ("f32", [0x7FC0, 0]),
        ("f32", [0x7F80, 0]),
    ],
)
def test_words_of_a_missing_sensor_are_not_a_number(kind, words):
    """All ones, the smallest signed number, NaN and infinity mean that there is no measurement."""
    assert math.isnan(decode_words(register(type=kind, scale=0.01), words))


@pytest.mark.parametrize("kind", ["s16", "s32", "s64"])
def test_minus_one_step_of_a_signed_register_is_a_measurement(kind):
    """A written -0.1 °C reads back as what it is; a device whose all ones mean no value has a profile that says so."""
    point = register(type=kind, scale=0.1)
    assert decode_words(point, encode_words(point, -0.1)) == pytest.approx(-0.1)
    told = register(type=kind, scale=0.1, invalid=(-1,))
    assert math.isnan(decode_words(told, [0xFFFF] * WORDS[kind]))
    assert decode_words(told, encode_words(told, -0.2)) == pytest.approx(-0.2)


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
    values = compile_points(points, [0, 2, 3]).decode([0x4270, 0, 1100, 7500])
    assert values.tolist() == pytest.approx([60 / 60_000, 110_000.0, 0.75])


def test_every_shipped_modbus_profile_round_trips():
    """Each register of each shipped profile decodes what it encodes."""
    for name in ("generic-cdu", "generic-dry-cooler", "generic-chiller", "generic-power-meter", "aalc-rpu"):
        for point in load_profile(name).points:
            value = 1 * point.factor + point.offset
            assert decode_words(point, encode_words(point, value)) == pytest.approx(value), f"{name} {point.name}"


def reference(point, words):
    """A value by plain Python, one point at a time: what the columns must equal."""
    octets = b"".join(struct.pack(">H", w) for w in words)
    if point.order in ("BADC", "DCBA"):
        octets = b"".join(octets[i : i + 2][::-1] for i in range(0, len(octets), 2))
    if point.order in ("CDAB", "DCBA"):
        octets = b"".join(octets[i : i + 2] for i in range(len(octets) - 2, -1, -2))
    code = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "f64": "d"}
    (raw,) = struct.unpack(">" + code[point.type], octets)
    unsigned = int.from_bytes(octets, "big")
    bits = 8 * len(octets)
    no_value = {"u": {(1 << bits) - 1}, "s": {1 << (bits - 1)}, "f": set()}[point.type[0]]
    if point.quantity in ("count", "state"):
        no_value = set()
    if unsigned in no_value or unsigned in point.invalid or not math.isfinite(raw):
        return math.nan
    if point.bit is not None:
        raw = unsigned >> point.bit & (1 << point.bit_width) - 1
    if point.states and raw not in point.states:
        return math.nan
    value = float(raw) * point.factor + point.offset
    return value if math.isfinite(value) else math.nan


KINDS = st.tuples(st.sampled_from(TYPES), st.sampled_from(ORDERS), st.sampled_from(["temperature", "count", "state"]))


@settings(deadline=None, max_examples=60)
@given(st.lists(KINDS, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_whole_blocks_decode_as_single_points_do(kinds, chance):
    """Columns of mixed types, orders, fixed points, bit fields, invalid words and states equal plain Python."""
    points, words = [], []
    for number, (kind, order, quantity) in enumerate(kinds):
        size = WORDS[kind]
        options = {}
        if kind[0] != "f" and chance.random() < 0.3:
            options["fixed"] = chance.randrange(1, 16)
        if kind[0] == "u" and chance.random() < 0.4:
            options["bit_width"] = chance.randrange(1, min(16 * size, 63))
            options["bit"] = chance.randrange(0, min(16 * size, 63) - options["bit_width"] + 1)
        if quantity == "state" and chance.random() < 0.5:
            options["states"] = {0: "off", 1: "on", 3: "odd"}
        if kind[0] != "f":
            options["invalid"] = (0x7FFF, 3)
        unit = "degC" if quantity == "temperature" else "1" if quantity == "count" else "code"
        points.append(
            register(
                name=f"p{number}", quantity=quantity, unit=unit, type=kind, order=order, address=len(words), **options
            )
        )
        special = chance.choice([None, 0, 0xFFFF, 0x8000, 0x7FFF, 3, 1])
        words += [chance.randrange(65_536) if special is None else special for _ in range(size)]
    decoder = compile_points(points, [p.address for p in points])
    values = decoder.decode(words)
    packed = decoder.decode(struct.pack(f">{len(words)}H", *words))
    wanted = [reference(p, words[p.address : p.address + p.words]) for p in points]
    assert values.tolist() == pytest.approx(wanted, rel=1e-14, abs=0, nan_ok=True)
    assert packed.tolist() == pytest.approx(wanted, rel=1e-14, abs=0, nan_ok=True)


def test_binary_fixed_point():
    """Precision 3 means eighths, precision 7 of a signed register 1/128ths."""
    assert decode_words(register(quantity="power", unit="W", type="u16", fixed=3), [801]) == 100.125
    assert decode_words(register(type="s16", fixed=7), [0xF380]) == -25.0
    assert encode_words(register(quantity="power", unit="W", type="u16", fixed=3), 100.125) == [801]


def test_a_counter_beyond_53_bits_keeps_sixteen_digits():
    """A 64-bit counter is a float in the end: exact up to 2^53, then to 1e-16 of its value."""
    counter = register(quantity="count", unit="1", type="u64")
    for raw in (2**53 - 1, 2**63 + 12_345, 2**64 - 2):
        words = [raw >> shift & 0xFFFF for shift in (48, 32, 16, 0)]
        assert decode_words(counter, words) == pytest.approx(raw, rel=1.2e-16)


def test_a_part_of_a_register_is_not_written_alone():
    """Writing three bits would clear the other thirteen: refused, unless the rest is given or it is the whole."""
    field = register(quantity="state", unit="code", bit=2, bit_width=3)
    with pytest.raises(RefusedError, match="write the whole register"):
        encode_words(field, 5)
    assert encode_words(field, 5, onto=[0xFF00]) == [0xFF14]
    with pytest.raises(RefusedError, match="does not fit 3 bits"):
        encode_words(field, 8, onto=[0])
    swapped = register(quantity="state", unit="code", bit=2, bit_width=3, order="BADC")
    assert encode_words(swapped, 5, onto=[0x00FF]) == [0x14FF]
    assert encode_words(register(quantity="state", unit="code", bit=0, bit_width=16), 9) == [9]


def test_a_value_whose_scale_was_not_read_is_no_value():
    """A point with a scale factor that is not among the points has no value, rather than one of a wrong size."""
    point = register(quantity="power", unit="W", type="s16", scale_from="sf")
    assert math.isnan(compile_points([point], [0]).decode([5])[0])
    assert decode_words(point, [5], exponent=2) == 500.0
    assert encode_words(point, 500.0, exponent=2) == [5]

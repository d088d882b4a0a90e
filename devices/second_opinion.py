"""What a write really says, read from its bytes by another way than `devices.decode` or `devices.dsx` made them.

Exact fractions and the standard library only, with units of its own: a fault in the encoder, in numpy or in the table
of units can't hide in both. What this can't see is a profile that is wrong about the device; the actuator looks at
what the register holds before it writes, and commissioning at what the plant does.
"""

from __future__ import annotations

import json
import math
import struct
from fractions import Fraction

from devices.profiles import ProfilePoint
from plant.errors import RefusedError

_WRITE_ONE, _WRITE_MANY = 6, 16
_FLOATS = {"f32": ">f", "f64": ">d"}
_MINUTE, _HOUR = 60, 3600

# engineering unit -> (a, b) with si = a * value + b; [source] SI brochure, NIST SP 811 for the customary units
_SI: dict[str, tuple[Fraction, Fraction]] = {
    unit: (Fraction(a), Fraction(b))
    for units, a, b in (
        (("", "1", "code", "m3/s", "m³/s", "Pa", "W", "VA", "J", "Hz", "A", "V", "s", "dB", "dBA"), 1, 0),
        (("degC", "DegC", "deg C", "°C", "C", "Celsius"), 1, 0),
        (("K",), 1, Fraction("-273.15")),
        (("degF", "DegF", "deg F", "°F", "F"), Fraction(5, 9), Fraction(-32 * 5, 9)),
        (("m3/h", "m³/h"), Fraction(1, _HOUR), 0),
        (("m3/min",), Fraction(1, _MINUTE), 0),
        (("CFM",), Fraction("0.3048") ** 3 / _MINUTE, 0),
        (("l/min", "L/min", "LPM", "lpm"), Fraction(1, 1000 * _MINUTE), 0),
        (("l/s", "L/s", "LPS"), Fraction(1, 1000), 0),
        (("l/h", "L/h"), Fraction(1, 1000 * _HOUR), 0),
        (("gpm", "GPM"), Fraction("0.003785411784") / _MINUTE, 0),
        (("kPa", "kpa", "KPA", "kW", "kw", "KW", "kVA", "kJ"), 1000, 0),
        (("mbar", "hPa"), 100, 0),
        (("BTU/h", "Btu/h", "BTUH"), Fraction("1055.05585262") / _HOUR, 0),
        (("bar",), 10**5, 0),
        (("psi", "PSI"), Fraction("6894.757293168"), 0),
        (("MW", "MHz", "MJ"), 10**6, 0),
        (("GJ",), 10**9, 0),
        (("mJ",), Fraction(1, 1000), 0),
        (("Wh",), _HOUR, 0),
        (("kWh",), 1000 * _HOUR, 0),
        (("MWh",), 10**6 * _HOUR, 0),
        (("%", "%RH"), Fraction(1, 100), 0),
        (("rpm", "RPM"), Fraction(1, _MINUTE), 0),
        (("min",), _MINUTE, 0),
        (("h",), _HOUR, 0),
    )
    for unit in units
}


def units() -> frozenset[str]:
    """The units that it knows."""
    return frozenset(_SI)


def in_si(value: Fraction, unit: str) -> Fraction:
    """A value in an engineering unit, in SI.

    Raises:
        RefusedError: a unit that it does not know, so nothing is written in it.
    """
    if unit not in _SI:
        raise RefusedError(f"unit {unit!r} can't be checked before a write, so it is not written")
    a, b = _SI[unit]
    return a * value + b


def said_by(pdu: bytes, point: ProfilePoint, address: int, *, exponent: int = 0) -> float:
    """What a write request of one point says [SI]; NaN for a float that is no number.

    address: where the point lies; exponent: of ten, where the point has `scale_from`.

    Raises:
        RefusedError: it writes something else than this point's registers.
    """
    octets = _in_order(_payload(pdu, point, address), point)
    raw = _raw(octets, point)
    if raw is None:
        return math.nan
    scaled = raw * Fraction(repr(point.scale)) * Fraction(10) ** exponent / 2**point.fixed
    return float(in_si(scaled, point.unit))


def said_on_bus(payload: bytes, name: str, unit: str) -> float:
    """What a DSX value message says [SI] to whoever reads it in `unit`, the unit of its point's metadata.

    NaN for a value that is no number, or that its publisher does not stand by.

    Raises:
        RefusedError: no DSX value message, or a unit that it does not know.
    """
    try:
        sent = json.loads(payload, parse_int=Fraction, parse_float=Fraction)
        value, quality, _ = (sent[key] for key in ("value", "quality", "timestamp"))
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{name}: the message is no value of the bus; not sent") from error
    if not isinstance(value, Fraction) or quality != 1:
        return math.nan
    return float(in_si(value, unit))


def _payload(pdu: bytes, point: ProfilePoint, address: int) -> bytes:
    function, first = pdu[0], int.from_bytes(pdu[1:3], "big")
    if function == _WRITE_ONE and len(pdu) == 5:
        payload = pdu[3:]
    elif function == _WRITE_MANY and len(pdu) > 6 and pdu[5] == len(pdu) - 6 == 2 * int.from_bytes(pdu[3:5], "big"):
        payload = pdu[6:]
    else:
        raise RefusedError(f"{point.name}: the frame is no write of holding registers; not sent")
    if first != address or len(payload) != 2 * point.words:
        text = f"the frame writes {len(payload) // 2} words from {first}, not {point.words} from {address}"
        raise RefusedError(f"{point.name}: {text}; not sent")
    return payload


def _in_order(payload: bytes, point: ProfilePoint) -> bytes:
    """Most significant octet first."""
    words = [payload[i : i + 2] for i in range(0, len(payload), 2)]
    if point.order in {"CDAB", "DCBA"}:
        words.reverse()
    if point.order in {"BADC", "DCBA"}:
        words = [word[::-1] for word in words]
    return b"".join(words)


def _raw(octets: bytes, point: ProfilePoint) -> Fraction | None:
    if point.type in _FLOATS:
        number = struct.unpack(_FLOATS[point.type], octets)[0]
        return Fraction(number) if math.isfinite(number) else None
    whole = int.from_bytes(octets, "big", signed=point.type.startswith("s"))
    if point.bit is not None:
        whole = whole >> point.bit & (1 << point.bit_width) - 1
    return Fraction(whole)

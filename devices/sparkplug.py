"""Sparkplug B (Eclipse Sparkplug 3.0.0): topics and the protobuf payload, read and written by hand.

Scalars are read; DataSets, Templates, arrays and bytes are passed over. Only what the collector needs is written.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from plant.errors import PermanentError

NAMESPACE = "spBv1.0"
NBIRTH, DBIRTH, NDATA, DDATA, NDEATH, DDEATH = "NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH"
READ = (NBIRTH, DBIRTH, NDATA, DDATA, NDEATH, DDEATH)
BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
QUALITY = "Quality"
"""Name of the property that carries a metric's quality."""
GOOD, STALE = 192, 500
"""Values of the `Quality` property (§6.4.18); 0 is bad."""
INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = range(1, 9)
FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, TEXT = range(9, 15)

Scalar = int | float | str | None

_SIGNED_BITS = {INT8: 8, INT16: 16, INT32: 32, INT64: 64}
_UNSIGNED_BITS = {UINT8: 8, UINT16: 16, UINT32: 32, UINT64: 64, DATETIME: 64}
# Fields of Payload and Metric, with their wire types (sparkplug_b.proto)
_TIMESTAMP, _METRIC, _SEQ = 1, 2, 3
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_PAYLOAD_WIRE = {1: _VARINT, 2: _BYTES, 3: _VARINT, 4: _BYTES, 5: _BYTES}
_METRIC_WIRE = {
    1: _BYTES, 2: _VARINT, 3: _VARINT, 4: _VARINT, 5: _VARINT, 6: _VARINT, 7: _VARINT, 8: _BYTES, 9: _BYTES,
    10: _VARINT, 11: _VARINT, 12: _FOUR, 13: _EIGHT, 14: _VARINT, 15: _BYTES, 16: _BYTES, 17: _BYTES, 18: _BYTES,
    19: _BYTES,
}  # fmt: skip
_NAME, _ALIAS, _TIMESTAMP_OF, _DATATYPE, _IS_HISTORICAL, _IS_NULL, _PROPERTIES = 1, 2, 3, 4, 5, 7, 9
_LAST_VALUE = 19
_ABSENT = (0, 0)
_INT_VALUE, _LONG_VALUE, _FLOAT_VALUE, _DOUBLE_VALUE, _BOOLEAN_VALUE, _STRING_VALUE = range(10, 16)


class Metric(msgspec.Struct, frozen=True, gc=False):
    """One metric as sent.

    name: "" if only the alias was sent; alias: None without; time_s: [s since 1970], NaN without; datatype: 0 without;
    value: number, text, or None for null or for what is no scalar; quality: of its property, None without.
    """

    name: str = ""
    alias: int | None = None
    time_s: float = math.nan
    datatype: int = 0
    historical: bool = False
    value: Scalar = None
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """One message's content. time_s: [s since 1970], NaN without; seq: 0..255, None without (NDEATH has none)."""

    time_s: float
    seq: int | None
    metrics: tuple[Metric, ...]

    def metric(self, name: str) -> Metric | None:
        """The metric of that name."""
        return next((m for m in self.metrics if m.name == name), None)


@dataclass(frozen=True, slots=True)
class Topic:
    """Where a message belongs. kind: NBIRTH, DDATA, ..; device: "" for the edge node itself."""

    group: str
    kind: str
    edge: str
    device: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (NAMESPACE, self.group, self.kind, self.edge, self.device)))

    @property
    def node(self) -> str:
        """`GROUP/EDGE`."""
        return f"{self.group}/{self.edge}"


def parse_topic(text: str) -> Topic:
    """A Sparkplug topic.

    Raises:
        PermanentError: not of the form spBv1.0/GROUP/TYPE/EDGE[/DEVICE].
    """
    parts = text.split("/")
    if len(parts) not in (4, 5) or parts[0] != NAMESPACE or not all(parts):
        raise PermanentError(f"topic {text}: expected {NAMESPACE}/GROUP/TYPE/EDGE, or that with /DEVICE")
    return Topic(*parts[1:])


def subscription(node: str) -> list[str]:
    """The filters that catch what `GROUP/EDGE` and its devices say, without the commands to them."""
    group, _, edge = node.partition("/")
    return [f"{NAMESPACE}/{group}/{kind}/{edge}" + ("/#" if kind[0] == "D" else "") for kind in READ]


# --- reading ---


def decode(payload: bytes) -> Payload:
    """A payload.

    Raises:
        PermanentError: not protobuf of this form.
    """
    try:
        return _payload(payload)
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise PermanentError(f"sparkplug payload of {len(payload)} bytes: {str(error).lower()}") from error


def _payload(data: bytes) -> Payload:
    time_s, seq, metrics = math.nan, None, []
    at, end = 0, len(data)
    while at < end:
        number, value, at = _field(data, at, end, _PAYLOAD_WIRE)
        if number == _METRIC:
            metrics.append(_metric(data, at - value, at))
        elif number == _TIMESTAMP:
            time_s = value / 1000
        elif number == _SEQ:
            if value > 255:
                raise IndexError(f"seq {value} is above 255")
            seq = value
    return Payload(time_s, seq, tuple(metrics))


def _metric(data: bytes, at: int, end: int) -> Metric:
    found: dict[int, tuple[int, int]] = {}  # field -> value and end
    kind = 0
    while at < end:
        number, value, at = _field(data, at, end, _METRIC_WIRE)
        found[number] = value, at
        if _INT_VALUE <= number <= _LAST_VALUE:
            kind = number
    name = _read_text(data, *found[_NAME]) if _NAME in found else ""
    alias = found[_ALIAS][0] if _ALIAS in found else None
    if not name and alias is None:
        raise IndexError("a metric with neither name nor alias")
    null = found.get(_IS_NULL, _ABSENT)[0] or not kind
    return Metric(
        name,
        alias,
        found[_TIMESTAMP_OF][0] / 1000 if _TIMESTAMP_OF in found else math.nan,
        found.get(_DATATYPE, _ABSENT)[0],
        found.get(_IS_HISTORICAL, _ABSENT)[0] != 0,
        None if null else _value(data, kind, *found[kind]),
        _quality(data, found[_PROPERTIES][1] - found[_PROPERTIES][0], found[_PROPERTIES][1])
        if _PROPERTIES in found
        else None,
    )


def _value(data: bytes, kind: int, raw: int, at: int) -> Scalar:
    """The value as its field says; whole numbers are still unsigned (`meant` knows the data type)."""
    if kind in (_INT_VALUE, _LONG_VALUE):
        return raw
    if kind == _BOOLEAN_VALUE:
        return float(raw != 0)
    if kind in (_FLOAT_VALUE, _DOUBLE_VALUE):
        form = _FLOAT if kind == _FLOAT_VALUE else _DOUBLE
        return float(form.unpack_from(data, at - form.size)[0])
    return _read_text(data, raw, at) if kind == _STRING_VALUE else None


def _read_text(data: bytes, length: int, end: int) -> str:
    return data[end - length : end].decode()


def meant(value: Scalar, datatype: int) -> float | str | None:
    """What a value means by its data type: protobuf carries signed whole numbers as unsigned ones."""
    if not isinstance(value, int):
        return value
    signed = datatype in _SIGNED_BITS
    bits = _SIGNED_BITS.get(datatype) or _UNSIGNED_BITS.get(datatype, 64)
    whole = value & (1 << bits) - 1
    return float(whole - (1 << bits) if signed and whole >> bits - 1 else whole)


def _quality(data: bytes, at: int, end: int) -> int | None:
    """The `Quality` among a metric's properties: keys (1) and values (2) lie in the same order."""
    keys: list[str] = []
    values: list[int | None] = []
    while at < end:
        number, value, at = _field(data, at, end, {1: _BYTES, 2: _BYTES})
        if number == 1:
            keys.append(data[at - value : at].decode())
        elif number == 2:
            values.append(_whole_number(data, at - value, at))
    return dict(zip(keys, values, strict=False)).get(QUALITY)


def _whole_number(data: bytes, at: int, end: int) -> int | None:
    """A property value, if it is a whole number (fields 3 and 4)."""
    found = None
    while at < end:
        number, value, at = _field(data, at, end, {3: _VARINT, 4: _VARINT})
        if number in (3, 4):
            found = value
    return found


def _field(data: bytes, at: int, end: int, wire_types: dict[int, int]) -> tuple[int, int, int]:
    """Number, value and end of the field at `at`; for bytes the value is their count, before the end."""
    tag, at = _varint(data, at, end)
    number, wire = tag >> 3, tag & 7
    if number == 0 or wire_types.get(number, wire) != wire:
        raise IndexError(f"field {number} has wire type {wire}")
    value = 0
    if wire == _VARINT:
        value, at = _varint(data, at, end)
    elif wire == _BYTES:
        value, at = _varint(data, at, end)
        at += value
    elif wire in (_EIGHT, _FOUR):
        at += 8 if wire == _EIGHT else 4
    else:
        raise IndexError(f"wire type {wire}")
    if at > end:
        raise IndexError(f"field {number} is cut off")
    return number, value, at


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise IndexError("a number of more than ten bytes")
    raise IndexError("a number is cut off")


# --- writing ---


def encode(time_s: float, metrics: Iterable[Metric], seq: int | None = None) -> bytes:
    """A payload; a metric's value is written as its data type says, null where it is None."""
    body = b"".join(_put_bytes(_METRIC, _encode_metric(metric)) for metric in metrics)
    return _put(_TIMESTAMP, round(time_s * 1000)) + body + (b"" if seq is None else _put(_SEQ, seq))


def rebirth(time_s: float) -> bytes:
    """The payload of the NCMD that asks an edge node for its births."""
    return encode(time_s, [Metric(REBIRTH, time_s=time_s, datatype=BOOLEAN, value=1.0)])


def _encode_metric(metric: Metric) -> bytes:
    out = _put_bytes(1, metric.name.encode()) if metric.name else b""
    if metric.alias is not None:
        out += _put(2, metric.alias)
    if not math.isnan(metric.time_s):
        out += _put(3, round(metric.time_s * 1000))
    if metric.datatype:
        out += _put(4, metric.datatype)
    if metric.historical:
        out += _put(5, 1)
    if metric.quality is not None:
        value = _put(1, INT32) + _put(3, metric.quality)
        out += _put_bytes(9, _put_bytes(1, QUALITY.encode()) + _put_bytes(2, value))
    return out + (_put(7, 1) if metric.value is None else _encode_value(metric.value, metric.datatype))


def _encode_value(value: float | str, datatype: int) -> bytes:
    if isinstance(value, str):
        return _put_bytes(_STRING_VALUE, value.encode())
    if datatype == FLOAT:
        return bytes([_FLOAT_VALUE << 3 | _FOUR]) + _FLOAT.pack(value)
    if datatype == BOOLEAN:
        return _put(_BOOLEAN_VALUE, int(value != 0))
    if datatype in (INT64, UINT64, DATETIME):
        return _put(_LONG_VALUE, int(value) & 0xFFFF_FFFF_FFFF_FFFF)
    if datatype in _SIGNED_BITS or datatype in _UNSIGNED_BITS:
        return _put(_INT_VALUE, int(value) & 0xFFFF_FFFF)
    return bytes([_DOUBLE_VALUE << 3 | _EIGHT]) + _DOUBLE.pack(value)


def _put(number: int, value: int) -> bytes:
    return _number(number << 3) + _number(value)


def _put_bytes(number: int, value: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(value)) + value


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

"""Sparkplug B (Eclipse Sparkplug 3.0.0): topics and payloads, read and written by hand.

Scalars are read; DataSets, Templates, arrays and bytes are passed over. Only what the collector needs is written.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from devices.protobuf import BYTES, EIGHT, FOUR, VARINT, field, put, put_bytes
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
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_PAYLOAD_WIRE = {1: VARINT, 2: BYTES, 3: VARINT, 4: BYTES, 5: BYTES}
_METRIC_WIRE = {
    1: BYTES, 2: VARINT, 3: VARINT, 4: VARINT, 5: VARINT, 6: VARINT, 7: VARINT, 8: BYTES, 9: BYTES,
    10: VARINT, 11: VARINT, 12: FOUR, 13: EIGHT, 14: VARINT, 15: BYTES, 16: BYTES, 17: BYTES, 18: BYTES,
    19: BYTES,
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
        number, value, at = field(data, at, end, _PAYLOAD_WIRE)
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
        number, value, at = field(data, at, end, _METRIC_WIRE)
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
        number, value, at = field(data, at, end, {1: BYTES, 2: BYTES})
        if number == 1:
            keys.append(data[at - value : at].decode())
        elif number == 2:
            values.append(_whole_number(data, at - value, at))
    return dict(zip(keys, values, strict=False)).get(QUALITY)


def _whole_number(data: bytes, at: int, end: int) -> int | None:
    """A property value, if it is a whole number (fields 3 and 4)."""
    found = None
    while at < end:
        number, value, at = field(data, at, end, {3: VARINT, 4: VARINT})
        if number in (3, 4):
            found = value
    return found


# --- writing ---


def encode(time_s: float, metrics: Iterable[Metric], seq: int | None = None) -> bytes:
    """A payload; a metric's value is written as its data type says, null where it is None."""
    body = b"".join(put_bytes(_METRIC, _encode_metric(metric)) for metric in metrics)
    return put(_TIMESTAMP, round(time_s * 1000)) + body + (b"" if seq is None else put(_SEQ, seq))


def rebirth(time_s: float) -> bytes:
    """The payload of the NCMD that asks an edge node for its births."""
    return encode(time_s, [Metric(REBIRTH, time_s=time_s, datatype=BOOLEAN, value=1.0)])


def _encode_metric(metric: Metric) -> bytes:
    out = put_bytes(1, metric.name.encode()) if metric.name else b""
    if metric.alias is not None:
        out += put(2, metric.alias)
    if not math.isnan(metric.time_s):
        out += put(3, round(metric.time_s * 1000))
    if metric.datatype:
        out += put(4, metric.datatype)
    if metric.historical:
        out += put(5, 1)
    if metric.quality is not None:
        value = put(1, INT32) + put(3, metric.quality)
        out += put_bytes(9, put_bytes(1, QUALITY.encode()) + put_bytes(2, value))
    return out + (put(7, 1) if metric.value is None else _encode_value(metric.value, metric.datatype))


def _encode_value(value: float | str, datatype: int) -> bytes:
    if isinstance(value, str):
        return put_bytes(_STRING_VALUE, value.encode())
    if datatype == FLOAT:
        return bytes([_FLOAT_VALUE << 3 | FOUR]) + _FLOAT.pack(value)
    if datatype == BOOLEAN:
        return put(_BOOLEAN_VALUE, int(value != 0))
    if datatype in (INT64, UINT64, DATETIME):
        return put(_LONG_VALUE, int(value) & 0xFFFF_FFFF_FFFF_FFFF)
    if datatype in _SIGNED_BITS or datatype in _UNSIGNED_BITS:
        return put(_INT_VALUE, int(value) & 0xFFFF_FFFF)
    return bytes([_DOUBLE_VALUE << 3 | EIGHT]) + _DOUBLE.pack(value)

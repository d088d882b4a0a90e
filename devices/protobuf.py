"""Protobuf's wire format: fields by number and wire type (protobuf.dev, "Encoding"), as much as Sparkplug needs."""

from __future__ import annotations

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""Wire types: a whole number, eight bytes, a count and so many bytes, four bytes."""


def field(data: bytes, at: int, end: int, wire_types: dict[int, int]) -> tuple[int, int, int]:
    """Number, value and end of the field at `at`; for bytes the value is their count, before the end.

    wire_types: of fields that are known.

    Raises:
        IndexError: it is cut off, or of another wire type than it should have.
    """
    tag, at = varint(data, at, end)
    number, wire = tag >> 3, tag & 7
    if number == 0 or wire_types.get(number, wire) != wire:
        raise IndexError(f"field {number} has wire type {wire}")
    value = 0
    if wire == VARINT:
        value, at = varint(data, at, end)
    elif wire == BYTES:
        value, at = varint(data, at, end)
        at += value
    elif wire in (EIGHT, FOUR):
        at += 8 if wire == EIGHT else 4
    else:
        raise IndexError(f"wire type {wire}")
    if at > end:
        raise IndexError(f"field {number} is cut off")
    return number, value, at


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The whole number at `at`, and its end.

    Raises:
        IndexError: it is cut off, or longer than ten bytes.
    """
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


def put(field_number: int, value: int) -> bytes:
    """A field with a whole number."""
    return number(field_number << 3) + number(value)


def put_bytes(field_number: int, value: bytes) -> bytes:
    """A field with bytes."""
    return number(field_number << 3 | BYTES) + number(len(value)) + value


def number(value: int) -> bytes:
    """A whole number, seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

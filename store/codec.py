"""Records to plain data and back. JSON has no NaN: it becomes null, and null becomes NaN where a float is due."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from plant.errors import ConfigError

T = TypeVar("T")


def to_plain(record: object) -> Any:
    """Dicts, lists, strings, numbers; NaN and infinities are None."""
    return _without_nan(msgspec.to_builtins(record))


def _without_nan(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return data


def from_plain(kind: type[T], data: object) -> T:
    """A record from plain data.

    Raises:
        ConfigError: the data are not of that kind; names the field.
    """
    try:
        return msgspec.convert(_with_nan(kind, data), type=kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"not a {getattr(kind, '__name__', kind)}: {error}") from error


def encode(record: object) -> bytes:
    """JSON on one line; NaN and infinities are null."""
    return msgspec.json.encode(record)


def decode(text: bytes) -> Any:
    """Plain data from JSON.

    Raises:
        ConfigError: not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not JSON: {error}") from error


def _with_nan(kind: Any, data: Any) -> Any:
    if data is None:
        return math.nan if _due_float(kind) else None
    if is_dataclass(kind) and isinstance(data, Mapping):
        hints = _hints(kind if isinstance(kind, type) else type(kind))
        return {key: _with_nan(hints.get(key), value) for key, value in data.items()}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is dict and isinstance(data, Mapping):
        return {key: _with_nan(inner[1], value) for key, value in data.items()}
    if origin in (list, tuple) and isinstance(data, Sequence):
        return [_with_nan(inner[0], value) for value in data]
    return data


def _due_float(kind: Any) -> bool:
    """A float, also as one of several kinds where nothing itself is none of them."""
    inner = get_args(kind)
    return kind is float or (float in inner and type(None) not in inner)


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    known = {f.name for f in fields(kind)}
    return {name: hint for name, hint in get_type_hints(kind).items() if name in known}

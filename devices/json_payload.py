"""Plain JSON: values by their path in any publisher's message.

A path is dotted (`status.temp`, `sensors.0.value`) or, with a leading slash, a JSON pointer (RFC 6901).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import msgspec

from devices.profiles import Profile, ProfilePoint
from plant.errors import PermanentError
from plant.quantities import SWITCHED

Path = tuple[str, ...]
OBJECT, POINT = "{object}", "{point}"
_MISSING = object()
_decoder = msgspec.json.Decoder()


def parse_path(text: str) -> Path:
    """The steps of a path; an empty one means the whole message."""
    if text.startswith("/"):
        return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
    return tuple(text.split(".")) if text else ()


def topic_of(profile: Profile, name: str, point: ProfilePoint) -> str:
    """Where a point of the equipment that publishers call `name` is published."""
    return profile.topic.replace(OBJECT, name).replace(POINT, point.field or point.name)


def decode(payload: bytes) -> Any:
    """A message.

    Raises:
        PermanentError: not JSON.
    """
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PermanentError(f"json payload: {str(error).lower()}") from error


class JsonPoint:
    """One point's way into a message, and what it means there."""

    def __init__(self, point: ProfilePoint) -> None:
        self._path = parse_path(point.path)
        self._switch = point.quantity in SWITCHED
        self._factor, self._offset = point.factor, point.offset
        self._codes = {text.casefold(): float(code) for code, text in point.states.items()}

    def value(self, message: Any) -> float | None:
        """Its value [SI]: NaN for null, None if the message does not have it.

        Raises:
            PermanentError: there is something that is no number.
        """
        found = find(message, self._path)
        if found is _MISSING:
            return None
        if isinstance(found, bool) and not self._switch:
            raise _no_number(found, self._path)
        raw = self._codes.get(found.casefold()) if isinstance(found, str) else None
        return (number(found, self._path) if raw is None else raw) * self._factor + self._offset


class Stamp:
    """Where a message says when it was measured."""

    def __init__(self, profile: Profile) -> None:
        self._path, self._unit = parse_path(profile.time_path), profile.time_unit

    def time_s(self, message: Any) -> float | None:
        """The time [s since 1970]; None if the profile names no path.

        Raises:
            PermanentError: the profile names a path, and there is no time.
        """
        if not self._path:
            return None
        found = find(message, self._path)
        if self._unit == "iso":
            return _iso(found, self._path)
        time_s = number(found, self._path) / (1000 if self._unit == "ms" else 1)
        if not math.isfinite(time_s):
            raise PermanentError(f"no time at {'.'.join(self._path)}")
        return time_s


def find(message: Any, path: Path) -> Any:
    """What lies at a path, or a mark that nothing does."""
    for step in path:
        if isinstance(message, dict):
            message = message.get(step, _MISSING)
        elif isinstance(message, list) and step.isdecimal() and int(step) < len(message):
            message = message[int(step)]
        else:
            return _MISSING
        if message is _MISSING:
            return _MISSING
    return message


def number(found: Any, path: Path) -> float:
    """A number, also as text or true and false; NaN for null.

    Raises:
        PermanentError: it is none.
    """
    if found is None:
        return math.nan
    try:
        if isinstance(found, bool | int | float | str):
            return float(found)
    except (ValueError, OverflowError):
        pass
    raise _no_number(found, path)


def _no_number(found: Any, path: Path) -> PermanentError:
    shown = "nothing" if found is _MISSING else repr(found)[:40]
    return PermanentError(f"expected a number at {'.'.join(path) or 'the top'}, found {shown}")


def _iso(found: Any, path: Path) -> float:
    try:
        stamp = datetime.fromisoformat(found)
        return (stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        shown = "nothing" if found is _MISSING else repr(found)[:40]
        raise PermanentError(f"expected an ISO 8601 time at {'.'.join(path)}, found {shown}") from error

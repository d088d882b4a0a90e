"""What is wrong with a file that a form describes, in coldplate's own words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from sites.problem import one_of, suggestion

Place = Sequence[str | int]
_PATTERNS = {
    r"^[\w.-]+$": "letters, digits, '.', '_' and '-' only",
    "^/": "a path that begins with /",
    r"^[^/\s]+$": "a host's name or address",
}
_WHOLE = "is {found}, a whole number is needed"
_NUMBER = "is {found}, a number is needed, without its unit"
_MAPPING = "is {found}, a mapping is needed"
_CHOICE = "is {found}, {expected} is needed"
_WORDS = {
    "missing": "is missing",
    "too_short": "has {actual_length} entries, at least {min_length} needed",
    "too_long": "has {actual_length} entries, at most {max_length} possible",
    "string_too_short": "is empty",
    "string_too_long": "has more than {max_length} characters",
    "string_type": "is {found}, a text is needed: write it in quotes",
    "string_pattern_mismatch": "is {found}, needed: {wanted}",
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than": "is {found}, more than {gt:g} is needed",
    "greater_than_equal": "is {found}, at least {ge:g} is needed",
    "less_than_equal": "is {found}, at most {le:g} is possible",
    "literal_error": _CHOICE,
    "enum": _CHOICE,
    "tuple_type": "is {found}, a list is needed",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "path_type": "is {found}, a path is needed",
}
"""By pydantic's type of error: what is found, and its context."""


def said(error: ErrorDetails, form: type[BaseModel]) -> tuple[str, str]:
    """What is wrong, and a remedy ("" where the form's own is all there is to say); form: of the whole file."""
    place = error["loc"]
    name = spoken(place)
    if error["type"] == "extra_forbidden":
        key, known = str(place[-1]), sorted(_keys(form, place[:-1]))
        return f"{name}: unknown key", one_of(key, known) if suggestion(key, known) else f"use {', '.join(known)}"
    if error["type"] == "value_error":
        return f"{name}: {str(error['msg']).removeprefix('Value error, ')}", ""
    found, more = _found(error["input"]), error.get("ctx", {})
    if error["type"] not in _WORDS:
        return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}, found {found}", ""
    pattern = str(more.get("pattern", ""))
    words = _WORDS[error["type"]].format(found=found, wanted=_PATTERNS.get(pattern, pattern), **more)
    return f"{name} {words}", ""


def spoken(place: Place) -> str:
    """`pools[0].name`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".") or "file"


def _found(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "empty" if value is None else repr(value)[:60]


def _keys(form: type[BaseModel], place: Place) -> Iterator[str]:
    """Those that the part of the file at `place` may have."""
    for part in place:
        if isinstance(part, str):
            fields = {field.alias or key: field for key, field in form.model_fields.items()}
            form = next(_forms(fields[part].annotation))
    yield from (field.alias or key for key, field in form.model_fields.items())


def _forms(annotation: Any) -> Iterator[type[BaseModel]]:
    """The forms that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _forms(part)

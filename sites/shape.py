"""Does the file have the right form? Unknown keys, missing keys, wrong types."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sites.form import SiteForm
from sites.problem import Fault, one_of, suggestion
from sites.schema import keys_at, meaning_of

_ENABLES_WRITING = re.compile(r"writ|enable|drivable|^mode|^auto|^control$", re.IGNORECASE)
_STAND_INS: Mapping[str, Any] = {
    "schema": 1,
    "site": {"id": "x", "name": "x", "timezone": "UTC", "gpus_per_rack": 1, "coolant": {"fluid": "water"}},
    "tariff": {"currency": "EUR", "energy_per_kwh": {"default": 0.0}},
    "carbon": {"kg_per_kwh": 0.0},
    "retention": {},
    "climate": {},
    "workload": {},
}
_OPTIONAL_OF_EQUIPMENT = frozenset({"name", "feeds", "meters", "design", "tags"})


def read_form(data: dict[str, Any]) -> tuple[SiteForm | None, list[Fault]]:
    """The form and its faults; with faults the form is mended as far as can be so that other checks still run.

    A mended form is only for finding more faults, never for use. None where nothing sensible is left.
    """
    faults: list[Fault] = []
    for _ in range(2):  # the second round sees what the mending left
        try:
            return SiteForm.model_validate(data), faults
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            faults += [] if faults else _faults(errors, data)
            data = copy.deepcopy(data)
            if not all([_mended(data, e) for e in errors]):  # noqa: C419 - every one must be tried
                return None, faults
        except RecursionError:
            return None, [Fault(place=(), message="an anchor contains itself", remedy="remove the circle of aliases")]
    return None, faults


def _faults(errors: Iterable[ErrorDetails], data: Any) -> list[Fault]:
    faults: dict[tuple[str | int, ...], Fault] = {}
    for error in errors:
        fault = _fault(error, data)
        faults.setdefault(fault.place, fault)
    return list(faults.values())


def _fault(error: ErrorDetails, data: Any) -> Fault:
    place = error["loc"]
    if error["type"] == "extra_forbidden":
        return _unknown(place)
    if error["type"] == "missing":
        return Fault(
            place=place,
            message=f"{_spoken(place[:-1])}key {place[-1]!r} is missing",
            remedy=f"add `{place[-1]}: ` ({meaning_of(place) or 'see the schema'})",
        )
    place = _existing(place, data)
    message = f"{_spoken(place)}{_small(error['msg'])}, found {_shown(error['input'])}"
    meaning = meaning_of(place) or meaning_of(place[:-1])
    return Fault(place=place, message=message, remedy=f"expected: {meaning}")


def _unknown(place: tuple[str | int, ...]) -> Fault:
    key, known = str(place[-1]), keys_at(place[:-1])
    if _ENABLES_WRITING.search(key) and not suggestion(key, known, 0.8):
        message = f"{_spoken(place[:-1])}{key!r} looks like an attempt to enable writing, which a site file never does"
        return Fault(place=place, message=message, remedy="delete it; every loop starts in advisory mode")
    remedy = f"{one_of(key, known)} else delete it" if suggestion(key, known) else f"delete it; {one_of(key, known)}"
    return Fault(place=place, message=f"{_spoken(place[:-1])}unknown key {key!r}", remedy=remedy)


def _existing(place: tuple[str | int, ...], data: Any) -> tuple[str | int, ...]:
    """The part of a place that is in the data: pydantic adds names of union branches and `[key]`."""
    for depth, part in enumerate(place):
        inside = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not inside and not (isinstance(data, dict) and part in data):
            return place[:depth]
        data = data[part]
    return place


def _spoken(place: Iterable[str | int]) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    return f"{text}: " if text else ""


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)[:60]


def _mended(data: dict[str, Any], error: ErrorDetails) -> bool:
    """Take out of `data` what the error is about, where the rest still makes sense without it."""
    place = error["loc"]
    if error["type"] != "extra_forbidden":
        return _section_mended(data, place)
    if _existing(place, data) == place:
        parent: Any = data
        for part in place[:-1]:
            parent = parent[part]
        del parent[place[-1]]
    return True


def _section_mended(data: dict[str, Any], place: tuple[str | int, ...]) -> bool:
    section = str(place[0])
    if section in _STAND_INS:
        data[section] = copy.deepcopy(_STAND_INS[section])
    elif section == "limits" and len(place) > 1:
        stand_in = {"id": f"limit-{place[1]}", "quantity": "case_temperature", "max": 1e6, "source": ""}
        data[section][place[1]] = stand_in
    elif section in {"limits", "cooling_groups", "out_of_service"}:
        data[section] = []
    elif section == "equipment" and len(place) > 2 and place[2] in _OPTIONAL_OF_EQUIPMENT:
        data[section][place[1]].pop(place[2], None)
    else:
        return False
    return True

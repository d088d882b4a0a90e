"""What a trend's header means: whose it is, what it measures, in which unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plant.errors import ConfigError
from plant.quantities import si_unit, to_si


def _of_facility(*words: str) -> tuple[tuple[str, ...], ...]:
    """What names facility water, each with these words."""
    return tuple((name, *words) for name in ("fws", "primary", "facility", "chilled", "chw"))


_RACKS_COOLANT = frozenset({"supply_temperature", "return_temperature", "supply_setpoint", "flow"})
_NOT_COOLANT = frozenset({"air", "ahu", "crah", "crac", "condenser", "tower"})
"""Words of a supply, return or flow that is none of the racks' coolant; taken for it, every hall would be too cold."""
_HEAT_TOO = frozenset({"cdu", "chiller", "ahu", "crah", "crac", "economiser", "tower", "unit"})
"""A unit's `cooling power` may be the heat that it carries as well as what it draws."""

# role -> (unit where the header names none, words of which one group must all be in the header)
ROLES: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "supply_setpoint": ("degC", (("supply", "temp", "setpoint"), ("supply", "temp", "sp"), ("supply", "sp"))),
    "pressure_setpoint": ("kPa", (("pressure", "setpoint"), ("dp", "sp"), ("pressure", "sp"))),
    "facility_supply_temperature": ("degC", _of_facility("supply", "temp")),
    "facility_return_temperature": ("degC", _of_facility("return", "temp")),
    "supply_temperature": ("degC", (("supply", "temp"),)),
    "return_temperature": ("degC", (("return", "temp"),)),
    "dew_point": ("degC", (("dew",),)),
    "wet_bulb": ("degC", (("wet",),)),
    "dry_bulb": ("degC", (("dry", "bulb"), ("outdoor", "temp"), ("outside", "temp"), ("oat",), ("ambient", "temp"))),
    "valve": ("%", (("valve",),)),
    "pump_speed": ("%", (("pump", "speed"), ("pump", "hz"), ("pump", "rpm"))),
    "facility_flow": ("l/min", _of_facility("flow")),
    "flow": ("l/min", (("flow",),)),
    "cooling_power": ("kW", (("cooling", "power"), ("chiller", "power"), ("fan", "power"), ("pump", "power"))),
    "it_power": ("kW", (("it", "power"), ("rack", "power"), ("ups", "power"))),
    "active": ("1", (("coldplate", "active"),)),
    "heat": ("kW", (("heat",), ("duty",))),
}
_UNIT = re.compile(r"[\[(]([^\])]*)[\])]\s*$")
_LAST = re.compile(r"[\s_,;:]+")
_PART = re.compile(r"[^A-Za-z0-9]+|(?<=[A-Za-z])(?=[0-9])|(?<=[a-z])(?=[A-Z])")
_LETTERS = frozenset("abcdefgh")
"""Names of CDUs that are not numbered; later letters stand for quantities."""
_SHORT = {"temperature": "temp", "t": "temp", "tmp": "temp", "position": "", "pos": "", "differential": "", "spt": "sp"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one column; unit: as the file has it; assumed: nobody named it."""

    equipment: str
    role: str
    unit: str
    assumed: bool


def mapped(given: Mapping[str, Any], header: str, below: str, where: str) -> Meaning:
    """What a map says of a header; below: the unit that stands in the line under it.

    Raises:
        ConfigError: a unit that there is not, or that is none of the role.
    """
    role = str(given["role"])
    told = str(given.get("unit") or _unit_of(header) or below)
    unit = _known(told or ROLES[role][0], header, where)
    if not _fits(unit, role):
        remedy = f"give a unit like {ROLES[role][0]}, or the role that it measures"
        raise ConfigError(f"column {header!r}: {unit!r} is no unit of {role}", where=where, remedy=remedy)
    return Meaning(str(given.get("equipment") or "site"), role, unit, not told)


def _known(unit: str, header: str, where: str) -> str:
    """The unit, which must be one that there is: figures in another one would be wrong without a word."""
    try:
        to_si(unit)
    except ConfigError as error:
        raise ConfigError(f"column {header!r}: {error.message}", where=where, remedy=error.remedy) from error
    return unit


def _fits(unit: str, role: str) -> bool:
    """Whether a role can be told in a known unit: kWh are no power, and a flow of kilowatts is none."""
    return si_unit(unit) == si_unit(ROLES[role][0]) or (role == "pump_speed" and si_unit(unit) == si_unit("Hz"))


def _unit_of(header: str) -> str:
    found = _UNIT.search(header)
    return found[1].strip() if found else ""


def guessed(header: str, below: str, where: str) -> Meaning | None:
    """What a header's words say; None: nothing; below: the unit that stands in the line under it.

    Raises:
        ConfigError: a unit that there is not.
    """
    unit = _unit_of(header) or below
    words = [w.lower() for w in _PART.split(_UNIT.sub("", header)) if w]
    plain = {_SHORT.get(w, w) for w in words}
    for role, (default, groups) in ROLES.items():
        if any(plain >= set(group) for group in groups):
            told = unit or _last_word(header, role)
            known = _known(told or default, header, where)
            clear = _fits(known, role) and not _doubtful(role, plain)
            return Meaning(_equipment(words), role, known, not told) if clear else None
    return None


def _doubtful(role: str, words: set[str]) -> bool:
    """Whether a header may mean another thing as well, so that only a map can tell."""
    if role == "cooling_power":
        return "cooling" in words and not words.isdisjoint(_HEAT_TOO)
    return role in _RACKS_COOLANT and not words.isdisjoint(_NOT_COOLANT)


def _last_word(header: str, role: str) -> str:
    """A unit of the role that ends a header without brackets: `supply temp °F`."""
    word = _LAST.split(header)[-1]
    try:
        return word if not word.isdigit() and word and _fits(word, role) else ""
    except ConfigError:
        return ""


def _equipment(words: list[str]) -> str:
    """`cdu-1` of ["cdu", "1", "supply", ...], `hall-2-cdu-b` of its like; `site` where nothing is numbered."""
    at = words.index("cdu") if "cdu" in words else 0
    named = words[at + 1 : at + 2]
    if not named or not (named[0].isdigit() or (words[at] == "cdu" and named[0] in _LETTERS)):
        return "site"
    return "-".join(str(int(w)) if w.isdigit() else w for w in words[: at + 2])

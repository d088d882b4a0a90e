"""A building's trend export as columns with a meaning: CSV in, faults with their line out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from plant.errors import ConfigError
from plant.quantities import to_si
from reports.switchback_estimate import Trends

Floats = npt.NDArray[np.float64]
LEAST_ROWS = 200
LATEST_S = 4e9
EMPTY = frozenset({"", "nan", "null", "none", "n/a", "na", "-", "bad", "no data", "#n/a"})

# role -> (unit where the header names none, words of which one group must all be in the header)
ROLES: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "supply_setpoint": ("degC", (("supply", "temp", "setpoint"), ("supply", "temp", "sp"), ("supply", "sp"))),
    "pressure_setpoint": ("kPa", (("pressure", "setpoint"), ("dp", "sp"), ("pressure", "sp"))),
    "facility_supply_temperature": ("degC", (("fws", "supply", "temp"), ("primary", "supply", "temp"))),
    "facility_return_temperature": ("degC", (("fws", "return", "temp"), ("primary", "return", "temp"))),
    "supply_temperature": ("degC", (("supply", "temp"),)),
    "return_temperature": ("degC", (("return", "temp"),)),
    "dew_point": ("degC", (("dew",),)),
    "wet_bulb": ("degC", (("wet",),)),
    "valve": ("%", (("valve",),)),
    "pump_speed": ("%", (("pump", "speed"), ("pump", "hz"), ("pump", "rpm"))),
    "facility_flow": ("l/min", (("fws", "flow"), ("primary", "flow"))),
    "flow": ("l/min", (("flow",),)),
    "cooling_power": ("kW", (("cooling", "power"), ("chiller", "power"), ("fan", "power"), ("pump", "power"))),
    "it_power": ("kW", (("it", "power"), ("rack", "power"), ("ups", "power"))),
    "active": ("1", (("coldplate", "active"),)),
    "heat": ("kW", (("heat",), ("duty",))),
}
_TIMES = frozenset({"time", "timestamp", "datetime", "date", "time_s", "zeit", "ts"})
_UNIT = re.compile(r"[\[(]([^\])]*)[\])]\s*$")
_PART = re.compile(r"[^a-z0-9]+|(?<=[a-z])(?=[0-9])")
_SHORT = {"temperature": "temp", "t": "temp", "tmp": "temp", "position": "", "pos": "", "differential": "", "spt": "sp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One trend: value [SI], shape (n,), NaN where there is none."""

    header: str
    equipment: str
    role: str
    value: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendTable:
    """All of them: time_s [s since 1970], ascending; ignored: headers that mean nothing here."""

    time_s: Floats
    columns: tuple[Column, ...]
    manifolds: Mapping[str, tuple[str, ...]]
    ignored: tuple[str, ...]

    def of(self, role: str, equipment: str | None = None) -> list[Column]:
        """Columns of a role."""
        return [c for c in self.columns if c.role == role and equipment in {None, c.equipment}]

    @property
    def step_s(self) -> float:
        """The usual distance of rows [s]."""
        return float(np.median(np.diff(self.time_s)))


@dataclass(frozen=True, slots=True)
class _Meaning:
    equipment: str
    role: str
    unit: str


def read_trends(path: Path, mapping: Path | None = None) -> TrendTable:
    """The trends of a CSV file.

    mapping: a YAML file `{time: HEADER, columns: {HEADER: {equipment: , role: , unit: }}, manifolds: {ID: [CDU]}}`;
    without it headers are understood by their words, e.g. `CDU-1 supply temp (°C)` or `cdu-1/tcs_supply_temperature`.

    Raises:
        ConfigError: the file, or its first fault with its line and what to do.
    """
    plan = _mapping(mapping) if mapping is not None else {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read: {error}", where=str(path), remedy="give a CSV file in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        when, meanings = _understood(header, plan, path)
        time_s, rows = _numbers(reader, header, when, sorted(meanings), path)
    except csv.Error as error:
        where = f"{path}:{reader.line_num}"
        raise ConfigError(f"not CSV: {error}", where=where, remedy='part cells by commas, quote with ""') from error
    if len(time_s) < LEAST_ROWS:
        remedy = "export more, best 30 days at five minutes or faster"
        raise ConfigError(f"{len(time_s)} rows, at least {LEAST_ROWS} are needed", where=str(path), remedy=remedy)
    values = np.array(rows).T
    columns = []
    for place, index in enumerate(sorted(meanings)):
        meaning = meanings[index]
        factor, offset = to_si(meaning.unit)
        value = values[place] * factor + offset
        columns.append(Column(header=header[index], equipment=meaning.equipment, role=meaning.role, value=value))
    ignored = tuple(h for i, h in enumerate(header) if i != when and i not in meanings)
    manifolds = {str(k): tuple(map(str, v)) for k, v in dict(plan.get("manifolds") or {}).items()}
    return TrendTable(time_s=np.array(time_s), columns=tuple(columns), manifolds=manifolds, ignored=ignored)


def switchback_trends(table: TrendTable) -> tuple[Trends, Floats | None]:
    """What a switchback needs: summed cooling power, summed heat (else IT power), wet bulb; and where coldplate drove.

    Raises:
        ConfigError: one of them is not there.
    """
    found = []
    for roles in (("cooling_power",), ("heat", "it_power"), ("wet_bulb",)):
        columns = next((c for role in roles if (c := table.of(role))), [])
        if not columns:
            remedy = f"name one in a map with --map, role {roles[0]}"
            raise ConfigError(f"the trends have no column of {' or '.join(roles)}", remedy=remedy)
        kept = columns[:1] if roles == ("wet_bulb",) else columns
        found.append(np.sum([c.value for c in kept], axis=0))
    active = table.of("active")
    trends = Trends(time_s=table.time_s, cooling_w=found[0], heat_w=found[1], wet_bulb_c=found[2])
    return trends, active[0].value if active else None


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _mapping(path: Path) -> dict[str, Any]:
    try:
        plan = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError("the map can't be read", where=where, remedy="give a YAML file") from error
    if not isinstance(plan, dict) or not isinstance(plan.get("columns"), dict):
        remedy = "write `columns:` with `HEADER: {equipment: , role: , unit: }` below it"
        raise ConfigError("the map has no columns", where=str(path), remedy=remedy)
    for header, meaning in plan["columns"].items():
        if not isinstance(meaning, dict) or meaning.get("role") not in ROLES:
            remedy = f"use one of {', '.join(ROLES)}"
            raise ConfigError(f"column {header!r} has no known role", where=str(path), remedy=remedy)
    return plan


def _understood(header: list[str], plan: Mapping[str, Any], path: Path) -> tuple[int, dict[int, _Meaning]]:
    where = f"{path}:1"
    named = str(plan.get("time") or "")
    times = [i for i, h in enumerate(header) if h == named or (not named and h.lower().split(" (")[0] in _TIMES)]
    if not times:
        remedy = "call the column of times `time`, or name it in the map"
        raise ConfigError("no column of times", where=where, remedy=remedy)
    given: Mapping[str, Mapping[str, Any]] = plan.get("columns") or {}
    for wanted in given:
        if wanted not in header:
            raise ConfigError(
                f"the map's column {wanted!r} is not there", where=where, remedy="use a header as written"
            )
    meanings = {}
    for index, name in enumerate(header):
        meaning = _mapped(given[name], name, where) if name in given else None if given else _guessed(name)
        if meaning is not None and index != times[0]:
            meanings[index] = meaning
    if not meanings:
        remedy = "give a map with --map; see docs/operating.md"
        raise ConfigError("no header is understood", where=where, remedy=remedy)
    return times[0], meanings


def _mapped(given: Mapping[str, Any], header: str, where: str) -> _Meaning:
    role = str(given["role"])
    unit = str(given.get("unit") or _unit_of(header) or ROLES[role][0])
    try:
        to_si(unit)
    except ConfigError as error:
        raise ConfigError(f"column {header!r}: {error.message}", where=where, remedy=error.remedy) from error
    return _Meaning(str(given.get("equipment") or "site"), role, unit)


def _unit_of(header: str) -> str:
    found = _UNIT.search(header)
    return found[1].strip() if found else ""


def _guessed(header: str) -> _Meaning | None:
    unit = _unit_of(header)
    words = [w for w in _PART.split(_UNIT.sub("", header).lower()) if w]
    plain = {_SHORT.get(w, w) for w in words}
    for role, (default, groups) in ROLES.items():
        if any(plain >= set(group) for group in groups):
            try:
                to_si(unit or default)
            except ConfigError:
                unit = ""
            return _Meaning(_equipment(words), role, unit or default)
    return None


def _equipment(words: list[str]) -> str:
    """`cdu-1` of ["cdu", "1", "supply", ...]; `site` where no number follows the first word."""
    if len(words) > 1 and words[1].isdigit():
        return f"{words[0]}-{int(words[1])}"
    return "site"


def _numbers(
    rows: Iterator[list[str]], header: list[str], when: int, wanted: list[int], path: Path
) -> tuple[list[float], list[list[float]]]:
    times: list[float] = []
    values: list[list[float]] = []
    for number, cells in enumerate(rows, 2):
        where = f"{path}:{number}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            remedy = "give each line one cell for each column"
            raise ConfigError(f"{len(cells)} cells, but {len(header)} columns", where=where, remedy=remedy)
        time_s = _time(cells[when].strip(), where)
        if times and time_s <= times[-1]:
            remedy = "sort by time, and give each time once; local times repeat an hour in autumn, so use UTC"
            raise ConfigError(f"{cells[when].strip()!r} is not after the line before", where=where, remedy=remedy)
        times.append(time_s)
        values.append([_number(cells[i].strip(), header[i], where) for i in wanted])
    return times, values


def _time(text: str, where: str) -> float:
    try:
        found = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            remedy = "write 2026-11-01T12:00:00Z, or seconds since 1970"
            raise ConfigError(f"{text!r} is no time", where=where, remedy=remedy) from error
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= found < LATEST_S:
        raise ConfigError(f"{text!r} is no time", where=where, remedy="give seconds, not milliseconds, since 1970")
    return found


def _number(text: str, header: str, where: str) -> float:
    if text.lower() in EMPTY:
        return float("nan")
    try:
        found = float(text)
    except ValueError as error:
        remedy = "write numbers with a point, and leave the cell empty where there is none"
        raise ConfigError(f"{header}: {text!r} is no number", where=where, remedy=remedy) from error
    return found if np.isfinite(found) else float("nan")

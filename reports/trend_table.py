"""A building's trend export as columns with a meaning: CSV in, faults with their line out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from plant.errors import ConfigError
from plant.quantities import to_si
from reports.switchback_estimate import Trends
from reports.trend_csv import Sheet, numbers, open_sheet
from reports.trend_headers import ROLES, Meaning, guessed, mapped
from reports.trend_plausible import refuse_implausible
from sites.document import Document, Place, read_document
from sites.problem import one_of

Floats = npt.NDArray[np.float64]
LEAST_ROWS = 200
LEAST_FILLED = 0.01
_TOTAL = frozenset({"total", "sum", "gesamt"})
PLAN_KEYS, COLUMN_KEYS = ("time", "timezone", "columns", "manifolds"), ("equipment", "role", "unit")
"""What a map may say, and of a column."""


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

    def summed(self, role: str) -> list[Column]:
        """Columns of a role that add up: those called total where there are any, which the others are parts of."""
        columns = self.of(role)
        return [c for c in columns if not _TOTAL.isdisjoint(c.header.lower().split())] or columns

    @property
    def step_s(self) -> float:
        """The usual distance of rows [s]."""
        return float(np.median(np.diff(self.time_s)))


def read_trends(path: Path, mapping: Path | None = None) -> TrendTable:
    """The trends of a CSV file.

    mapping: a YAML file `{time: HEADER, timezone: ZONE, columns: {HEADER: {equipment: , role: , unit: }}, manifolds:
    {ID: [CDU]}}`; without it headers are understood by their words, e.g. `CDU-1 supply temp (°C)` or
    `cdu-1/tcs_supply_temperature`.

    Raises:
        ConfigError: the file, or its first fault with its line and what to do.
    """
    plan = _mapping(mapping) if mapping is not None else {}
    sheet = open_sheet(path, str(plan.get("time") or ""))
    meanings = _understood(sheet, plan)
    wanted = sorted(meanings)
    time_s, values = numbers(sheet, wanted, [meanings[i].unit for i in wanted], _zone(plan, mapping))
    if len(time_s) < LEAST_ROWS:
        remedy = "export more, best 30 days at five minutes or faster"
        raise ConfigError(f"{len(time_s)} rows, at least {LEAST_ROWS} are needed", where=str(path), remedy=remedy)
    _filled(time_s, path)
    kept = _once(sheet, wanted, values)
    columns = []
    for index, raw in kept.items():
        meaning, (factor, offset) = meanings[index], to_si(meanings[index].unit)
        value = raw * factor + offset
        refuse_implausible(value, meaning, f"column {sheet.header[index]!r}", sheet.where())
        columns.append(Column(header=sheet.header[index], equipment=meaning.equipment, role=meaning.role, value=value))
    ignored = tuple(h for i, h in enumerate(sheet.header) if i not in sheet.when and i not in kept)
    manifolds = {str(k): tuple(map(str, v)) for k, v in dict(plan.get("manifolds") or {}).items()}
    return TrendTable(time_s=time_s, columns=tuple(columns), manifolds=manifolds, ignored=ignored)


def _filled(time_s: Floats, path: Path) -> None:
    """One wrong year would make a history of centuries, which nobody has the memory for.

    Raises:
        ConfigError: rows fill next to nothing of their span.
    """
    steps = np.diff(time_s)
    if len(time_s) * float(np.median(steps)) >= LEAST_FILLED * (time_s[-1] - time_s[0]):
        return
    at = int(np.argmax(steps))
    before, after = (datetime.fromtimestamp(t, UTC).isoformat() for t in time_s[at : at + 2])
    message = f"rows fill less than {LEAST_FILLED:.0%} of their time: after {before} comes {after}"
    raise ConfigError(message, where=str(path), remedy="correct the year of that line, or leave the far lines out")


def _once(sheet: Sheet, wanted: list[int], values: list[Floats]) -> dict[int, Floats]:
    """Columns by their place; one that was exported twice counts once.

    Raises:
        ConfigError: two columns of one header differ.
    """
    kept: dict[int, Floats] = {}
    first: dict[str, int] = {}
    for index, value in zip(wanted, values, strict=True):
        same = first.setdefault(sheet.header[index], index)
        if same == index:
            kept[index] = value
        elif not np.array_equal(kept[same], value, equal_nan=True):
            remedy = "give each column a header of its own"
            raise ConfigError(f"two columns are called {sheet.header[index]!r}", where=sheet.where(), remedy=remedy)
    return kept


def _zone(plan: Mapping[str, Any], mapping: Path | None) -> str:
    zone = str(plan.get("timezone") or "")
    try:
        return zone if not zone else ZoneInfo(zone).key
    except (KeyError, OSError, ValueError) as error:
        remedy = "give an IANA name such as Europe/Berlin"
        raise ConfigError(f"unknown timezone {zone!r}", where=str(mapping), remedy=remedy) from error


def switchback_trends(table: TrendTable) -> tuple[Trends, Floats | None]:
    """What a switchback needs: summed cooling power, summed heat (else IT power), wet bulb; and where coldplate drove.

    Raises:
        ConfigError: one of them is not there.
    """
    found = []
    for roles in (("cooling_power",), ("heat", "it_power"), ("wet_bulb",)):
        columns = next((c for role in roles if (c := table.summed(role))), [])
        if not columns:
            remedy = f"name one in a map with --map, role {roles[0]}"
            raise ConfigError(f"the trends have no column of {' or '.join(roles)}", remedy=remedy)
        kept = columns[:1] if roles == ("wet_bulb",) else columns
        found.append(np.sum([c.value for c in kept], axis=0))
    active = table.of("active")
    trends = Trends(time_s=table.time_s, cooling_w=found[0], heat_w=found[1], wet_bulb_c=found[2])
    return trends, active[0].value if active else None


def _mapping(path: Path) -> dict[str, Any]:
    document = read_document(path, "map", "write `columns:` with `HEADER: {equipment: , role: , unit: }` below it")
    plan = document.data
    columns, manifolds = plan.get("columns"), plan.get("manifolds") or {}
    if not isinstance(columns, dict):
        remedy = "write `columns:` with `HEADER: {equipment: , role: , unit: }` below it"
        raise ConfigError("the map has no columns", where=document.where(()), remedy=remedy)
    _known_keys(plan, PLAN_KEYS, document, ())
    for header, meaning in columns.items():
        place = ("columns", header)
        if not isinstance(meaning, dict) or str(meaning.get("role")) not in ROLES:
            remedy = f"use one of {', '.join(ROLES)}"
            raise ConfigError(f"column {header!r} has no known role", where=document.where(place), remedy=remedy)
        _known_keys(meaning, COLUMN_KEYS, document, place)
    if not isinstance(manifolds, dict) or not all(isinstance(cdus, list) for cdus in manifolds.values()):
        where = document.where(("manifolds",))
        raise ConfigError("no list of CDUs for a manifold", where=where, remedy="write `manifolds: {ID: [CDU, CDU]}`")
    return plan


def _known_keys(given: Mapping[Any, Any], known: Sequence[str], document: Document, place: Place) -> None:
    """A misspelt unit would be taken for none, and its column read in another.

    Raises:
        ConfigError: a key that means nothing.
    """
    for key in given:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r}", where=document.where((*place, key)), remedy=one_of(str(key), known)
            )


def _understood(sheet: Sheet, plan: Mapping[str, Any]) -> dict[int, Meaning]:
    where = sheet.where()
    given: Mapping[str, Mapping[str, Any]] = plan.get("columns") or {}
    for wanted in given:
        if wanted not in sheet.header:
            raise ConfigError(
                f"the map's column {wanted!r} is not there", where=where, remedy="use a header as written"
            )
    meanings = {}
    for index, name in enumerate(sheet.header):
        unit = sheet.units[index]
        if name in given:
            meaning: Meaning | None = mapped(given[name], name, unit, where)
        else:
            meaning = None if given else guessed(name, unit, where)
        if meaning is not None and index not in sheet.when:
            meanings[index] = meaning
    if not meanings:
        remedy = "give a map with --map; see docs/operating.md"
        raise ConfigError("no header is understood", where=where, remedy=remedy)
    return meanings

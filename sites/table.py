"""A point list in CSV, read into the data of a site file; every fault keeps its line in the list."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices.profiles import load_profile, profile_names
from plant.errors import ConfigError
from sites.check import faults_of
from sites.problem import Fault, Problem, one_of

REQUIRED = ("equipment", "kind")
COLUMNS = (*REQUIRED, "name", "profile", "link", "host", "port", "unit", "object", "feeds", "meters")
_PLACEHOLDER = "placeholder; replace"


@dataclass(frozen=True)
class Row:
    """One line of the list: its number and its cells by column, empty where there is none."""

    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass
class Table:
    """The list as data of a site file, and which line each part came from."""

    path: str
    data: dict[str, Any]
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def problems(self) -> list[Problem]:
        """All faults, at lines of the list."""
        faults = self.faults or faults_of(self.data)[1]
        found = {p.where + p.message: p for p in map(self._located, faults)}
        return sorted(found.values(), key=lambda p: int(p.where.rpartition(":")[2]))

    def _located(self, fault: Fault) -> Problem:
        place = fault.place
        while place and place not in self.lines:
            place = place[:-1]
        where = f"{self.path}:{self.lines.get(place, 1)}"
        severity = "warning" if fault.warning else "fault"
        return Problem(where=where, message=fault.message, remedy=fault.remedy, severity=severity)

    def note(self, row: Row, message: str, remedy: str) -> None:
        """Keep a fault of one line."""
        self.lines["csv", row.line] = row.line
        self.faults.append(Fault(place=("csv", row.line), message=message, remedy=remedy))


def read_table(path: Path, name: str) -> Table:
    """The list at `path`.

    Raises:
        ConfigError: it can't be read, or lacks a column.
    """
    table = Table(path=str(path), data=_empty_site(name))
    for row in _rows(path):
        _take(table, row)
    if not table.data["equipment"]:
        remedy = "give one line for each equipment"
        raise ConfigError("the list has no line with an equipment", where=f"{path}:1", remedy=remedy)
    return table


def _empty_site(name: str) -> dict[str, Any]:
    return {
        "schema": 1,
        "site": {
            "id": name,
            "name": name,
            "timezone": "UTC",
            "gpus_per_rack": 72,
            "coolant": {"fluid": "propylene-glycol", "percent": 25},
        },
        "links": {},
        "equipment": [],
        "cooling_groups": [],
        "limits": [],
        "tariff": {"currency": "EUR", "energy_per_kwh": {"default": 0.2}, "source": _PLACEHOLDER},
        "carbon": {"kg_per_kwh": 0.4, "source": _PLACEHOLDER},
    }


def _rows(path: Path) -> Iterator[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)  # a spreadsheet writes that of its country
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header = [cell.strip().lower() for cell in next(reader, [])]
        _check_header(header, path)
        for cells in reader:
            if any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith("#"):
                yield _row(header, cells, reader.line_num, path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read: {error}", where=str(path), remedy="give a CSV file in UTF-8") from error
    except csv.Error as error:
        where = f"{path}:{reader.line_num}"
        raise ConfigError(f"not CSV: {error}", where=where, remedy='part cells by commas, quote with ""') from error


def _check_header(header: list[str], path: Path) -> None:
    where = f"{path}:1"
    for column in REQUIRED:
        if column not in header:
            remedy = f"name the columns in the first line: {','.join(COLUMNS)}"
            raise ConfigError(f"column {column!r} is missing", where=where, remedy=remedy)
    for column in header:
        if column not in COLUMNS:
            raise ConfigError(f"unknown column {column!r}", where=where, remedy=one_of(column, COLUMNS))


def _row(header: list[str], cells: list[str], line: int, path: Path) -> Row:
    if len(cells) > len(header):
        message = f"{len(cells)} cells, but {len(header)} columns"
        raise ConfigError(message, where=f"{path}:{line}", remedy="part several `feeds` by `;`, or quote the cell")
    return Row(line, {column: cell.strip() for column, cell in zip(header, cells, strict=False)})


def _take(table: Table, row: Row) -> None:
    if not row["equipment"]:
        table.note(row, "the equipment has no id", "fill in the column `equipment`")
        return
    index, equipment = _equipment(table, row)
    if row["profile"]:
        number = len(equipment["sources"])
        table.lines["equipment", index, "sources", number] = row.line
        equipment["sources"].append(_source(table, row))
    elif row["link"] or row["host"]:
        table.note(row, f"{row['equipment']}: a link, but no profile", one_of("", profile_names()))


def _equipment(table: Table, row: Row) -> tuple[int, dict[str, Any]]:
    everything: list[dict[str, Any]] = table.data["equipment"]
    for index, equipment in enumerate(everything):
        if equipment["id"] == row["equipment"]:
            if row["kind"] not in {"", equipment["kind"]}:
                message = f"{row['equipment']}: kind {row['kind']!r}, but {equipment['kind']!r} before"
                table.note(row, message, "give an equipment one kind")
            equipment["feeds"] += [f for f in _feeds(row) if f not in equipment["feeds"]]
            return index, equipment
    equipment = {"id": row["equipment"], "kind": row["kind"], "name": row["name"], "sources": [], "feeds": _feeds(row)}
    everything.append(equipment | {"meters": row["meters"]})
    table.lines["equipment", len(everything) - 1] = row.line
    return len(everything) - 1, everything[-1]


def _feeds(row: Row) -> list[str]:
    return row["feeds"].replace(";", " ").split()


def _source(table: Table, row: Row) -> dict[str, Any]:
    source: dict[str, Any] = {"profile": row["profile"], "link": _link(table, row)}
    if row["unit"]:
        source["unit"] = _number(table, row, "unit")
    if row["object"]:
        source["object"] = row["object"]
    return source


def _number(table: Table, row: Row, column: str) -> int:
    try:
        return int(row[column], 0)
    except ValueError:
        table.note(row, f"{column} {row[column]!r} is no whole number", f"give a number in the column `{column}`")
        return 1


def _link(table: Table, row: Row) -> str:
    """The link of a row: by its name, or by its host and port, made when it is new."""
    links: dict[str, Any] = table.data["links"]
    if row["host"]:
        endpoint = _endpoint(table, row)
        name = row["link"] or next((n for n, known in links.items() if known == endpoint), row["equipment"])
        if links.setdefault(name, endpoint) != endpoint:
            known = links[name]
            message = f"link {name!r} is {known['transport']} at {known['host']}:{known['port']} in a line before"
            table.note(row, message, "give a link one address and one transport")
        table.lines.setdefault(("links", name), row.line)
        return name
    if not row["link"]:
        table.note(row, f"{row['equipment']}: neither link nor host", "fill in `host` and `port`, or `link`")
    return row["link"]


def _endpoint(table: Table, row: Row) -> dict[str, Any]:
    profile = load_profile(row["profile"]) if row["profile"] in profile_names() else None
    found: dict[str, Any] = {"transport": profile.transport if profile else "modbus-tcp", "host": row["host"]}
    if row["port"]:
        return found | {"port": _number(table, row, "port")}
    if profile and profile.format == "redfish":
        return found | {"port": 443, "options": {"tls": True}}
    return found | {"port": {"mqtt": 1883, "http": 9400}.get(found["transport"], 502)}

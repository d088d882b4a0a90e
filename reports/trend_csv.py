"""CSV as building systems export it: encodings, separators, decimal commas, words for no value, lines above headers."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plant.errors import ConfigError
from reports.trend_times import looks_like_time, seconds_of

Floats = npt.NDArray[np.float64]
EMPTY = frozenset(
    {
        *("", "nan", "null", "none", "n/a", "na", "n.a.", "-", "--", "---", "----", "?", "bad", "no data", "no value"),
        *("#n/a", "#value!", "#ref!", "i/o timeout", "timeout", "bad input", "comm fail", "offline", "fault", "down"),
    }
)
WORDS = {
    **dict.fromkeys(("on", "true", "yes", "open", "running", "active", "ein"), 1.0),
    **dict.fromkeys(("off", "false", "no", "closed", "stopped", "inactive", "aus"), 0.0),
}
LINES_ABOVE = 30
"""The header is looked for in the first lines: exports begin with a title, a site, a period."""
SAMPLE_ROWS = 300
_TIMES = frozenset({"time", "timestamp", "datetime", "date", "date/time", "date time", "time_s", "zeit", "ts", "datum"})
_DATES, _CLOCKS = frozenset({"date", "datum"}), frozenset({"time", "zeit"})
"""Where a file has one of each, a time is in two columns."""
_SPACES = re.compile(r"[\s\u00a0\u202f']+")
_THOUSANDS = {",": re.compile(r"[-+]?\d{1,3}(\.\d{3})+(,\d+)?"), ".": re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")}
_WITH_UNIT = re.compile(r"([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*([^\d\s.,].*)")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file."""

    number: int
    cells: list[str]


@dataclass(slots=True)
class Sheet:
    """A file up to its header. units: of a line of units below it, else empty; rest: the lines that follow."""

    path: Path
    separator: str
    header: list[str]
    line: int
    when: tuple[int, ...]
    units: list[str]
    rest: Iterator[Row]

    def where(self, line: int = 0) -> str:
        """The file and a line, the header's by default."""
        return f"{self.path}:{line or self.line}"


def open_sheet(path: Path, time_header: str = "") -> Sheet:
    """The file's header, with its columns of times: one, or a date and a time of day.

    Raises:
        ConfigError: it can't be read, is no CSV, or has no column of times.
    """
    text = _text(path)
    separator = _delimiter(text)
    rows = _rows(text, path, separator)
    above: list[Row] = []
    for row in rows:
        when = _when(row.cells, time_header)
        if when:
            return _with_units(path, separator, row, when, rows)
        above.append(row)
        if len(above) >= LINES_ABOVE:
            break
    remedy = "call the column of times `time`, or name it in the map"
    raise ConfigError("no column of times", where=f"{path}:1", remedy=remedy)


def _with_units(path: Path, separator: str, row: Row, when: tuple[int, ...], rows: Iterator[Row]) -> Sheet:
    first = next(rows, None)
    units = [""] * len(row.cells)
    if first is not None and not looks_like_time(_joined(first.cells, when)) and _is_units(first.cells):
        units = [c.strip(" []()") for c in first.cells] + units[len(first.cells) :]
        first = None
    rest = rows if first is None else _put_back(first, rows)
    return Sheet(path=path, separator=separator, header=row.cells, line=row.number, when=when, units=units, rest=rest)


def _put_back(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _is_units(cells: Sequence[str]) -> bool:
    return any(cells) and not any(any(letter.isdigit() for letter in cell) for cell in cells)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", where=str(path), remedy="give a CSV file") from error
    if b"\0" in raw[:4000] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError("not a text file", where=str(path), remedy="export it as CSV")
    try:
        return raw.decode("utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")  # what spreadsheets write in the West


def _rows(text: str, path: Path, separator: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(reader.line_num, [cell.strip() for cell in cells])
    except csv.Error as error:
        where = f"{path}:{reader.line_num}"
        raise ConfigError(f"not CSV: {error}", where=where, remedy='part cells by commas, quote with ""') from error


def _delimiter(text: str) -> str:
    """The one that parts most of the first lines, most evenly: a decimal comma parts fewer than the semicolon does."""
    lines = [line for line in text[:200_000].splitlines()[: LINES_ABOVE + 5] if line.strip()]
    return max(";\t|,", key=lambda mark: sorted(line.count(mark) for line in lines)[len(lines) // 2] if lines else 0)


def _when(cells: Sequence[str], wanted: str) -> tuple[int, ...]:
    if wanted:
        return tuple(i for i, cell in enumerate(cells) if cell == wanted)[:1]
    plain = [cell.lower().split(" (")[0].split(" [")[0].strip() for cell in cells]
    found = [i for i, cell in enumerate(plain) if cell in _TIMES]
    dates = [i for i in found if plain[i] in _DATES]
    clocks = [i for i in found if plain[i] in _CLOCKS]
    return (dates[0], clocks[0]) if dates and clocks else tuple(found[:1])


def _joined(cells: Sequence[str], when: tuple[int, ...]) -> str:
    return " ".join(cells[i] for i in when if i < len(cells))


def numbers(sheet: Sheet, wanted: Sequence[int], units: Sequence[str], zone: str) -> tuple[Floats, list[Floats]]:
    """Times [s since 1970], ascending, and the wanted columns as they stand, NaN where there is no value.

    units: of the wanted columns; cells may repeat it.

    Raises:
        ConfigError: the first line that does not fit, and why.
    """
    texts: list[str] = []
    wheres: list[int] = []
    columns = [array("d") for _ in wanted]
    decimal, sample = "", list[Row]()
    before: list[str] = []
    for row in sheet.rest:
        cells = _fitted(row, sheet)
        if cells == before:
            continue  # a line that was exported twice
        before = cells
        texts.append(_joined(cells, sheet.when))
        wheres.append(row.number)
        if not decimal:
            sample.append(Row(row.number, cells))
            if len(sample) < SAMPLE_ROWS:
                continue
            decimal = _decimal(sample, wanted, sheet.separator)
            _take(sample, wanted, columns, sheet, units, decimal)
            continue
        _take((Row(row.number, cells),), wanted, columns, sheet, units, decimal)
    if not decimal:
        _take(sample, wanted, columns, sheet, units, _decimal(sample, wanted, sheet.separator))
    times = np.array(seconds_of(texts, lambda n: sheet.where(wheres[n]), zone))
    values = [np.frombuffer(c, dtype=np.float64) if c else np.zeros(0) for c in columns]
    if len(times) > 1 and times[0] > times[-1]:
        return times[::-1], [v[::-1] for v in values]
    return times, values


def _fitted(row: Row, sheet: Sheet) -> list[str]:
    """Its cells, one for each column; empty ones too many at the end are no fault."""
    cells, wanted = row.cells, len(sheet.header)
    if len(cells) > wanted and not any(cells[wanted:]):
        return cells[:wanted]
    if len(cells) != wanted:
        remedy = "give each line one cell for each column"
        raise ConfigError(f"{len(cells)} cells, but {wanted} columns", where=sheet.where(row.number), remedy=remedy)
    return cells


def _take(
    rows: Sequence[Row],
    wanted: Sequence[int],
    columns: list[array[float]],
    sheet: Sheet,
    units: Sequence[str],
    mark: str,
) -> None:
    for row in rows:
        for column, index, unit in zip(columns, wanted, units, strict=True):
            try:
                column.append(number(row.cells[index], mark, unit))
            except ValueError as error:
                text = f"{sheet.header[index]}: {row.cells[index]!r} is no number"
                remedy = "write numbers alike, with no unit but the header's, and leave cells empty where there is none"
                raise ConfigError(text, where=sheet.where(row.number), remedy=remedy) from error


def _decimal(rows: Sequence[Row], wanted: Sequence[int], separator: str) -> str:
    """The decimal mark of a sample: the last mark of most numbers that have one and are no thousands.

    Where all might be thousands (21,500), semicolons between cells tell that the comma is the decimal mark.
    """
    commas = points = 0
    for row in rows:
        for index in wanted:
            text = row.cells[index]
            comma, point = text.rfind(","), text.rfind(".")
            if comma > point and not _THOUSANDS["."].fullmatch(text):
                commas += 1
            elif point > comma and not _THOUSANDS[","].fullmatch(text):
                points += 1
    if commas == points == 0 and separator == ";":
        return "," if any("," in row.cells[index] for row in rows for index in wanted) else "."
    return "," if commas > points else "."


def number(text: str, decimal: str, unit: str = "") -> float:
    """One cell. NaN: no value. A unit behind the number must be the column's.

    Raises:
        ValueError: it is no number.
    """
    try:
        found = float(text)
    except ValueError:
        found = _odd(text, decimal, unit)
    else:
        if decimal == "," and _THOUSANDS[","].fullmatch(text):
            found = float(text.replace(".", ""))
    return found if np.isfinite(found) else float("nan")


def _odd(text: str, decimal: str, unit: str) -> float:
    plain = text.strip().lower()
    if plain in EMPTY:
        return float("nan")
    if plain in WORDS:
        return WORDS[plain]
    behind = _WITH_UNIT.fullmatch(_SPACES.sub(" ", text.strip()))
    if behind is not None and behind[2].strip() == unit:
        return number(behind[1], decimal)
    squeezed = _SPACES.sub("", text)
    if decimal == ",":
        squeezed = squeezed.replace(".", "") if _THOUSANDS[","].fullmatch(squeezed) else squeezed
        return float(squeezed.replace(",", "."))
    return float(squeezed.replace(",", "") if _THOUSANDS["."].fullmatch(squeezed) else squeezed)

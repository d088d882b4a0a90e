"""Times as building systems write them: seconds, ISO 8601, day and month in either order, 12-hour clocks, local time.

Spreadsheets' day numbers too. Which order a file has is decided by all of its times together: a thirteenth month
settles it, and else the order in which the file spans less.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from plant.errors import ConfigError

LATEST_S = 4e9
SERIAL_DAYS = (20_000.0, 80_000.0)
"""Day numbers of spreadsheets (1954 to 2119), which as seconds would all lie on the first day of 1970."""
_SERIAL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001
_ZONE_WORD = re.compile(r"\d (?:[AaPp]\.?[Mm]\.? )?([A-Z]{2,5})$")
_UNIVERSAL = frozenset({"UTC", "GMT"})
_NUMERIC = re.compile(
    r"(\d{1,4})[./-](\d{1,2}|[A-Za-z]{3})[./-](\d{2,4})[ T,]+(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?"
    r"\s*([AaPp])?\.?(?:[Mm]\.?)?(?:\s+[A-Z]{2,5})?"
)
_MONTHS = {name.lower(): n for n, name in enumerate(calendar.month_abbr) if n}
Parts = tuple[int, int, int, int, int, float]
"""First, second and third field of a date; hour (of 24), minute, second."""


def seconds_of(texts: Sequence[str], where: Callable[[int], str], zone: str = "") -> list[float]:
    """Times [s since 1970], in the file's order, which may be upwards or downwards.

    where: the place of a row by its number; zone: of local times, UTC where empty. The hour that autumn repeats is told
    apart by the order of the rows.

    Raises:
        ConfigError: a text is no time, or not after the one before it.
    """
    read = _dated(texts) or _serial(texts) or _plain
    if not zone:
        _refuse_zone_words(texts, where)
    order = range(len(texts))
    if len(texts) > 1:
        ends = [_seconds(_moment(read, texts[n], where(n)), zone, None) for n in (order[0], order[-1])]
        order = order[::-1] if ends[1] < ends[0] else order
    found: list[float] = []
    for n in order:
        time_s = _seconds(_moment(read, texts[n], where(n)), zone, found[-1] if found else None)
        if found and time_s <= found[-1]:
            remedy = f"sort by time, and give each time once; {_of_zone(zone)}"
            raise ConfigError(f"{texts[n]!r} is not after the line before", where=where(n), remedy=remedy)
        found.append(time_s)
    return found if order.step > 0 else found[::-1]


def _of_zone(zone: str) -> str:
    if not zone:
        return "for local times name `timezone` in the map"
    return f"if its clock keeps winter time all year it is not {zone}'s: name `timezone: Etc/GMT-1` for UTC+1"


def _refuse_zone_words(texts: Sequence[str], where: Callable[[int], str]) -> None:
    """CET is one hour off UTC, EST five, and CST may be any of three: hours off would be told as if they were right."""
    for n, text in enumerate(texts):
        found = _ZONE_WORD.search(text)
        if found is not None and found[1] not in _UNIVERSAL | {"AM", "PM"}:
            remedy = "name the place's `timezone` in the map, such as Europe/Berlin"
            raise ConfigError(f"{text!r}: {found[1]} is no one zone", where=where(n), remedy=remedy)


def looks_like_time(text: str) -> bool:
    """Whether a cell may be a time."""
    try:
        _moment(_dated([text]) or _plain, text, "")
    except ConfigError:
        return False
    return True


def _moment(read: Callable[[str], datetime], text: str, where: str) -> datetime:
    try:
        moment = read(text)
    except (ValueError, OverflowError) as error:
        remedy = "write 2026-11-01T12:00:00Z, or seconds (not milliseconds) since 1970"
        raise ConfigError(f"{text!r} is no time", where=where, remedy=remedy) from error
    return moment


def _seconds(moment: datetime, zone: str, before_s: float | None) -> float:
    if moment.tzinfo is not None or not zone:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    local = moment.replace(tzinfo=ZoneInfo(zone))
    time_s = local.timestamp()
    return local.replace(fold=1).timestamp() if before_s is not None and time_s <= before_s else time_s


def _plain(text: str) -> datetime:
    """Seconds since 1970, or ISO 8601."""
    try:
        time_s = float(text)
    except ValueError:
        return datetime.fromisoformat(text)
    if not 0 <= time_s < LATEST_S:
        raise ValueError(text)
    return datetime.fromtimestamp(time_s, UTC)


def _serial(texts: Sequence[str]) -> Callable[[str], datetime] | None:
    """How day numbers of a spreadsheet are to be read, to the second; None where the file has none."""
    try:
        ends = [_day_number(text) for text in (*texts[:1], *texts[-1:])]
    except ValueError:
        return None
    if not ends or not all(SERIAL_DAYS[0] <= end < SERIAL_DAYS[1] for end in ends):
        return None
    return lambda text: _SERIAL_ZERO + timedelta(seconds=round(_day_number(text) * 86400))


def _day_number(text: str) -> float:
    return float(text.replace(",", "."))


def _dated(texts: Sequence[str]) -> Callable[[str], datetime] | None:
    """How dates of three fields are to be read; None where the first time is none of that kind."""
    if not texts or _parts(texts[0]) is None:
        return None
    parts = [p for p in map(_parts, texts) if p is not None]
    if parts[0][0] > 31:
        return _reader(lambda p: (p[0], p[1], p[2]))
    day_first, month_first = _reader(lambda p: (p[2], p[1], p[0])), _reader(lambda p: (p[2], p[0], p[1]))
    date = texts[0].split(" ")[0]
    if "." in date or any(letter.isalpha() for letter in date) or any(p[0] > 12 for p in parts):
        return day_first
    if any(p[1] > 12 for p in parts):
        return month_first
    spans = [abs((read(texts[-1]) - read(texts[0])).total_seconds()) for read in (day_first, month_first)]
    return day_first if spans[0] <= spans[1] else month_first


def _parts(text: str) -> Parts | None:
    match = _NUMERIC.fullmatch(text)
    if match is None:
        return None
    first, second, third, hour, minute, second_s, half = match.groups()
    month = _MONTHS.get(second.lower(), 0) if second.isalpha() else int(second)
    clock = int(hour)
    if half is not None:
        if not 1 <= clock <= 12:
            return None
        clock = clock % 12 + (12 if half in "Pp" else 0)
    return int(first), month, int(third), clock, int(minute), float((second_s or "0").replace(",", "."))


def _reader(order: Callable[[Parts], tuple[int, int, int]]) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        parts = _parts(text)
        if parts is None:
            raise ValueError(text)
        zone = UTC if text.endswith(tuple(_UNIVERSAL)) else None
        year, month, day = order(parts)
        whole, rest = divmod(parts[5], 1.0)
        century = 2000 if year < 100 else 0
        return datetime(year + century, month, day, parts[3], parts[4], int(whole), int(rest * 1e6), zone)

    return read

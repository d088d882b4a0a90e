"""The text that Prometheus reads, as far as a scraper of known metrics needs it. Pure.

An own reader, as prometheus_client's takes 250 ms for a page of 72 GPUs with 22 metrics each and gives the whole page
up at one bad line: docs/decisions/011.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")
_KEPT = 5
_CUT = 200


@dataclass(frozen=True, slots=True)
class Series:
    """One line. time_s: its own time [s since 1970], where it has one."""

    name: str
    labels: Mapping[str, str]
    value: float
    time_s: float | None = None


@dataclass(slots=True)
class Page:
    """What a page says of the wanted metrics. bad: lines set aside; bad_lines: the first few of them."""

    series: list[Series] = field(default_factory=list)
    bad: int = 0
    bad_lines: list[str] = field(default_factory=list)

    def set_aside(self, line: str) -> None:
        """Count a line that can't be read, and keep the first few."""
        self.bad += 1
        if len(self.bad_lines) < _KEPT:
            self.bad_lines.append(line[:_CUT])


def parse(text: bytes, wanted: Collection[str]) -> Page:
    """The series of the wanted metrics; of others only the name is looked at."""
    page, skipped = Page(), set[str]()
    for line in text.decode("utf-8", "replace").split("\n"):
        if not line or line[0] == "#":
            continue
        brace = line.find("{")
        name = line[:brace].rstrip() if brace >= 0 else line.partition(" ")[0].strip()
        if name in skipped:
            continue
        if name in wanted:
            _take(page, name, line, brace)
        elif _NAME.fullmatch(name):
            skipped.add(name)
        elif line.strip():
            page.set_aside(line)
    return page


def _take(page: Page, name: str, line: str, brace: int) -> None:
    try:
        page.series.append(_series(name, line, brace))
    except (ValueError, OverflowError):
        page.set_aside(line)


def _series(name: str, line: str, brace: int) -> Series:
    # The last brace: a label's text may hold others, what follows the labels can't
    end = line.rindex("}") if brace >= 0 else len(name)
    labels = _labels(line[brace + 1 : end]) if brace >= 0 else {}
    number, *stamp = line[end + (brace >= 0) :].split()
    if "_" in number or len(stamp) > 1:
        raise ValueError(line)
    return Series(name, labels, float(number), int(stamp[0]) / 1000 if stamp else None)


@lru_cache(maxsize=4096)
def _labels(text: str) -> Mapping[str, str]:
    """Label sets repeat from metric to metric and from scrape to scrape."""
    labels, place = {}, 0
    while place < len(text.rstrip()):
        found = _LABEL.match(text, place)
        if found is None:
            raise ValueError(text)
        labels[found[1]] = _ESCAPED.sub(_unescaped, found[2]) if "\\" in found[2] else found[2]
        place = found.end()
    return labels


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]

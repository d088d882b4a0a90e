"""Reports of processes beside schedulers in one small file of the state directory: a restart forgets none of them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from api.report_desk import ReportDesk
from placement.loan_reports import LoanReport
from placement.scheduler_reports import Report
from placement.shed.reports import ShedReport
from plant.errors import ConfigError, StoreError
from store import codec
from store.files import replace_file

KEPT = "reports.json"
SCHEMA = 1
EVERY_S = 2.0
"""A kill loses no more than this of what was told [s]; processes tell again within their period."""
_TYPES: dict[str, Any] = {"schedulers": Report, "loans": LoanReport, "sheds": ShedReport}
_News = dict[str, dict[str, tuple[float, Any]]]
log = logging.getLogger("coldplate.reports")


@dataclass(slots=True)
class ReportMemory:
    """desks: by kind (schedulers, loans, sheds); file: None keeps nothing."""

    desks: dict[str, ReportDesk[Any, Any]]
    file: Path | None
    _saved: tuple[int, ...] = field(default=())

    def recall(self) -> None:
        """Read what an earlier server kept; what can't be read is left out, and told in the log."""
        self._saved = self._changes()
        if self.file is None:
            return
        try:
            kept = _read(self.file)
            for kind, desk in self.desks.items():
                desk.recall(_reports(kind, kept.get(kind, {})))
        except FileNotFoundError:
            return
        except (OSError, ConfigError, AttributeError, TypeError, ValueError) as error:
            log.warning("reports of the last server are not used: %s: %s", self.file, error)

    def save(self) -> None:
        """Write what is new."""
        if self.file is not None and (news := self._news()) is not None:
            _write(self.file, news)

    async def run(self) -> None:
        """Save again and again; runs until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                # What is new is taken here: reports come in while a thread writes
                if self.file is not None and (news := self._news()) is not None:
                    await asyncio.to_thread(_write, self.file, news)
        finally:
            self.save()

    def _news(self) -> _News | None:
        """What is to be kept, where it is not yet."""
        if self._changes() == self._saved:
            return None
        self._saved = self._changes()
        return {kind: desk.kept() for kind, desk in self.desks.items()}

    def _changes(self) -> tuple[int, ...]:
        return tuple(desk.changes for desk in self.desks.values())


def _write(file: Path, news: _News) -> None:
    kept = {kind: {n: [at_s, codec.to_plain(r)] for n, (at_s, r) in rows.items()} for kind, rows in news.items()}
    try:
        replace_file(file, msgspec.json.encode({"schema": SCHEMA, **kept}) + b"\n")
    except StoreError as error:
        log.warning("reports not kept: %s", error)


def _read(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = codec.decode(file.read_bytes())
    if data.get("schema") != SCHEMA:
        raise ConfigError(f"schema {data.get('schema')!r}, not {SCHEMA}")
    return data


def _reports(kind: str, rows: dict[str, Any]) -> dict[str, tuple[float, Any]]:
    return {name: (float(at_s), codec.from_plain(_TYPES[kind], report)) for name, (at_s, report) in rows.items()}

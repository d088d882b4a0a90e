"""Logs on standard error: plain lines for a terminal, or one JSON object a line for a log collector."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import typer

_ROOMS = frozenset(
    {"plant", "devices", "store", "sites", "collector", "controller", "actuator"}
    | {"placement", "alarms", "reports", "api", "simulator", "cli"}
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_PLAIN = "%(asctime)s %(levelname)s %(name)s %(message)s"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


OPTION = typer.Option(LogFormat.TEXT, "--log-format", help="Plain lines, or a JSON object a line.")


class JsonLines(logging.Formatter):
    """time (UTC), level, room, message, fields; with `trace` where an exception is logged.

    fields: what the caller gave as `extra`, and the logger's name where it is not the room's own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        room, fields = _room(record.name), _fields(record)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": room,
            "message": record.getMessage(),
            "fields": fields if record.name == room else {"logger": record.name, **fields},
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _room(logger: str) -> str:
    """The room that a logger belongs to: `coldplate.edge` is of `cli`."""
    first = logger.partition(".")[0]
    return "cli" if first == "coldplate" else first if first in _ROOMS else "library"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def set_up(form: LogFormat) -> None:
    """Warnings and worse go to standard error in this form; warnings of libraries too, where lines must be JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form is LogFormat.JSON else logging.Formatter(_PLAIN))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(form is LogFormat.JSON)

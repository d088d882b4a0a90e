"""The history file's tables, their version, and the ladder from every older version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from itertools import groupby

from plant.errors import ConfigError
from store.rollups import Rollup, joined, regroup

MINUTE_MS = 60_000
QUARTER_MS = 900_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
SERIES_BITS = 24
SERIES_MASK = (1 << SERIES_BITS) - 1
SLOT_MS = 10_000
SLOT_SHIFT = 34
SERIES_SHIFT = 14
HOT_SERIES_MASK = (1 << (SLOT_SHIFT - SERIES_SHIFT)) - 1
MS_MASK = (1 << SERIES_SHIFT) - 1
LAST_SLOT = (1 << (63 - SLOT_SHIFT)) - 1

# Hot rows lie by slot of ten seconds (until version 2 by minute), then series: a cycle's writes touch few pages, and
# one series is found by a seek a slot. Since version 3 the key is one integer, the row's own number in SQLite:
# `slot << 34 | series << 14 | ms`.
# Packed tables are keyed `period << 24 | series`, so that they grow at their end and expire at their beginning.
_VERSION_1 = """
CREATE TABLE series(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, gpu INTEGER NOT NULL,
    packed_ms INTEGER, packed_value REAL, packed_code INTEGER);
CREATE TABLE hot(minute INTEGER, series INTEGER, ms INTEGER, value REAL, code INTEGER NOT NULL,
    PRIMARY KEY(minute, series, ms)) WITHOUT ROWID;
CREATE TABLE raw_hour(key INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE minute_hour(key INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE record(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, at_s REAL NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX record_by_time ON record(kind, at_s);
CREATE TABLE horizon(name TEXT PRIMARY KEY, hour INTEGER NOT NULL) WITHOUT ROWID;
"""
_VERSION_2 = """
CREATE TABLE quarter_day(key INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE INDEX record_by_key ON record(kind, key, at_s);
"""
_VERSION_3 = """
CREATE TABLE hot_rows(key INTEGER PRIMARY KEY, value REAL, code INTEGER NOT NULL);
INSERT INTO hot_rows SELECT ((minute * 6 + ms / 10000) << 34) | (series << 14) | (ms % 10000), value, code
    FROM hot ORDER BY minute, ms / 10000, series, ms;
DROP TABLE hot;
ALTER TABLE hot_rows RENAME TO hot;
"""


def _statements(db: sqlite3.Connection, script: str) -> None:
    for statement in filter(str.strip, script.split(";")):
        db.execute(statement)


def _to_1(db: sqlite3.Connection) -> None:
    _statements(db, _VERSION_1)


def _to_2(db: sqlite3.Connection) -> None:
    """Quarter-hour rollups, made from the minutes that there are, and an index for `latest`."""
    _statements(db, _VERSION_2)
    rows = db.execute("SELECT key, data FROM minute_hour ORDER BY key")
    for day, minutes in groupby(rows, key=lambda row: (row[0] >> SERIES_BITS) // 24):
        quarters: dict[int, list[Rollup]] = {}
        for key, blob in minutes:
            quarters.setdefault(key & SERIES_MASK, []).append(regroup(Rollup.unpack(blob), QUARTER_MS))
        packed = ((day << SERIES_BITS | series, joined(parts).pack()) for series, parts in quarters.items())
        db.executemany("INSERT INTO quarter_day VALUES(?, ?)", packed)


def _to_3(db: sqlite3.Connection) -> None:
    """Hot rows by one integer key, which takes samples three times as fast."""
    _statements(db, _VERSION_3)


LADDER: tuple[Callable[[sqlite3.Connection], None], ...] = (_to_1, _to_2, _to_3)
VERSION = len(LADDER)


def version_of(db: sqlite3.Connection, where: str) -> int:
    """The file's version; 0 when new.

    Raises:
        ConfigError: the file is of a newer version.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        remedy = "use the newer coldplate, or restore a backup made by this one"
        raise ConfigError(f"version {found} is newer than {VERSION}, the newest known here", where=where, remedy=remedy)
    return found


def migrate(db: sqlite3.Connection, found: int) -> None:
    """Bring the file from version `found` to VERSION, one transaction a step."""
    for version in range(found, VERSION):
        with db:
            db.execute("BEGIN IMMEDIATE")
            LADDER[version](db)
            db.execute(f"PRAGMA user_version = {version + 1}")

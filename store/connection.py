"""One SQLite file held open: found again when deleted or replaced, set aside when damaged, foreign errors mapped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from plant.clock import Clock
from plant.errors import ConfigError, RefusedError, StoreError
from store.schema import migrate, version_of

T = TypeVar("T")
_BUSY_S = 10.0
_PRAGMAS = (
    "page_size = 8192",
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 4000",
    "journal_size_limit = 67108864",
)
_DAMAGE = ("malformed", "not a database", "corrupt")


class HistoryFile:
    """The connection of one thread. `recreated`: how often the file had vanished; `incidents`: what happened."""

    def __init__(self, path: Path, clock: Clock, *, read_only: bool) -> None:
        self.path, self.read_only = path, read_only
        self.recreated = 0
        self.incidents: list[str] = []
        self.generation = 0
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._inode = 0

    def run(self, work: Callable[[sqlite3.Connection], T], *, writing: bool) -> T:
        """Do `work` in one transaction.

        Raises:
            StoreError: disk full, locked, unreadable, of a newer coldplate, or damaged (then a new one is there).
            RefusedError: writing to a file opened read-only.
        """
        if writing and self.read_only:
            raise RefusedError(f"{self.path}: opened read-only; only the edge process writes history")
        with self._mapped_errors():
            try:
                db = self.connected()
            except ConfigError as error:  # put in place while we run: samples must wait, not be set aside
                raise StoreError(str(error)) from error
            with _transaction(db, writing=writing):
                return work(db)

    def connected(self) -> sqlite3.Connection:
        """The connection, opened or re-opened as needed."""
        if self._db is not None and self._file_inode() != self._inode:
            self._reopen()
        if self._db is None:
            self._db = self._connect()
        return self._db

    def open(self) -> None:
        """Open now; a damaged file is set aside, a read-only one may be still to come."""
        try:
            with self._mapped_errors():
                self.connected()
        except StoreError:
            if not self.read_only and self._db is None:
                with self._mapped_errors():
                    self.connected()

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _file_inode(self) -> int:
        try:
            return self.path.stat().st_ino
        except OSError:
            return 0

    def _reopen(self) -> None:
        vanished = self._file_inode() == 0
        self.close()
        if self.read_only:
            return
        self._drop_companions()  # a left-over journal would be replayed into the new file
        self.recreated += vanished
        what = "had vanished; started a new, empty one" if vanished else "was replaced; goes on in the new one"
        self._note(f"{self.path}: {what}")

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        elif not self.path.exists():
            raise StoreError(f"{self.path}: no history yet; it is made when the edge process starts")
        mode = "ro" if self.read_only else "rwc"
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            found = version_of(db, str(self.path))
            if not self.read_only:
                for pragma in _PRAGMAS:
                    db.execute(f"PRAGMA {pragma}")
                migrate(db, found)
            db.execute("SELECT count(*) FROM series").fetchone()
        except BaseException:
            db.close()
            raise
        self._inode = self._file_inode()
        self.generation += 1
        return db

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise StoreError(self._explained(error)) from error

    def _explained(self, error: Exception) -> str:
        text = str(error)
        if isinstance(error, sqlite3.DatabaseError) and any(mark in text for mark in _DAMAGE):
            return self._set_aside(text)
        if "full" in text or "No space" in text:
            return f"{self.path}: disk full; free some space, samples wait in the spool"
        return f"{self.path}: {text}; will be tried again"

    def _set_aside(self, text: str) -> str:
        self.close()
        if self.read_only:
            return f"{self.path}: damaged ({text}); the edge process will set it aside"
        stamp = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y%m%dT%H%M%S")
        aside = _free_name(self.path, stamp)
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        message = f"{self.path}: damaged ({text}); set aside as {aside.name} and started a new one"
        self._note(message)
        return message

    def _drop_companions(self) -> None:
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _note(self, message: str) -> None:
        self.incidents = [*self.incidents[-19:], message]


def _free_name(path: Path, stamp: str) -> Path:
    names = (f"{path.name}.corrupt-{stamp}{f'-{n}' if n else ''}" for n in range(1000))
    return next(candidate for candidate in map(path.with_name, names) if not candidate.exists())


@contextmanager
def _transaction(db: sqlite3.Connection, *, writing: bool) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise

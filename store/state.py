"""The state directory: everything that outlives a process, with a version, a lock, a backup and a restore.

What is in it: docs/operating.md; what a backup holds of it: `store.archive`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plant.errors import ConfigError, RefusedError, StoreError
from store import archive, codec
from store.files import replace_file

_EPOCHS_AFTER_RESTORE = 1000
_OTHER_NAMES = ("edge.lock", "bus.sock", "lost+found")


class StateDir:
    """One state directory. Opening makes or migrates it; `acquire` makes this process the one that drives devices."""

    def __init__(self, path: Path | str) -> None:
        """Open, make or migrate.

        Raises:
            ConfigError: not a state directory, or of a newer version.
            StoreError: it can't be made or read.
        """
        self.path = Path(path)
        self._lock: int | None = None
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o750)
            _bring_to_version(self.path)
            for folder in archive.FOLDERS:
                (self.path / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path}: the state directory can't be used: {error.strerror}") from error

    @property
    def history(self) -> Path:
        """The embedded store's file."""
        return self.path / archive.HISTORY

    @property
    def spool(self) -> Path:
        """The collector's spool."""
        return self.path / "spool"

    @property
    def audit(self) -> Path:
        """The audit chains."""
        return self.path / "audit"

    @property
    def bus(self) -> Path:
        """The socket between processes of this host."""
        return self.path / "bus.sock"

    def acquire(self) -> int:
        """Become the only process that drives this site's devices; returns its epoch, greater than any before.

        Raises:
            RefusedError: another process has it; names its pid.
            ConfigError: the epoch file is damaged.
        """
        self._lock = _locked(self.path / "edge.lock")
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
            epoch = _read_int(self.path / "epoch", missing=0) + 1
            replace_file(self.path / "epoch", f"{epoch}\n".encode())
        except BaseException:
            self.release()
            raise
        return epoch

    def release(self) -> None:
        """Let another process acquire it; the end of the process does the same."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def token(self, name: str = "token") -> str:
        """The secret that allows commands, or another of that name; made at the first call, the owner's only."""
        path = self.path / name
        for _ in range(2):
            try:
                path.chmod(0o600)
                found = path.read_text(encoding="ascii").strip()
            except FileNotFoundError:
                found = ""
            if found:
                return found
            _make_token(path)
        raise StoreError(f"{path}: is empty and can't be made; remove it and start again")

    def write_json(self, name: str, data: object) -> None:
        """Keep one small document, such as `modes.json`: the old one or the new one, never a mixture.

        Raises:
            StoreError: it can't be written; the old one stays.
        """
        replace_file(self.path / name, codec.encode(codec.to_plain(data)) + b"\n")

    def read_json(self, name: str) -> Any:
        """A document as plain data; None if there is none.

        Raises:
            ConfigError: it is damaged.
            StoreError: it can't be read.
        """
        try:
            return codec.decode((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        except ConfigError as error:
            raise ConfigError(error.message, where=str(self.path / name), remedy="repair or remove the file") from error
        except OSError as error:
            raise StoreError(f"{self.path / name}: can't be read: {error.strerror}") from error

    def backup(self, target: Path) -> None:
        """Write everything to a tar.gz, while processes run.

        Raises:
            StoreError: it can't be written.
        """
        archive.back_up(self.path, target)

    @classmethod
    def restore(cls, path: Path | str, source: Path) -> StateDir:
        """Make a state directory from a backup; its epoch leaps ahead of any that was used since the backup.

        Raises:
            ConfigError: `path` is not empty, the archive is no backup, or it is of a newer version.
        """
        archive.restore(source, Path(path))
        state = cls(path)
        epoch = _read_int(state.path / "epoch", missing=0) + _EPOCHS_AFTER_RESTORE
        replace_file(state.path / "epoch", f"{epoch}\n".encode())
        return state


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").split()
        os.close(descriptor)
        pid = holder[0] if holder else "unknown"
        raise RefusedError(f"{path}: process {pid} already runs this site; stop it, or use another --state") from None
    return descriptor


def _read_int(path: Path, *, missing: int) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return missing
    except (ValueError, UnicodeDecodeError):
        remedy = "restore it from a backup, or write a number greater than any used before into it"
        raise ConfigError("does not hold a number", where=str(path), remedy=remedy) from None


def _make_token(path: Path) -> None:
    """Made beside and linked: of two processes that make it at once, one wins and both read the same."""
    beside = path.with_name(f".token.{secrets.token_hex(4)}")
    if path.exists() and not path.read_bytes().strip():
        path.unlink(missing_ok=True)
    replace_file(beside, f"{secrets.token_urlsafe(32)}\n".encode(), 0o600)
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return
    finally:
        beside.unlink(missing_ok=True)


def _from_1(path: Path) -> None:
    """Version 1 kept the epoch in edge.lock, after the pid; it must not start again from nothing."""
    lock = _locked(path / "edge.lock")
    try:
        words = os.pread(lock, 64, 0).split()
        epoch = int(words[1]) if len(words) > 1 else 0
        replace_file(path / "epoch", f"{epoch}\n".encode())
    except ValueError:
        raise ConfigError("does not hold a pid and an epoch", where=str(path / "edge.lock")) from None
    finally:
        os.close(lock)


_LADDER: tuple[Callable[[Path], None], ...] = (_from_1,)
VERSION = len(_LADDER) + 1


def _bring_to_version(path: Path) -> None:
    found = _read_int(path / "version", missing=0) or _version_of_unmarked(path)
    if found > VERSION:
        remedy = "use the newer coldplate, or restore a backup made by this one"
        raise ConfigError(f"state version {found} is newer than {VERSION}", where=str(path), remedy=remedy)
    for version in range(found, VERSION):
        _LADDER[version - 1](path)
        replace_file(path / "version", f"{version + 1}\n".encode())
    if not (path / "version").exists():
        replace_file(path / "version", f"{VERSION}\n".encode())


def _version_of_unmarked(path: Path) -> int:
    """A new directory, or one whose files were deleted while it was in use, is of the current version."""
    known = (*archive.FILES, *archive.FOLDERS, *_OTHER_NAMES)
    names = (p.name for p in path.iterdir() if not p.name.startswith((".", archive.HISTORY)))
    foreign = sorted(name for name in names if name not in known)
    if foreign:
        remedy = "name an empty or a new directory"
        raise ConfigError(f"not a state directory: it holds {foreign[0]!r}", where=str(path), remedy=remedy)
    return VERSION

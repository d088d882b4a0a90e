"""Backup and restore of a state directory as one tar.gz: consistent while its processes run."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from plant.errors import ConfigError, StoreError
from store.files import sync_file, sync_folder

HISTORY = "history.sqlite"
FILES = (
    "version",
    "epoch",
    "token",
    "extender-token",
    "modes.json",
    "commissioning.json",
    "commissioning.key",
    "jobs.json",
    "budgets.json",
    "switchback.json",
    "model.json",
    "swings.json",
    "billing.json",
    "balances.json",
    "outcomes.json",
    "reports.json",
    "hints.jsonl",
    "hints.old.jsonl",
)
FOLDERS = ("spool", "audit", "shed-books")
_PRIVATE = 0o600


def back_up(state: Path, target: Path) -> None:
    """Write `target` (tar.gz, readable by the owner only), whole or not at all.

    The spool is copied before the history, so that a sample on its way from one to the other is in both, not in none.

    Raises:
        StoreError: it can't be read or written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as work:
            packed = Path(work) / "state.tar.gz"
            with tarfile.open(packed, "w:gz", compresslevel=3) as tar:
                for path in _plain_files(state):
                    _add(tar, path, str(path.relative_to(state)))
                if (state / HISTORY).exists():
                    _snapshot(state / HISTORY, Path(work) / HISTORY)
                    tar.add(Path(work) / HISTORY, HISTORY, filter=_owner_only)
            packed.chmod(_PRIVATE)
            sync_file(packed)
            packed.replace(target)
            sync_folder(target.parent)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise StoreError(f"{target}: no backup made: {error}") from error


def _plain_files(state: Path) -> Iterator[Path]:
    yield from (state / name for name in FILES if (state / name).exists())
    for folder in FOLDERS:
        yield from sorted(p for p in (state / folder).rglob("*") if p.is_file() and not p.is_symlink())


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """As much of a file as it has now: an audit chain, which grows for years, is not read into memory for it."""
    try:
        with path.open("rb") as file:
            info = tarfile.TarInfo(name)
            info.size, info.mode = os.fstat(file.fileno()).st_size, _PRIVATE
            info.mtime = int(path.parent.stat().st_mtime)
            tar.addfile(info, file)
    except FileNotFoundError:  # a spool segment that has just been stored
        return


def _owner_only(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mode = _PRIVATE
    return info


def _snapshot(source: Path, target: Path) -> None:
    reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    writer = sqlite3.connect(target)
    try:
        reader.backup(writer)
    finally:
        reader.close()
        writer.close()


def restore(archive: Path, state: Path) -> None:
    """Unpack beside, then rename into place; only what `back_up` writes is taken.

    Raises:
        ConfigError: the directory is not empty, or the archive is not a backup.
        StoreError: it can't be written.
    """
    if state.exists() and any(state.iterdir()):
        remedy = "name an empty or a new directory"
        raise ConfigError("not empty; a restore never overwrites", where=str(state), remedy=remedy)
    try:
        state.absolute().parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=state.absolute().parent, prefix=".restore-"))
    except OSError as error:
        raise StoreError(f"{state}: can't be restored: {error.strerror}") from error
    try:
        _unpack(archive, work)
        work.chmod(0o750)
        work.rename(state)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ConfigError(f"not a backup of a state directory: {error}", where=str(archive)) from error
    except OSError as error:
        raise StoreError(f"{archive}: can't be restored to {state}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _unpack(archive: Path, work: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            source = tar.extractfile(member)
            if source is None or not _ours(member):
                raise ConfigError(f"holds {member.name!r}, which no backup has", where=str(archive))
            target = work / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as file:
                shutil.copyfileobj(source, file)
                file.flush()
                os.fsync(file.fileno())
    if not (work / "version").exists():
        raise ConfigError("not a backup of a state directory: no version in it", where=str(archive))


def _ours(member: tarfile.TarInfo) -> bool:
    path = PurePosixPath(member.name)
    known = member.name in (*FILES, HISTORY) or (len(path.parts) > 1 and path.parts[0] in FOLDERS)
    return member.isreg() and known and not path.is_absolute() and ".." not in path.parts

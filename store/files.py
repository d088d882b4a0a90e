"""Small files that are either the old or the new, whatever happens in between."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from plant.errors import StoreError


def replace_file(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Write beside, fsync, rename, fsync the folder.

    Raises:
        StoreError: it can't be written, or not durably; which of both content is there then, the message says.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_through(beside, data, mode)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StoreError(f"{path}: can't be written: {error.strerror}; the old content stays") from error
    try:
        sync_folder(path.parent)
    except OSError as error:
        remedy = "a power failure may bring the old content back; check the disk"
        raise StoreError(f"{path}: written, but its folder can't be synced: {error.strerror}; {remedy}") from error


def write_through(path: Path, data: bytes, mode: int) -> None:
    """Write a whole file and fsync it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The newest entries of the audit files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from plant.errors import StoreError
from plant.running import AuditEntry

_decode = msgspec.json.Decoder(AuditEntry).decode
_TAIL_BYTES = 4_000_000


def newest(folder: Path | None, limit: int) -> list[AuditEntry]:
    """The last `limit` entries of all writers, newest first; a line that is no entry is left to `verify`.

    Raises:
        StoreError: the folder can't be read.
    """
    if folder is None or not folder.is_dir():
        return []
    try:
        lines = [line for path in sorted(folder.glob("*.jsonl")) for line in _tail(path, limit)]
    except OSError as error:
        raise StoreError(f"audit can't be read: {error.strerror}: {folder}") from error
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    return sorted(entries, key=lambda e: (e.at_s, e.seq), reverse=True)[:limit]


def _tail(path: Path, limit: int) -> list[bytes]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read().splitlines()[-limit - 1 :]  # one more, as the last may be torn


def _entry(line: bytes) -> AuditEntry | None:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None

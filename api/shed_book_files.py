"""Books of processes that take load off, a file each in the state directory: what another host goes on from."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from placement.shed.reports import MOST_PROCESSES
from plant.errors import ConfigError, ConflictError, RefusedError, StoreError
from plant.sheds import ShedKept
from store import codec
from store.files import replace_file


@dataclass(slots=True)
class ShedBooks:
    """folder: None keeps none, and says so. One at a time: whose a book is, is decided once."""

    folder: Path | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, name: str, kept: ShedKept) -> None:
        """Keep it durably in the place of its last one.

        Raises:
            ConflictError: another owner holds something under this name, who did not tell of it.
            RefusedError: there are too many names.
            StoreError: it can't be kept.
        """
        async with self._one:
            await asyncio.to_thread(self._take, name, kept)

    async def of(self, name: str) -> ShedKept:
        """What was told last; of no owner where nothing was.

        Raises:
            StoreError: it can't be read, or is damaged.
        """
        async with self._one:
            return await asyncio.to_thread(self._read, name)

    def _take(self, name: str, kept: ShedKept) -> None:
        last = self._read(name)
        if last.owner not in ("", kept.owner, kept.taken_from) and not last.empty:
            raise ConflictError(f"what {name} holds is {last.owner}'s: {len(last.caps)} limits, {len(last.jobs)} jobs")
        if self.folder is None:
            raise StoreError("this server keeps no state")
        if not last.owner and len(list(self.folder.glob("*.json"))) >= MOST_PROCESSES:
            raise RefusedError(f"{MOST_PROCESSES} books are kept already")
        try:
            self.folder.mkdir(mode=0o750, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: {error.strerror}") from error
        replace_file(self.folder / f"{name}.json", codec.encode(codec.to_plain(kept)) + b"\n")

    def _read(self, name: str) -> ShedKept:
        if self.folder is None:
            return ShedKept(owner="")
        path = self.folder / f"{name}.json"
        try:
            return codec.from_plain(ShedKept, codec.decode(path.read_bytes()))
        except FileNotFoundError:
            return ShedKept(owner="")
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        except ConfigError as error:
            raise StoreError(f"{path}: {error.message}; look at the limits of GPUs by hand, then remove it") from error

"""What `coldplate shed` holds, on disk: one small file, replaced before and after each act: it may be killed.

It is also told to the API before each act, so that another host can give back what is held when this one is gone:
power limits of GPUs end by nobody's clock.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from plant.errors import ColdplateError, ConfigError, ConflictError, RefusedError, StoreError
from plant.sheds import CapHeld, JobHeld, JobStopped, ShedKept
from store import codec
from store.files import replace_file

SCHEMA = 1


@dataclass(slots=True)
class _Kept:
    schema: int = SCHEMA
    owner: str = ""
    lease_until_s: float = 0.0
    jobs: list[JobHeld] = field(default_factory=list)
    caps: list[CapHeld] = field(default_factory=list)
    stopped: list[JobStopped] = field(default_factory=list)


class ShedBook:
    """jobs by id, caps by place, stopped jobs by id; lease_until_s: by this host's clock [s since 1970].

    owner: this book's name, unlike any other's; tell: takes what is held where another host finds it (blocking), None:
    nowhere; untold: why it could not, "" when it could.
    """

    def __init__(self, folder: Path, tell: Callable[[ShedKept], object] | None = None) -> None:
        """Read it, or begin anew.

        Raises:
            ConfigError: it is damaged, or of a newer version: what is held is not known.
            StoreError: it can't be read, or its folder can't be made.
        """
        self._path = folder / "shed.json"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            kept = _read(self._path)
        except OSError as error:
            raise StoreError(f"{self._path}: can't be used: {error.strerror}") from error
        self.owner = kept.owner or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self.lease_until_s = kept.lease_until_s
        self.jobs = {job.job: job for job in kept.jobs}
        self.caps = {cap.place: cap for cap in kept.caps}
        self.stopped = {job.job: job for job in kept.stopped}
        self.tell, self.untold = tell, ""
        self._last, self._told = b"", ShedKept(owner="")

    @property
    def shares(self) -> dict[str, float]:
        """Job -> share of its dynamic power that it keeps."""
        return {name: job.share for name, job in self.jobs.items()}

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not (self.jobs or self.caps or self.stopped)

    @property
    def held_now(self) -> ShedKept:
        """All of it."""
        return ShedKept(
            owner=self.owner,
            jobs=tuple(self.jobs.values()),
            caps=tuple(self.caps.values()),
            stopped=tuple(self.stopped.values()),
        )

    async def announce(self) -> None:
        """Tell what is held, if that has changed; who does not hear it stops nothing, as load has to come off.

        Raises:
            ConflictError: another process goes on from this book: nothing of it is ours any more.
        """
        now = self.held_now
        if self.tell is None or now == self._told:
            return
        try:
            await asyncio.to_thread(self.tell, now)
        except ConflictError:
            raise
        except ColdplateError as error:
            self.untold = str(error)
        else:
            self._told, self.untold = now, ""

    def adopt(self, kept: ShedKept) -> None:
        """Go on from another process's book, whose lease is over: it is written down as ours, and up at once.

        Raises:
            RefusedError: something is held by this book already.
            StoreError: it can't be written.
        """
        if not self.empty:
            raise RefusedError(f"{self._path}: holds something already; give that back first, or name another --state")
        self.jobs = {job.job: job for job in kept.jobs}
        self.caps = {cap.place: cap for cap in kept.caps}
        self.stopped = {job.job: job for job in kept.stopped}
        self.keep()

    def keep(self) -> None:
        """Write it down durably, if it has changed.

        Raises:
            StoreError: it can't be written; what was written before stays.
        """
        kept = _Kept(
            owner=self.owner,
            lease_until_s=self.lease_until_s,
            jobs=list(self.jobs.values()),
            caps=list(self.caps.values()),
            stopped=list(self.stopped.values()),
        )
        text = codec.encode(codec.to_plain(kept)) + b"\n"
        if text != self._last:
            replace_file(self._path, text)
            self._last = text

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process that acts by this book; the end of the process releases it.

        Raises:
            RefusedError: another one has it.
        """
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise RefusedError(f"{self._path.parent}: another coldplate shed acts by it; stop it first") from None
        finally:
            os.close(descriptor)


def _read(path: Path) -> _Kept:
    remedy = "look at the limits of GPUs and the exclusions of jobs by hand, then remove the file"
    try:
        data = codec.decode(path.read_bytes())
        kept = codec.from_plain(_Kept, data)
    except FileNotFoundError:
        return _Kept()
    except ConfigError as error:
        raise ConfigError(error.message, where=str(path), remedy=remedy) from error
    if kept.schema > SCHEMA:
        raise ConfigError(f"is of version {kept.schema}", where=str(path), remedy="use the newer coldplate")
    return kept

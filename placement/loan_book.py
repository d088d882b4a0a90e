"""Loans on disk: a file each, replaced in one step, so that a process killed at any moment finds where it was."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from plant.errors import ConfigError, RefusedError, StoreError
from plant.loans import OVER, Loan
from store import codec
from store.files import replace_file

KEPT_OVER = 500
"""Loans that are over and stay on record; older ones are forgotten."""
_POLL_S = 0.05


class LoanBook:
    """A folder with `ID.json` for each loan. Whoever changes one holds its lock; the files are valid at all times."""

    def __init__(self, folder: Path) -> None:
        """Open or make.

        Raises:
            StoreError: it can't be made.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise StoreError(f"{folder}: the folder of loans can't be used: {error.strerror}") from error

    def all(self) -> tuple[list[Loan], list[str]]:
        """Every loan, oldest first, and what is wrong with files that are no loans."""
        loans, faults = [], []
        for number in sorted(self._numbers()):
            try:
                loans.append(self.get(str(number)))
            except ConfigError as error:
                faults.append(str(error))
        return loans, faults

    def get(self, loan_id: str) -> Loan:
        """One loan as it was last written.

        Raises:
            RefusedError: there is none of that id.
            ConfigError: its file is damaged.
        """
        path = self._path(loan_id)
        try:
            return codec.from_plain(Loan, codec.decode(path.read_bytes()))
        except FileNotFoundError:
            raise _unknown(loan_id) from None
        except ConfigError as error:
            remedy = "compare both clusters by hand, then correct or remove the file"
            raise ConfigError(error.message, where=str(path), remedy=remedy) from error

    async def keep(self, loan: Loan) -> None:
        """Write one down durably.

        Raises:
            StoreError: it can't be written; what was written before stays.
        """
        replace_file(self._path(loan.id), codec.encode(codec.to_plain(loan)) + b"\n")

    async def add(self, make: Callable[[str], Loan]) -> Loan:
        """Write a new loan down, made for its id.

        Raises:
            RefusedError: a loan of the same node is not over.
            StoreError: it can't be written.
        """
        with self.held("book", wait_s=10.0):
            loans, _ = self.all()
            loan = make(str(max(self._numbers(), default=0) + 1))
            other = next((known for known in loans if known.node == loan.node and known.state not in OVER), None)
            if other is not None:
                raise RefusedError(f"{loan.node} is in loan {other.id} to {other.borrower} already ({other.state})")
            await self.keep(loan)
            for old in [known for known in loans if known.state in OVER][:-KEPT_OVER]:
                self._path(old.id).unlink(missing_ok=True)
                self._lock(old.id).unlink(missing_ok=True)
        return loan

    @contextmanager
    def held(self, name: str, *, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the lock of a loan's id, of the `book`, or of the `runner`; the end of the process releases it.

        Raises:
            RefusedError: another process holds it for longer than wait_s [s], or there is no such loan.
        """
        if name not in ("book", "runner") and not self._path(name).exists():
            raise _unknown(name)
        path = self._lock(name)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            deadline = time.monotonic() + wait_s
            while not _locked(descriptor):
                if time.monotonic() >= deadline:
                    raise RefusedError(f"{path}: another process holds it")
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(descriptor)

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdecimal()]

    def _lock(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def _path(self, loan_id: str) -> Path:
        if not loan_id.isdecimal():
            raise RefusedError(f"{loan_id!r} is no loan's number; `coldplate pools status` lists them")
        return self.folder / f"{loan_id}.json"


def _unknown(loan_id: str) -> RefusedError:
    return RefusedError(f"no loan {loan_id}; `coldplate pools status` lists them")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

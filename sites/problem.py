"""What is wrong with a site file: place, message, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from plant.errors import ConfigError
from sites.document import Document


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something wrong at a place of the file; a warning does not stop a site from loading."""

    place: tuple[str | int, ...]
    message: str
    remedy: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A fault with its `file:line`; severity is `fault` or `warning`."""

    where: str
    message: str
    remedy: str
    severity: str = "fault"

    def __str__(self) -> str:
        """One line: where, what, what to do."""
        grade = "warning: " if self.severity == "warning" else ""
        return f"{self.where}: {grade}{self.message}; {self.remedy}"

    def error(self) -> ConfigError:
        """The same as an error to raise."""
        return ConfigError(self.message, where=self.where, remedy=self.remedy)


def located(fault: Fault, document: Document) -> Problem:
    """The fault with the line at which it stands."""
    return Problem(
        where=document.where(fault.place),
        message=fault.message,
        remedy=fault.remedy,
        severity="warning" if fault.warning else "fault",
    )


def suggestion(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word that is nearest to a misspelt one, or nothing."""
    return next(iter(difflib.get_close_matches(word, list(known), 1, cutoff)), "")


def one_of(word: str, known: Iterable[str]) -> str:
    """A remedy: the nearest known word, or all of them."""
    words = list(known)
    near = suggestion(word, words)
    listed = ", ".join(words[:30]) + (", ..." if len(words) > 30 else "")
    return f"did you mean {near!r}?" if near else f"use one of {listed or '(there is none yet)'}"

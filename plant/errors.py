"""Errors of the house.

ColdplateError
├── PermanentError      asking again will not help
│   ├── ConfigError     a site file, profile or argument is wrong (carries where and remedy)
│   └── RefusedError    a device, guard or policy said no
│       └── ConflictError   as somebody else has what was asked for
└── RetryError          asking again may help
    ├── SilentError     no answer in time
    ├── StaleError      there is a value, but it is too old or not good enough to act on
    └── StoreError      the store can't take or give data now

Foreign exceptions are mapped at the seam that meets them. Messages are lower case, without a full stop,
and say where, what was found, what was expected and what to do.
"""

from __future__ import annotations


class ColdplateError(Exception):
    """Base of every error that coldplate raises."""


class PermanentError(ColdplateError):
    """Asking again will not help."""


class RetryError(ColdplateError):
    """Asking again may help; not before `retry_after_s` [s] where the other side said so."""

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ConfigError(PermanentError):
    """A file or an argument is wrong; `where` is `file:line` or an option."""

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        self.message, self.where, self.remedy = message, where, remedy
        super().__init__(": ".join(p for p in (where, message) if p) + (f"; {remedy}" if remedy else ""))


class RefusedError(PermanentError):
    """A device, the guard or a policy refused."""


class ConflictError(RefusedError):
    """Somebody else has what was asked for (HTTP 409)."""


class SilentError(RetryError):
    """No answer in time."""


class StaleError(RetryError):
    """The value is too old, or of too low a quality, to act on."""


class StoreError(RetryError):
    """The store can't take or give data now."""

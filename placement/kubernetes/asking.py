"""A question to a Kubernetes API server: its answer as it came, or what is wrong in our own errors.

Lists are decoded by msgspec, as the library's own models take seconds for ten thousand nodes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from plant.errors import RefusedError, SilentError

TIMEOUT_S = 10.0
_NO_LOGIN, _GONE, _CONFLICT, _EXPIRED, _BUSY = 401, 404, 409, 410, 429
_AWAY = (502, 503, 504)
"""What stands before the API server, or the server itself while it starts, has no answer now."""
_LATER_S = 1.0
"""A busy server that does not say when is asked again after this [s]."""
_LONGEST = 300
_KNOWN = {
    _NO_LOGIN: "Unauthorized; the token or certificate of the kubeconfig is over or not known there: renew it",
    _GONE: "no such node",
    _CONFLICT: "changed by others meanwhile",
}


class ExpiredError(RefusedError):
    """A list's next page is of a state that the server has forgotten."""


class _BusyError(SilentError):
    """The server takes no more questions now; after_s: when it may be asked again [s]."""

    after_s = _LATER_S


class _PageMetadata(msgspec.Struct):
    next: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct):
    """A part of a list."""

    items: list[dict[str, Any]] | None
    metadata: _PageMetadata = msgspec.field(default_factory=_PageMetadata)


async def asked(
    ask: Callable[..., Awaitable[Any]], *, gone_is_fine: bool = False, patient: bool = False
) -> tuple[bytes, str | None]:
    """Body and date of an answer, as they come: the library's models take milliseconds, and refuse what is new.

    patient: a busy server (429) is asked again when it says, within TIMEOUT_S.

    Raises:
        SilentError: no answer, or not now.
        RefusedError: it said no.
    """
    end_s = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return await _once(ask, gone_is_fine=gone_is_fine)
        except _BusyError as busy:
            if not patient or time.monotonic() + busy.after_s > end_s:
                raise
            await asyncio.sleep(busy.after_s)


async def _once(ask: Callable[..., Awaitable[Any]], *, gone_is_fine: bool) -> tuple[bytes, str | None]:
    from aiohttp import ClientError  # noqa: PLC0415 - comes with the extra

    try:
        answer = await ask(_preload_content=False, _request_timeout=TIMEOUT_S)
        body = await answer.read()
    except (ClientError, TimeoutError, OSError, ValueError) as error:  # a ValueError: no host name
        raise SilentError(f"the API server does not answer: {type(error).__name__}") from error
    if answer.status >= 400 and not (answer.status == _GONE and gone_is_fine):
        raise _error(answer.status, f"{_KNOWN.get(answer.status) or _said(body) or answer.reason}", answer.headers)
    return body, answer.headers.get("Date")


def _error(status: int, words: str, headers: Mapping[str, str]) -> SilentError | RefusedError:
    text = f"the API server says {status}: {words}"
    if status == _BUSY:
        busy, after = _BusyError(text), headers.get("Retry-After", "")
        busy.after_s = max(float(after), _LATER_S) if after.isascii() and after.isdigit() else _LATER_S
        return busy
    if status in _AWAY:
        return SilentError(text)
    return ExpiredError(text) if status == _EXPIRED else RefusedError(text)


def page_of(body: bytes) -> Page:
    """One page of a list. Raises: SilentError: it is none, e.g. a proxy's own words."""
    try:
        return msgspec.json.decode(body, type=Page)
    except msgspec.DecodeError as error:
        raise SilentError(f"what answers is no API server of Kubernetes: {error}; check the kubeconfig") from error


def _said(body: bytes) -> str:
    """The message of a Status, where there is one."""
    with suppress(msgspec.DecodeError, AttributeError):
        return str(msgspec.json.decode(body).get("message", ""))[:_LONGEST]
    return ""

"""The connection under `placement.api_client`: one to a server of coldplate's API, kept open, answers decoded."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from plant.errors import ConfigError, ConflictError, RefusedError, SilentError

T = TypeVar("T")
OK, NOT_MODIFIED, CONFLICT, UNAVAILABLE = 200, 304, 409, 503


class _Problem(msgspec.Struct):
    error: str
    remedy: str = ""


class Connection:
    """url: of `coldplate serve`; token: for what changes something; timeout_s: of one answer [s]."""

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        """Nothing is sent yet.

        Raises:
            ConfigError: not an http or https address.
        """
        parts = _parts(url)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or not _has_port(parts):
            raise ConfigError(f"{url!r} is no address", where="url", remedy="give e.g. http://127.0.0.1:8080")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._url, self._path, self._token = url, parts.path.rstrip("/"), token
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)

    def close(self) -> None:
        """End it; the next question opens another."""
        self._connection.close()

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status (200 or 304), body and headers of an answer.

        Raises:
            SilentError: no answer.
            RefusedError: the server said no.
        """
        data = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), "Content-Type": "application/json"}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            response = self._exchange(method, self._path + path, data, sent)
            status, content, found = response.status, response.read(), response.msg
        except (OSError, http.client.HTTPException, ValueError) as error:  # a ValueError: no host name
            self.close()
            why = str(error) or type(error).__name__
            raise SilentError(f"{self._url}: no answer ({why}); check that coldplate serve runs there") from error
        if status in {OK, NOT_MODIFIED}:
            return status, content, found
        raise _refusal(self._url, status, content)

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """A server ends a kept connection when it likes; then it has not read the question, which is asked anew."""
        kept = self._connection.sock is not None
        with suppress(*((http.client.RemoteDisconnected, ConnectionError) if kept else ())):
            self._connection.request(method, path, data, dict(headers))
            return self._connection.getresponse()
        self._connection.close()
        self._connection.request(method, path, data, dict(headers))
        return self._connection.getresponse()


def decoded(body: bytes, kind: type[T]) -> T:
    """An answer as a record.

    Raises:
        RefusedError: it is none.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise RefusedError(f"not an answer of coldplate: {error}") from error


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # a bracket of an IPv6 address that is not closed
        return None


def _has_port(parts: SplitResult) -> bool:
    """Whether its port, if it names one, is one."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _refusal(url: str, status: int, content: bytes) -> RefusedError | SilentError:
    try:
        problem = msgspec.json.decode(content, type=_Problem)
        text = f"{problem.error}; {problem.remedy}"
    except msgspec.DecodeError:
        text = f"HTTP {status}"
    if status == UNAVAILABLE:
        return SilentError(f"{url}: {text}")
    return ConflictError(f"{url}: {text}") if status == CONFLICT else RefusedError(f"{url}: {text}")

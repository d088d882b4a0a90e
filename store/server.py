"""One HTTP server of a store: a kept connection, a secret that is never shown, and foreign errors mapped."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from plant.errors import ColdplateError, RefusedError, StoreError

TIMEOUT_S = 30.0
_SAID = 300
_REFUSED = frozenset({400, 413, 422})
"""What a server says of the samples themselves; anything else is of the server or of what stands before it."""


class _Said(msgspec.Struct):
    message: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """What the body says, for people: its message, or its beginning."""
        try:
            said = msgspec.json.decode(self.body, type=_Said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.body[:_SAID].decode("utf-8", "replace").strip()
        return (said.message or said.error or self.body.decode("utf-8", "replace"))[:_SAID]


class Server:
    """Requests to one base URL."""

    def __init__(self, url: str, authorization: str = "") -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": authorization} if authorization else {}
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, params: Mapping[str, str], body: bytes | list[tuple[str, str]]) -> Reply:
        """Send bytes, or a form as (name, value) pairs."""
        data = aiohttp.FormData(body) if isinstance(body, list) else io.BytesIO(body)
        return await self._ask("POST", path, params, data)

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Reply:
        """Ask."""
        return await self._ask("GET", path, params or {}, None)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str], data: aiohttp.FormData | io.BytesIO | None
    ) -> Reply:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, headers=self._headers)
        try:
            async with self._session.request(
                method, self.url + path, params=params, data=data, allow_redirects=False
            ) as answer:
                return Reply(status=answer.status, headers=answer.headers, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # a ValueError: no host name
            raise no_answer(self.url, error) from error


def no_answer(url: str, error: Exception) -> StoreError:
    """The server could not be reached."""
    said = str(error) or type(error).__name__
    return StoreError(f"{url}: no answer ({said}); samples wait in the spool until the store is back")


def refusal(url: str, reply: Reply, missing: str) -> ColdplateError:
    """What a reply that is no success means; `missing`: the remedy where the server says that something is not there.

    A wrong secret, a missing bucket or a full disk is as transient as a server that is down: samples must wait, not be
    set aside.
    """
    said = f"{url}: {reply.status} {reply.text}".rstrip()
    if reply.status in {401, 403}:
        remedy = "give a token or user:password that may read and write there: COLDPLATE_STORE_TOKEN or token_file="
        return StoreError(f"{said}; {remedy}")
    if reply.status == 404:
        return StoreError(f"{said}; {missing}")
    if reply.status in _REFUSED:
        return RefusedError(said)
    return StoreError(said, retry_after_s=_retry_after_s(reply))


def _retry_after_s(reply: Reply) -> float | None:
    asked = reply.headers.get("Retry-After", "")
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None


def basic_or(scheme: str, token: str) -> str:
    """The Authorization header: user:password as Basic, anything else by `scheme`; empty without a token."""
    if not token:
        return ""
    if ":" in token:
        return "Basic " + base64.b64encode(token.encode()).decode("ascii")
    return f"{scheme} {token}"

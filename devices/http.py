"""HTTP: bounded, timed GETs and PATCHes to one host:port. The only module that knows aiohttp.

Redirects are not followed: a password must not travel to wherever an answer points.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from devices.http_options import HttpOptions
from plant.errors import ConfigError, RefusedError, SilentError

MAX_CONCURRENT = 4
"""Requests in flight at one host:port; management controllers are small."""
MAX_BYTES = 32 * 1024 * 1024
SESSIONS = "/redfish/v1/SessionService/Sessions"
REFUSED_PAUSE_S = 60.0
"""Until a server that refused our credentials gets them again: controllers lock accounts out after a few failures."""
_UNAUTHORISED = 401
_JSON = "application/json"
_SESSION_HEADER = "X-Auth-Token"


class BusyError(SilentError):
    """The server answered, but not with data now: 429 or 5xx."""


class UnauthorisedError(RefusedError):
    """Our credentials are not accepted: 401, or no session."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that may be of use: 2xx with a body, 304, or a status that says `not here` (3xx, 4xx)."""

    status: int
    body: bytes = b""
    etag: str = ""
    location: str = ""

    @property
    def found(self) -> bool:
        """Whether there is a body to read."""
        return 200 <= self.status < 300

    def why_not(self) -> str:
        """Why there is none, in words."""
        return f"HTTP {self.status}" + (f" to {self.location}" if self.location else "")


class HttpEndpoint:
    """One host:port with its credentials. Times are real seconds."""

    def __init__(self, host: str, port: int, options: HttpOptions | None = None) -> None:
        self.host, self.port, self.options = host, port, options or HttpOptions()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._login = asyncio.Lock()
        self._client: aiohttp.ClientSession | None = None
        self._token, self._session = "", ""
        self._shut, self._shut_until = "", 0.0
        self.requests = 0

    @property
    def name(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    def url(self, path: str) -> str:
        """The whole address of a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.options.scheme}://{host}:{self.port}{path}"

    async def get(self, path: str, *, accept: str = _JSON, etag: str = "") -> Reply:
        """One GET.

        Raises:
            SilentError: no answer in time; BusyError: an answer that says `not now`.
            RefusedError: our credentials or its certificate are not accepted.
        """
        return await self._guarded("GET", path, {"Accept": accept} | ({"If-None-Match": etag} if etag else {}), None)

    async def patch(self, path: str, body: object, *, etag: str = "") -> Reply:
        """One PATCH of a JSON object; with an ETag only if the resource is still that one.

        Raises: as `get`.
        """
        return await self._guarded("PATCH", path, {"Accept": _JSON} | ({"If-Match": etag} if etag else {}), body)

    async def _guarded(self, method: str, path: str, headers: dict[str, str], body: object) -> Reply:
        try:
            self._spare_account()
            return await self._with_credentials(method, path, headers, body)
        except UnauthorisedError as error:
            if time.monotonic() >= self._shut_until:
                self._shut, self._shut_until = str(error), time.monotonic() + REFUSED_PAUSE_S
            raise

    async def close(self) -> None:
        """End the session at the server, which keeps only a few, and the connections."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            await self._end_session(client)
        finally:
            await client.close()

    async def _with_credentials(self, method: str, path: str, headers: dict[str, str], body: object) -> Reply:
        credentials = await self._credentials()  # outside: a login that is refused is not tried twice
        try:
            return await self._ask(method, path, headers | credentials, body)
        except UnauthorisedError:
            if self.options.auth != "redfish-session":
                raise
        # A session ends by itself after some idle time: once more with a new one
        again = await self._credentials(ended=credentials[_SESSION_HEADER])
        return await self._ask(method, path, headers | again, body)

    def _spare_account(self) -> None:
        """Who shares this server must not repeat a login that it refused a moment ago."""
        if time.monotonic() < self._shut_until:
            raise UnauthorisedError(self._shut)

    async def _credentials(self, ended: str = "") -> dict[str, str]:
        options = self.options
        try:
            if options.auth == "basic":
                pair = f"{options.username}:{options.password()}".encode()
                return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
            if options.auth == "bearer":
                return {"Authorization": f"Bearer {options.token()}"}
        except ConfigError as error:
            raise RefusedError(str(error)) from error
        if options.auth == "redfish-session":
            return {_SESSION_HEADER: await self._session_token(ended)}
        return {}

    async def _session_token(self, ended: str) -> str:
        async with self._login:
            if self._token in {"", ended}:
                self._spare_account()
                await self._end_session(self._opened())
                await self._open_session()
            return self._token

    async def _end_session(self, client: aiohttp.ClientSession) -> None:
        try:
            if self._session:
                await self._send(client, "DELETE", self._session, {_SESSION_HEADER: self._token}, None)
        except (SilentError, RefusedError):
            pass  # it ends by itself
        finally:
            self._token = self._session = ""

    async def _open_session(self) -> None:
        try:
            body = {"UserName": self.options.username, "Password": self.options.password()}
        except ConfigError as error:
            raise RefusedError(str(error)) from error
        async with self._slots:
            reply, token = await self._send(self._opened(), "POST", SESSIONS, {"Accept": _JSON}, body)
        if not reply.found or not token:
            raise UnauthorisedError(f"{self.url(SESSIONS)}: no session: {reply.why_not()}; check user and rights")
        self._token, self._session = token, _path_of(reply.location)

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: object) -> Reply:
        async with self._slots:
            reply, _ = await self._send(self._opened(), method, path, headers, body)
        return reply

    async def _send(
        self, client: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str], body: object
    ) -> tuple[Reply, str]:
        url = self.url(path)
        self.requests += 1
        try:
            async with client.request(method, url, headers=headers, json=body, allow_redirects=False) as answer:
                data = await _body(answer, url)
                reply = Reply(answer.status, data, answer.headers.get("ETag", ""), answer.headers.get("Location", ""))
                token = answer.headers.get(_SESSION_HEADER, "")
        except TimeoutError as error:
            raise SilentError(f"{url}: no answer within {self.options.timeout_s:g} s") from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise RefusedError(f"{url}: {_tls_reason(error)}; check tls_ca, or the name in its certificate") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a ValueError: no host name, no header's value
            raise SilentError(f"{url}: {_reason(error)}") from error
        _judge(reply, url)
        return reply, token

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONCURRENT, ssl=self._tls()),
                timeout=aiohttp.ClientTimeout(total=self.options.timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._client

    def _tls(self) -> ssl.SSLContext | bool:
        options = self.options
        if not options.tls:
            return True
        try:
            context = ssl.create_default_context(cafile=options.tls_ca or None)
            if options.tls_cert:
                context.load_cert_chain(options.tls_cert, options.tls_key or None)
        except OSError as error:
            files = ", ".join(filter(None, (options.tls_ca, options.tls_cert, options.tls_key)))
            remedy = "name readable PEM files, and a key that belongs to its certificate"
            raise RefusedError(f"TLS files {files}: {error.strerror or error}; {remedy}") from error
        if not options.tls_verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


async def _body(answer: aiohttp.ClientResponse, url: str) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_chunked(1 << 16):
        size += len(part)
        if size > MAX_BYTES:
            raise RefusedError(f"{url}: answers more than {MAX_BYTES} bytes; check the path")
        parts.append(part)
    return b"".join(parts)


def _judge(reply: Reply, url: str) -> None:
    if reply.status == _UNAUTHORISED:
        raise UnauthorisedError(f"{url}: HTTP {reply.status}; check user, password or token, and rights")
    if reply.status == 429 or reply.status >= 500:
        raise BusyError(f"{url}: HTTP {reply.status}")


def _path_of(location: str) -> str:
    """A Location may be a path or a whole address; only its path is used."""
    return urlsplit(location).path


def _tls_reason(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or error
    return f"TLS: {getattr(inner, 'verify_message', '') or getattr(inner, 'reason', '') or inner}"


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", error)
    return str(getattr(inner, "strerror", "") or error or type(error).__name__)

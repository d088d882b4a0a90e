"""The gate before every request: host names, size of bodies, security headers, and the count of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answers import Problem, reply

MAX_BODY_BYTES = 65_536
_LONG_BODIES = {
    "/v1/jobs": 4_194_304,
    "/v1/schedulers": 4_194_304,
    "/v1/loans": 4_194_304,
    "/v1/shed": 16_777_216,
    "/v1/advise": 4_194_304,
    "/k8s/extender": 67_108_864,
}
"""Bodies that list thousands of jobs or nodes, or whole node objects [bytes], by the path's first two parts."""
_REMEDIES = {"/k8s/extender": "set nodeCacheCapable: true in the scheduler's configuration: names instead of nodes"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_RAW_HEADERS = tuple((name.encode(), value.encode()) for name, value in _HEADERS.items())
_KEPT_FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")
_ASKED_AGAIN = (b"cache-control", b"no-cache")
Count = Callable[[str, int], None]


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _family(path: str) -> str:
    return "/".join(path.split("/")[:3])


class Gate:
    """Refuses foreign host names and large bodies, adds headers, counts; plain ASGI so that streams pass unhindered."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Iterable[str], count: Count) -> None:
        self._app, self._count = app, count
        self._allowed = frozenset(host_name(h) for h in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        dressed = self._dressed(scope, send)
        problem = self._problem(Headers(scope=scope), _family(scope["path"]))
        if problem is None:
            await self._app(scope, receive, dressed)
        else:
            status, body = problem
            await reply(body, status)(scope, receive, dressed)

    def _problem(self, headers: Headers, family: str) -> tuple[int, Problem] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or host_name(hosts[0]) not in self._allowed:
            shown = ascii(", ".join(hosts))[:100] if hosts else "none"
            names = ", ".join(sorted(self._allowed))
            return 421, Problem(
                error=f"host {shown} is not served here", remedy=f"use one of {names}, or start with --host"
            )
        length = headers.get("content-length", "0")
        most_bytes = _LONG_BODIES.get(family, MAX_BODY_BYTES)
        if not (length.isascii() and length.isdigit() and int(length[:20]) <= most_bytes):
            return 413, Problem(
                error="the body is too large", remedy=_REMEDIES.get(family, f"send at most {most_bytes} bytes")
            )
        if "transfer-encoding" in headers:
            return 411, Problem(error="a body needs a length", remedy="send content-length instead of chunks")
        return None

    def _dressed(self, scope: Scope, send: Send) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                asset = scope["path"].startswith("/assets/") and message["status"] == 200
                given = {name for name, _ in message["headers"]}
                more = (*_RAW_HEADERS, _KEPT_FOR_EVER if asset else _ASKED_AGAIN)
                message["headers"] = [*message["headers"], *(pair for pair in more if pair[0] not in given)]
                self._count(_route(scope), message["status"])
            await send(message)

        return dressed


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "page"))

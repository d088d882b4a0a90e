"""HTTP over real sockets: credentials, certificates, timeouts and what an answer is taken for."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from devices.http import MAX_CONCURRENT, SESSIONS, BusyError, HttpEndpoint, UnauthorisedError
from devices.http_options import HttpOptions, read_options
from plant.errors import ConfigError, RefusedError, SilentError
from simulator.http_server import serving
from simulator.redfish import CDUS, RedfishService, SimulatedCdu


@pytest.fixture
def secret(tmp_path):
    """A file that holds `swordfish`."""
    path = tmp_path / "secret"
    path.write_text("swordfish\n")
    return path


def echo(name="Authorization"):
    """An app that says which header it got, and answers any status."""

    async def header(request):
        return PlainTextResponse(request.headers.get(name, ""))

    async def status(request):
        return PlainTextResponse("x", int(request.path_params["status"]))

    async def moved(_request):
        return RedirectResponse("/header")

    return Starlette(routes=[Route("/header", header), Route("/status/{status}", status), Route("/moved", moved)])


async def fetch(port, path, **options):
    """One GET with these options."""
    endpoint = HttpEndpoint("127.0.0.1", port, HttpOptions(**options))
    try:
        return await endpoint.get(path)
    finally:
        await endpoint.close()


async def test_credentials_come_from_files_and_variables(secret, monkeypatch):
    """Basic and bearer credentials arrive at the server as the standards say."""
    monkeypatch.setenv("COLDPLATE_TEST_TOKEN", "t0ken")
    async with serving(echo()) as port:
        basic = await fetch(port, "/header", auth="basic", username="ann", password_file=str(secret))
        bearer = await fetch(port, "/header", auth="bearer", token_env="COLDPLATE_TEST_TOKEN")
        nothing = await fetch(port, "/header")
    assert basic.body == b"Basic YW5uOnN3b3JkZmlzaA=="
    assert (bearer.body, nothing.body) == (b"Bearer t0ken", b"")


async def test_a_secret_that_cannot_be_had_is_a_refusal_with_the_place(tmp_path, monkeypatch):
    """A missing or empty secret is said with its file or variable; nothing is sent without it."""
    monkeypatch.delenv("COLDPLATE_TEST_TOKEN", raising=False)
    async with serving(echo()) as port:
        with pytest.raises(RefusedError, match=r"nowhere: password file: No such file"):
            await fetch(port, "/header", auth="basic", username="a", password_file=str(tmp_path / "nowhere"))
        with pytest.raises(RefusedError, match="COLDPLATE_TEST_TOKEN of the token is empty"):
            await fetch(port, "/header", auth="bearer", token_env="COLDPLATE_TEST_TOKEN")


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"password": "x"}, "secret in clear", "password_file or password_env"),
        ({"token": "x"}, "secret in clear", "token_file or token_env"),
        ({"tsl": True}, "unknown option 'tsl'", "use one of tls"),
        ({"tls": "yes"}, "option 'tls' is 'yes'", "true or false"),
        ({"timeout_s": True}, "option 'timeout_s' is True", "a number"),
        ({"timeout_s": 0}, "timeout_s is 0", "at most 60"),
        ({"auth": "digest"}, "unknown auth 'digest'", "redfish-session"),
        ({"auth": "basic", "password_file": "p"}, "needs a username", "add `username`"),
        ({"auth": "basic", "username": "u"}, "neither is given", "exactly one"),
        ({"auth": "bearer", "token_file": "p", "token_env": "P"}, "both are given", "exactly one"),
        ({"tls_ca": "ca.pem"}, "tls is off", "add `tls: true`"),
        ({"tls_key": "key.pem"}, "tls is off", "add `tls: true`"),
        ({"tls": True, "tls_key": "key.pem"}, "tls_key without tls_cert", "add tls_cert"),
        ({"metrics_path": "metrics"}, "metrics_path 'metrics'", "begin with /"),
    ],
)
def test_wrong_options_are_refused(options, message, remedy):
    """Each wrong setting is named, with what to write instead."""
    with pytest.raises(ConfigError) as raised:
        read_options(options)
    assert message in raised.value.message
    assert remedy in raised.value.remedy


async def test_statuses_are_told_apart():
    """401 refuses us, 429 and 5xx mean later, 403, 404 and redirects mean that it is not here for us."""
    async with serving(echo()) as port:
        with pytest.raises(UnauthorisedError, match="HTTP 401"):
            await fetch(port, "/status/401")
        for status in (429, 500, 503):
            with pytest.raises(BusyError, match=f"HTTP {status}"):
                await fetch(port, f"/status/{status}")
        missing, moved = await fetch(port, "/status/404"), await fetch(port, "/moved")
        forbidden = await fetch(port, "/status/403")
    assert (forbidden.found, forbidden.why_not()) == (False, "HTTP 403")
    assert (missing.found, missing.why_not()) == (False, "HTTP 404")
    assert (moved.found, moved.why_not()) == (False, "HTTP 307 to /header")


async def test_silence_is_bounded_and_named(peers):
    """A closed port, a server that never answers and one that stops half way are all SilentError, in time."""
    with pytest.raises(SilentError, match=r"127\.0\.0\.1"):
        await fetch(peers.free_port(), "/", timeout_s=1.0)

    async def mute(_reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    async def cut(_reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    writers = []

    def kept(handler):
        async def handle(reader, writer):
            writers.append(writer)
            await handler(reader, writer)

        return handle

    for handler, words in ((mute, "no answer within 0.3 s"), (cut, "payload")):
        server = await asyncio.start_server(kept(handler), "127.0.0.1", 0)
        with pytest.raises(SilentError, match=words):
            await fetch(server.sockets[0].getsockname()[1], "/", timeout_s=0.3)
        server.close()
    for writer in writers:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_few_requests_at_once():
    """However many are asked for, a controller sees at most four at a time."""
    now = most = 0

    async def slow(_request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return PlainTextResponse("ok")

    async with serving(Starlette(routes=[Route("/", slow)])) as port:
        endpoint = HttpEndpoint("127.0.0.1", port)
        await asyncio.gather(*(endpoint.get("/") for _ in range(20)))
        await endpoint.close()
    assert most == MAX_CONCURRENT


async def test_a_redfish_session_is_opened_renewed_and_ended(secret):
    """One login serves many requests, a lost session is renewed once, and closing ends it at the server."""
    service = RedfishService([SimulatedCdu("1")], username="ann", password="swordfish")
    options = HttpOptions(auth="redfish-session", username="ann", password_file=str(secret))
    async with serving(service.app) as port:
        endpoint = HttpEndpoint("127.0.0.1", port, options)
        replies = await asyncio.gather(*(endpoint.get(f"{CDUS}/1") for _ in range(6)))
        assert all(reply.found for reply in replies)
        assert len(service.sessions) == 1
        service.sessions.clear()
        replies = await asyncio.gather(*(endpoint.get(f"{CDUS}/1") for _ in range(6)))
        assert all(reply.found for reply in replies)
        assert len(service.sessions) == 1
        await endpoint.close()
        assert service.sessions == {}
        secret.write_text("wrong")
        with pytest.raises(RefusedError, match="HTTP 401"):
            await endpoint.get(f"{CDUS}/1")
        await endpoint.close()


class Denying:
    """An app with sessions; `/denied` answers 403 and `/locked` 401, whoever asks."""

    def __init__(self):
        self.opened, self.ended, self.accepts = 0, [], True
        routes = [
            Route("/denied", lambda _request: PlainTextResponse("", 403)),
            Route("/locked", lambda _request: PlainTextResponse("", 401)),
            Route("/open", lambda _request: PlainTextResponse("x")),
            Route(SESSIONS, self.open, methods=["POST"]),
            Route(SESSIONS + "/{number}", self.end, methods=["DELETE"]),
        ]
        self.app = Starlette(routes=routes)

    async def open(self, _request):
        """A session, unless the password is wrong."""
        self.opened += 1
        headers = {"X-Auth-Token": f"t{self.opened}", "Location": f"{SESSIONS}/{self.opened}"}
        return PlainTextResponse("{}", 201, headers) if self.accepts else PlainTextResponse("", 401)

    async def end(self, request):
        """The session ends with its own token."""
        self.ended.append((request.path_params["number"], request.headers["X-Auth-Token"]))
        return PlainTextResponse("")

    def endpoint(self, port, secret):
        """One of ours."""
        options = HttpOptions(auth="redfish-session", username="ann", password_file=str(secret))
        return HttpEndpoint("127.0.0.1", port, options)


async def test_what_we_may_not_read_costs_no_session(secret):
    """403 is about the resource, not about the session, which serves on; a session that is replaced is ended."""
    server = Denying()
    async with serving(server.app) as port:
        endpoint = server.endpoint(port, secret)
        for _ in range(3):
            assert (await endpoint.get("/denied")).why_not() == "HTTP 403"
        assert (await endpoint.get("/open")).found
        assert (server.opened, server.ended) == (1, [])
        with pytest.raises(UnauthorisedError, match="locked: HTTP 401"):
            await endpoint.get("/locked")
        assert (server.opened, server.ended) == (2, [("1", "t1")])
        await endpoint.close()
    assert server.ended == [("1", "t1"), ("2", "t2")]


async def test_a_refused_login_is_not_repeated_by_whoever_shares_the_server(secret, monkeypatch):
    """Ten units of one controller are one failed login, not ten; after the pause it is tried once more."""
    server = Denying()
    server.accepts = False
    async with serving(server.app) as port:
        endpoint = server.endpoint(port, secret)
        answers = await asyncio.gather(*(endpoint.get("/open") for _ in range(10)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {UnauthorisedError}
        with pytest.raises(UnauthorisedError, match="HTTP 401; check user"):
            await endpoint.get("/open")
        assert server.opened == 1
        server.accepts = True
        monkeypatch.setattr(endpoint, "_shut_until", 0.0)
        assert (await endpoint.get("/open")).found
        await endpoint.close()


async def test_what_can_be_no_address_or_header_is_silence_with_its_reason(monkeypatch):
    """A token with a line break and a host label of 70 letters do not end the link's task."""
    monkeypatch.setenv("COLDPLATE_TEST_TOKEN", "t0k\nen")
    async with serving(echo()) as port:
        with pytest.raises(SilentError, match="header"):
            await fetch(port, "/header", auth="bearer", token_env="COLDPLATE_TEST_TOKEN")
    endpoint = HttpEndpoint("a" * 70 + ".example", 80)
    with pytest.raises(SilentError, match="label"):
        await endpoint.get("/")
    await endpoint.close()


@pytest.mark.real
async def test_certificates_are_checked(real_program, tmp_path):
    """A server's certificate must come from the named authority; only `tls_verify: false` lets others pass."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=cdu", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [real_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate), *subject]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    async with serving(echo(), certificate=certificate, key=key) as port:
        assert (await fetch(port, "/status/200", tls=True, tls_ca=str(certificate))).found
        assert (await fetch(port, "/status/200", tls=True, tls_verify=False)).found
        with pytest.raises(RefusedError, match=r"TLS: self.signed certificate"):
            await fetch(port, "/status/200", tls=True)
        with pytest.raises(RefusedError, match=r"nowhere\.pem"):
            await fetch(port, "/status/200", tls=True, tls_ca=str(tmp_path / "nowhere.pem"))
        missing = {"tls_ca": str(certificate), "tls_cert": str(tmp_path / "client.pem"), "tls_key": str(key)}
        with pytest.raises(RefusedError, match=r"certificate\.pem, .*client\.pem, .*key\.pem: No such file"):
            await fetch(port, "/status/200", tls=True, **missing)
        with pytest.raises(SilentError):
            await fetch(port, "/status/200")

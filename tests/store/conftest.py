"""Stores to test: the embedded file, real servers, and a strict front of InfluxDB 2 before a real engine."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

from benchmarks import store_servers
from plant.clock import ScaledClock
from store.embedded import EmbeddedStore
from store.open import open_samples, store_url

TOKEN = "secret-of-the-fake"


@pytest.fixture(scope="session")
def server_pool():
    """Servers that stay up for all tests of the session, by name."""
    pool = {}
    yield pool
    for server in pool.values():
        server.kill()


def _from(pool, name, make):
    if name not in pool:
        server = make()
        server.start()
        pool[name] = server
    return pool[name]


@pytest.fixture
def influxd(server_pool, real_program, tmp_path_factory):
    """A running InfluxDB 1.x of the distribution."""
    program = real_program("influxd")
    return _from(server_pool, "influxd", lambda: store_servers.influxd(program, tmp_path_factory.mktemp("influxd")))


@pytest.fixture
def victoria(server_pool, real_program, tmp_path_factory):
    """A running VictoriaMetrics of the distribution that drops duplicates, as coldplate asks for."""
    program = real_program("victoria-metrics")
    flag = "-dedup.minScrapeInterval=1ms"
    folder = tmp_path_factory.mktemp("victoria")
    return _from(server_pool, "victoria", lambda: store_servers.victoria(program, folder, flag))


@pytest.fixture
def victoria_plain(server_pool, real_program, tmp_path_factory):
    """A running VictoriaMetrics that keeps duplicates."""
    program = real_program("victoria-metrics")
    folder = tmp_path_factory.mktemp("victoria-plain")
    return _from(server_pool, "victoria-plain", lambda: store_servers.victoria(program, folder))


@dataclass
class Influx2Front:
    """A strict InfluxDB 2: its own authentication, errors and limits; what passes goes to a real 1.x engine.

    `faults` are (status, headers, body) answered to the next writes, oldest first.
    """

    engine: str = ""
    bucket: str = "plant"
    org: str = "site"
    max_body: int = 50_000_000
    faults: list = field(default_factory=list)
    writes: list = field(default_factory=list)
    url: str = ""

    def _denied(self, request):
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return web.json_response({"code": "unauthorized", "message": "unauthorized access"}, status=401)
        return None

    async def write(self, request):
        """POST /api/v2/write."""
        body = await request.read()
        self.writes.append(body)
        if self.faults:
            status, headers, text = self.faults.pop(0)
            return web.Response(status=status, headers=headers, text=text)
        asked = request.query
        if denied := self._denied(request):
            return denied
        if asked.get("org") != self.org or asked.get("bucket") != self.bucket:
            text = f'bucket "{asked.get("bucket")}" not found'
            return web.json_response({"code": "not found", "message": text}, status=404)
        assert asked.get("precision") == "ms"
        if len(body) > self.max_body:
            return web.json_response({"code": "request too large", "message": "too large"}, status=413)
        if not self.engine:
            return web.Response(status=204)
        return await self._pass_on(f"/write?db={self.bucket}&precision=ms", body)

    async def query(self, request):
        """POST /query: the compatibility endpoint of version 1."""
        if denied := self._denied(request):
            return denied
        form = dict(await request.post())
        if form.get("db") != self.bucket:
            return web.json_response({"error": "database not found"}, status=404)
        return await self._pass_on(f"/query?{urlencode(form)}", None)

    async def health(self, _):
        """GET /health and /ping."""
        return web.json_response({"name": "influxdb", "status": "pass", "version": "v2.7.0"})

    async def _pass_on(self, path, body):
        async with (
            aiohttp.ClientSession() as session,
            session.request("POST", self.engine + path, data=body) as reply,
        ):
            return web.Response(status=reply.status, body=await reply.read(), content_type="application/json")

    @asynccontextmanager
    async def serving(self):
        """On loopback, until left."""
        app = web.Application(client_max_size=10**9)
        app.router.add_post("/api/v2/write", self.write)
        app.router.add_post("/query", self.query)
        app.router.add_get("/health", self.health)
        app.router.add_get("/ping", self.health)
        runner = web.AppRunner(app)
        await runner.setup()
        port = store_servers.free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest.fixture
async def influx2_front():
    """The strict front alone: it takes what is right and keeps nothing."""
    async with Influx2Front().serving() as front:
        yield front


@pytest.fixture
def open_front():
    """Opens a store on a front."""

    def opened(front, *, token=TOKEN, bucket="plant"):
        url = store_url(f"influx2+{front.url}?org={front.org}&bucket={bucket}", {})
        return open_samples(url, token, ScaledClock())

    return opened


class Adapter:
    """One store under test; `settle` makes what was written readable, `restart` ends and starts what holds it."""

    exact = True
    future_s = None

    def __init__(self, store):
        self.store = store

    async def settle(self):
        """Nothing to wait for."""

    async def restart(self):
        """Nothing to restart."""
        pytest.skip("the server belongs to somebody else")


class OnServer(Adapter):
    """A store on a server of the pool."""

    def __init__(self, url, server, token="", **traits):
        super().__init__(None)
        self.server, self._url, self._token = server, url, token
        self.exact = traits.get("exact", True)
        self.future_s = traits.get("future_s")
        self._open()

    def _open(self):
        self.store = open_samples(store_url(self._url, {}), self._token, ScaledClock())

    async def restart(self):
        """Killed where it says that it is durable, else ended in an orderly way."""
        await self.store.close()
        durable = "durable_on_ack" in self.store.capabilities
        await asyncio.to_thread(self.server.kill if durable else self.server.stop)
        await asyncio.to_thread(self.server.start)
        self._open()


class OnVictoria(OnServer):
    """VictoriaMetrics shows what it took a second later, unless it is asked to hurry."""

    async def settle(self):
        """Ask."""
        await asyncio.to_thread(self.server.get, "/internal/force_flush")


class Embedded(Adapter):
    """The file."""

    def __init__(self, path):
        self._path = path
        super().__init__(EmbeddedStore.open(path, {"raw_days": 3660.0}))

    async def restart(self):
        """Close and open."""
        await self.store.close()
        self.store = EmbeddedStore.open(self._path, {"raw_days": 3660.0})


@pytest.fixture(
    params=[
        "embedded",
        *(pytest.param(n, marks=pytest.mark.real) for n in ("influx1", "influx2-front", "victoria", "victoria-plain")),
        "influx2",
    ]
)
async def adapter(request, tmp_path):
    """Every store, one after the other, each with its own measurement."""
    measurement = f"m{uuid.uuid4().hex[:10]}"
    if request.param == "embedded":
        found = Embedded(tmp_path / "history.sqlite")
    elif request.param == "influx1":
        server = request.getfixturevalue("influxd")
        found = OnServer(f"influx1+{server.url}/coldplate?measurement={measurement}&site=s", server)
    elif request.param.startswith("victoria"):
        server = request.getfixturevalue(request.param.replace("-", "_"))
        url = f"vm+{server.url}?measurement={measurement}&site=s"
        found = OnVictoria(url, server, exact=False, future_s=2 * 86_400)
    elif request.param == "influx2":
        url = os.environ.get("INFLUXDB2_URL")
        if not url:
            pytest.skip("no INFLUXDB2_URL: the suite has not met a real InfluxDB 2 in this run")
        options = {"org": os.environ.get("INFLUXDB2_ORG", ""), "bucket": os.environ.get("INFLUXDB2_BUCKET", "")}
        query = urlencode({**options, "measurement": measurement})
        token = os.environ.get("INFLUXDB2_TOKEN", "")
        found = Adapter(open_samples(store_url(f"influx2+{url}?{query}", {}), token, ScaledClock()))
    else:
        server = request.getfixturevalue("influxd")
        async with (
            Influx2Front(engine=server.url).serving() as front,
            aiohttp.ClientSession() as session,
            session.post(f"{server.url}/query", data={"q": 'CREATE DATABASE "plant"'}),
        ):
            url = f"influx2+{front.url}?org=site&bucket=plant&measurement={measurement}"
            found = OnServer(url, server, TOKEN)
            yield found
            await found.store.close()
        return
    yield found
    await found.store.close()


@pytest.fixture
def base_s():
    """A whole hour some hours ago: inside what every server keeps."""
    return time.time() // 3600 * 3600 - 6 * 3600

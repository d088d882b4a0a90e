"""Host names, headers, documentation, the page, and whatever anybody may send."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.gate import host_name
from plant.errors import ConfigError
from store.embedded import EmbeddedStore

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::2]", "localhost@evil.example"]
)
async def test_foreign_host_names_are_refused(client, host):
    """A page elsewhere whose name was made to point here gets nothing, on any path."""
    for path in ("/", "/v1/status", "/metrics", "/nowhere"):
        got = await client.get(path, headers={"host": host})
        assert got.status_code == 421
        assert "not served here" in got.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080", "[::1]"])
async def test_own_names_pass(client, host):
    """Loopback's names pass, with and without port."""
    assert (await client.get("/v1/status", headers={"host": host})).status_code == 200


def test_host_names_are_read_as_browsers_write_them():
    """Port and brackets are no part of the name."""
    assert [host_name(h) for h in ("a:1", "[::1]:80", "::1", "A.b")] == ["a", "::1", "::1", "a.b"]


@pytest.mark.parametrize("path", ["/", "/v1/status", "/nowhere", "/assets/index-1.js"])
async def test_every_answer_has_the_security_headers(client, path):
    """Nothing from elsewhere runs, frames or sniffs this page, and no other origin may read it."""
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


async def test_the_page_is_served_and_its_files_are_kept(client):
    """The page is asked for anew each time; what it loads has a name for each content and is kept."""
    page = await client.get("/")
    assert "<title>coldplate</title>" in page.text
    assert page.headers["cache-control"] == "no-cache"
    asset = await client.get("/assets/index-1.js")
    assert "immutable" in asset.headers["cache-control"]
    assert (await client.get("/assets/../../history.sqlite")).status_code == 404


async def test_unknown_paths_are_problems(client):
    """404 has the shape of every other error."""
    got = await client.get("/v1/nothing")
    assert got.status_code == 404
    assert set(got.json()) == {"error", "remedy"}


def test_without_a_built_page_it_says_how_to_build_it(site, tmp_path, monkeypatch):
    """A plain sentence instead of an empty page."""

    def not_built():
        raise ConfigError("the page is not built")

    monkeypatch.setattr("api.app.dist_folder", not_built)
    app = _app(site, tmp_path, None)
    with Browser(app) as browser:
        assert "make setup" in browser.request("GET", "/").text


async def test_large_bodies_are_refused(client, bearer):
    """Nobody fills the server's memory with a body."""
    got = await client.post("/v1/intents", content=b"x" * 70_000, headers=bearer)
    assert got.status_code == 413


class Browser:
    """Asks a running app from code that is not async, as a property test is."""

    def __init__(self, app):
        self._app, self._runner = app, asyncio.Runner()

    def __enter__(self):
        self._runner.run(self._start())
        return self

    async def _start(self):
        self._running = self._app.router.lifespan_context(self._app)
        await self._running.__aenter__()
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def request(self, method, path, **more):
        """The answer to one request."""
        return self._runner.run(self._client.request(method, path, **more))

    def __exit__(self, *_):
        self._runner.run(self._client.aclose())
        self._runner.run(self._running.__aexit__(None, None, None))
        self._runner.close()


def _app(site, folder, page):
    store = EmbeddedStore.open(folder / "history.sqlite", site.retention, read_only=True)
    hosts = frozenset({"127.0.0.1"})
    return create_app(site=site, bus_path=folder / "bus.sock", store=store, token="t", allowed_hosts=hosts, page=page)


def _operations(app):
    paths = app.openapi()["paths"]
    return [(method.upper(), path, operation) for path, o in paths.items() for method, operation in o.items()]


def test_every_endpoint_is_documented(app):
    """docs/api.md has a row and a section for each endpoint, and OpenAPI a summary and a description."""
    text = DOCS.read_text(encoding="utf-8")
    operations = _operations(app)
    assert len(operations) >= 18
    for method, path, operation in operations:
        assert f"| `{method} {path}`" in text, f"{method} {path} is not in the table of docs/api.md"
        assert re.search(rf"^### {method} {re.escape(path)}$", text, re.MULTILINE), f"{method} {path} has no section"
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


def test_the_documentation_names_no_endpoint_that_is_not_there(app):
    """No section of docs/api.md is about something that was taken away."""
    there = {(method, path) for method, path, _ in _operations(app)} | {("GET", "/")}
    named = re.findall(r"^### (GET|POST|PUT|DELETE) (\S+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) == there


async def test_every_parameter_and_field_is_documented(app):
    """Each query parameter and each field of the status is in docs/api.md."""
    text = DOCS.read_text(encoding="utf-8")
    for _, path, operation in _operations(app):
        for parameter in operation.get("parameters", []):
            assert f"`{parameter['name']}`" in text, f"{path}: {parameter['name']} is not documented"
    for name in app.openapi()["components"]["schemas"]["Status"]["properties"]:
        assert f'"{name}"' in text, f"status: {name} is not documented"


async def test_every_metric_is_documented(informed):
    """Each metric that the server has is named in docs/api.md."""
    text = DOCS.read_text(encoding="utf-8")
    families = re.findall(r"^# TYPE (\S+) ", (await informed.get("/metrics")).text, re.MULTILINE)
    assert len(families) > 8
    assert [f for f in families if f not in text] == []


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """A running app that knows some headroom, and a client that reports errors as answers."""
    from plant.records import Headroom
    from sites import load_site
    from store.codec import to_plain

    site = load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")
    folder = tmp_path_factory.mktemp("fuzz")
    app = _app(site, folder, folder)
    room = Headroom(rack="rack-01", at_s=0.0, power_w=1e4, cooling_w=1e4, marginal_w_per_w=0.1, known=True)
    app.state.service.mirror.take("headroom", to_plain([room]))
    with Browser(app) as browser:
        yield browser


READS = ["/v1/points", "/v1/gpus", "/v1/history", "/v1/audit", "/v1/status", "/v1/site", "/v1/forecast", "/metrics"]
WRITES = [
    "/v1/intents",
    "/v1/all-to-default",
    "/v1/placement/hints",
    "/k8s/extender/filter",
    "/k8s/extender/prioritize",
]
NAMES = ["point", "start_s", "end_s", "step_s", "aggregate", "prefix", "equipment", "rack", "limit"]
ODD = ["nan", "inf", "-1", "1e308", "0", "", "cdu-1/tcs_flow", "mean", "\x00", "٣", "1e-320", "999999999999999999999"]
VALUES = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.floats().map(str)
FIELDS = ["kind", "loop", "mode", "values", "reason", "expires_in_s", "plan", "actor", "power_w", "power_kw", "gpus"]
WORDS = st.sampled_from(["hold", "set_mode", "confirm", "all_to_default", "auto", "tcs-1", "x", "\ud800", "\x00"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
QUIET = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@QUIET
@given(path=st.sampled_from(READS), query=st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5))
def test_no_query_makes_the_server_fail(fuzzed, path, query):
    """Whatever is asked, the answer is a value or a problem in one line, never a 500."""
    _well_answered(fuzzed.request("GET", path, params=query))


@QUIET
@given(path=st.sampled_from(WRITES), body=st.dictionaries(st.sampled_from(FIELDS), ANYTHING) | ANYTHING)
def test_no_body_makes_the_server_fail(fuzzed, path, body):
    """Whatever is sent, with the token, the answer is never a 500."""
    headers = {"Authorization": "Bearer t", "content-type": "application/json"}
    _well_answered(fuzzed.request("POST", path, content=json.dumps(body), headers=headers))


@QUIET
@given(
    path=st.sampled_from(WRITES),
    body=st.binary(max_size=64),
    kind=st.sampled_from(["application/json", "text/plain", ""]),
)
def test_no_bytes_make_the_server_fail(fuzzed, path, body, kind):
    """Bytes that are no JSON at all are a problem in one line."""
    _well_answered(
        fuzzed.request("POST", path, content=body, headers={"Authorization": "Bearer t", "content-type": kind})
    )


@QUIET
@given(path=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_no_path_makes_the_server_fail(fuzzed, path):
    """Nor does any path."""
    from urllib.parse import quote

    got = fuzzed.request("GET", "/" + quote(path, safe="/?#"))
    assert got.status_code < 500


def _well_answered(got):
    assert got.status_code in {200, 400, 404, 409, 413, 422, 503}, got.text
    if got.status_code != 200:
        assert set(got.json()) == {"error", "remedy"}
        assert "\n" not in got.json()["error"]

"""Stores behind a server when the server says no, and the requests that go to a cluster."""

from __future__ import annotations

import asyncio
import base64
import math
from contextlib import asynccontextmanager
from email.utils import formatdate
from urllib.parse import parse_qs

import numpy as np
import pytest
from aiohttp import web

from benchmarks.store_servers import free_port
from plant.clock import ManualClock, ScaledClock
from plant.errors import ConfigError, RefusedError, StoreError
from plant.points import PointId
from plant.ports import RangeQuery
from plant.samples import Quality, Reason, SampleBatch, quality_code
from store import influxql
from store.line_protocol import LineWriter, code_of, stored_code
from store.open import ComposedStore, open_samples, open_store, store_url
from store.server import Reply, refusal

T0 = 1_767_225_600.0


def batch(*rows):
    """From (point, time_s, value[, code]) rows."""
    return SampleBatch.of([(PointId(p), t, t, v, *(code or [0])) for p, t, v, *code in rows])


def many(count):
    """A batch of some rows."""
    return batch(*(("a/x", T0 + i, float(i)) for i in range(count)))


async def test_a_wrong_token_waits_and_says_what_to_do(influx2_front, open_front):
    """401 is a StoreError, so samples wait in the spool; it names the address and the remedy, never the token."""
    store = open_front(influx2_front, token="wrong-secret")
    for ask in (
        store.write(many(3)),
        store.last(["a/x"]),
        store.range(RangeQuery(points=("a/x",), start_s=0, end_s=9)),
    ):
        with pytest.raises(StoreError, match="401") as caught:
            await ask
        assert influx2_front.url in str(caught.value)
        assert "COLDPLATE_STORE_TOKEN" in str(caught.value)
        assert "wrong-secret" not in str(caught.value)
    await store.close()


@pytest.mark.parametrize(
    "url", ["influx1+http://store..lan/db", "influx2+http://store..lan?org=o&bucket=b", "vm+http://store..lan"]
)
async def test_what_is_no_host_name_is_a_store_that_does_not_answer(url):
    """Samples wait in the spool until the site file is mended; they are never set aside for it."""
    store = open_samples(store_url(url, {}), "", ScaledClock())
    for ask in (store.write(many(3)), store.last(["a/x"])):
        with pytest.raises(StoreError, match=r"store\.\.lan.*no answer"):
            await ask
    await store.close()


async def test_a_missing_bucket_waits_and_says_what_to_do(influx2_front, open_front):
    """404 is a StoreError that tells to create the bucket."""
    store = open_front(influx2_front, bucket="elsewhere")
    with pytest.raises(StoreError, match=r'bucket "elsewhere" not found.*create the bucket'):
        await store.write(many(3))
    with pytest.raises(StoreError, match="dbrp"):
        await store.last(["a/x"])
    await store.close()


@pytest.mark.parametrize(
    ("status", "retry_after", "low", "high"),
    [(429, "7", 7, 7), (503, "2.5", 2.5, 2.5), (503, "", None, None), (500, "soon", None, None), (429, "date", 20, 40)],
)
async def test_a_busy_server_is_asked_again_when_it_said(influx2_front, open_front, status, retry_after, low, high):
    """429 and 5xx carry Retry-After, in seconds or as a date; the next write after them is taken."""
    import time

    said = formatdate(time.time() + 31, usegmt=True) if retry_after == "date" else retry_after
    influx2_front.faults.append((status, {"Retry-After": said} if said else {}, '{"code": "unavailable"}'))
    store = open_front(influx2_front)
    with pytest.raises(StoreError, match=str(status)) as caught:
        await store.write(many(3))
    wait_s = caught.value.retry_after_s
    assert wait_s is None if low is None else low <= wait_s <= high
    assert (await store.write(many(3))).accepted == 3
    await store.close()


@pytest.mark.parametrize("status", [402, 405, 409, 410, 418, 501, 507, 520, 521, 529, 598])
async def test_what_is_not_said_of_the_samples_waits(influx2_front, open_front, status):
    """A full disk, a proxy's own codes, a server that has moved: samples wait, as none of it is their fault."""
    influx2_front.faults.append((status, {"Retry-After": "5"}, "no room"))
    store = open_front(influx2_front)
    with pytest.raises(StoreError, match=f"{status} no room") as caught:
        await store.write(many(3))
    assert caught.value.retry_after_s == 5
    assert (await store.write(many(3))).accepted == 3
    await store.close()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_said_of_the_samples_is_for_good(status):
    """Only these set samples aside."""
    assert isinstance(refusal("http://x", Reply(status=status, headers={}, body=b"bad"), ""), RefusedError)


def test_an_error_in_another_encoding_is_a_store_error():
    """A proxy's page in Latin-1, also as JSON, is read as well as can be."""
    said = b'{"error": "\xe9chec"}'
    error = refusal("http://x", Reply(status=503, headers={}, body=said), "")
    assert isinstance(error, StoreError)
    assert "chec" in str(error)
    with pytest.raises(StoreError, match="not InfluxQL"):
        influxql.columns(said, "http://x")


async def test_an_answer_in_another_encoding_is_a_store_error():
    """VictoriaMetrics' answer, too."""
    app, port = web.Application(), free_port()

    async def answer(_):
        return web.Response(body=b'{"data": {"result": [{"metric": {"point": "\xe9"}}]}}')

    app.router.add_post("/api/v1/query", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    store = open_samples(store_url(f"vm+http://127.0.0.1:{port}", {}), "", ScaledClock())
    with pytest.raises(StoreError, match="not VictoriaMetrics"):
        await store.last(["a/x"])
    await store.close()
    await runner.cleanup()


async def test_too_large_a_body_is_split(influx2_front, open_front):
    """413 halves the request until it fits; each line arrives once in what was taken."""
    influx2_front.max_body = 2000
    store = open_front(influx2_front)
    assert (await store.write(many(200))).accepted == 200
    taken = [line for body in influx2_front.writes if len(body) <= 2000 for line in body.split(b"\n")]
    assert len(taken) == len(set(taken)) == 200
    influx2_front.max_body = 10
    result = await store.write(many(2))
    assert (result.accepted, result.rows) == (0, (0, 1))
    assert "413" in result.rejected[0]
    await store.close()


async def test_a_poisoned_body_is_refused_for_good(influx2_front, open_front):
    """A 400 of another kind is a RefusedError, so the forwarder does not ask for ever; unparsable lines are sought."""
    influx2_front.faults.append((400, {}, '{"code": "invalid", "message": "no such thing"}'))
    store = open_front(influx2_front)
    with pytest.raises(RefusedError, match="400 no such thing"):
        await store.write(many(3))
    unparsable = (400, {}, '{"code": "invalid", "message": "unable to parse \'x\': bad"}')
    influx2_front.faults += [unparsable, unparsable]
    result = await store.write(many(3))
    assert (result.accepted, result.rows) == (2, (0,))
    await store.close()


async def test_no_server_is_a_store_error():
    """Nobody listens: samples wait."""
    url = f"http://127.0.0.1:{free_port()}"
    for text in (f"influx2+{url}?bucket=b&org=o", f"influx1+{url}/db", f"vm+{url}"):
        store = open_samples(store_url(text, {}), "", ScaledClock())
        for ask in (store.write(many(2)), store.last(["a/x"])):
            with pytest.raises(StoreError, match="no answer"):
                await ask
        await store.close()


@pytest.mark.real
async def test_influx1_names_the_rows_it_dropped(influxd):
    """A field type conflict drops some rows of a batch: these are named by place, the others are kept."""
    url = f"influx1+{influxd.url}/conflicts?measurement=m"
    store = open_samples(store_url(url, {}), "", ScaledClock())
    await store.write(many(1))  # makes the database
    await store._server.post("/write", {"db": "conflicts"}, b"n,point=a/y other=1 1")
    broken = LineWriter("m", {})
    store._writer = broken
    good = broken.lines(many(40))
    lines = [*good.lines[:7], good.lines[7].replace("value=7.0", 'value="text"'), *good.lines[8:]]
    lines[23] = "no line at all"
    dropped = await store._put(lines, list(range(40)))
    assert sorted(dropped) == [7, 23]
    assert "field type conflict" in dropped[7]
    assert "unable to parse" in dropped[23]
    (series,) = await store.range(RangeQuery(points=("a/x",), start_s=T0, end_s=T0 + 100))
    assert len(series.value) == 38
    await store.close()


@pytest.mark.real
async def test_influx1_has_no_history_before_its_database_is_made(influxd):
    """Reading comes up empty, and the first write makes the database, whatever its name."""
    store = open_samples(store_url(f"influx1+{influxd.url}/new-one", {}), "", ScaledClock())
    assert await store.last(["a/x"]) == {}
    assert (await store.write(many(2))).accepted == 2
    assert (await store.last(["a/x"]))["a/x"] == (T0 + 1, 1.0, 0)
    await store.close()


@pytest.mark.real
async def test_victoria_refuses_what_it_would_silently_drop(real_program, tmp_path):
    """Samples older than -retentionPeriod are rejected by name instead of answered by 204 and forgotten."""
    from benchmarks import store_servers

    server = store_servers.victoria(real_program("victoria-metrics"), tmp_path / "vm", "-retentionPeriod=2w")
    await asyncio.to_thread(server.start)
    try:
        store = open_samples(store_url(f"vm+{server.url}", {}), "", ScaledClock())
        result = await store.write(batch(("a/x", T0 - 5e8, 1.0), ("a/x", ScaledClock().now() - 60, 2.0)))
        assert (result.accepted, result.rows) == (1, (0,))
        assert "retentionPeriod" in result.rejected[0]
        await store.close()
    finally:
        server.kill()


@asynccontextmanager
async def recording():
    """A server that notes (method, path, query, body, authorization) and answers like VictoriaMetrics."""
    seen = []

    async def answer(request):
        body = (await request.read()).decode()
        seen.append((request.method, request.path, dict(request.query), body, request.headers.get("Authorization")))
        if request.path.endswith("/metrics"):
            return web.Response(
                text='vm_app_start_timestamp 1700000000\nflag{name="dedup.minScrapeInterval", value="1ms", is_set="true"} 1\n'
            )
        if request.path.endswith("/export"):
            return web.Response(text="")
        if "/select/" in request.path:
            return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": []}})
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        await runner.cleanup()


async def test_a_victoria_cluster_is_written_and_read_by_tenant():
    """Writes go to vminsert's path, reads to vmselect's, start times and flags come from the vmstorage processes."""
    async with recording() as (insert, inserted), recording() as (select, selected), recording() as (storage, stored):
        url = f"vm-cluster+{insert},{select}?tenant=42:7&storage={storage}&site=north"
        store = open_samples(store_url(url, {}), "bearer-token", ManualClock(T0))
        assert (await store.write(batch(("a/x", T0 + 0.25, 1.5)))).accepted == 1
        assert await store.started_s() == 1_700_000_000
        query = RangeQuery(points=("a/x",), start_s=T0, end_s=T0 + 600)
        await store.range(query)
        await store.range(RangeQuery(points=("a/x",), start_s=T0, end_s=T0 + 600, step_s=60.0, aggregate="max"))
        await store.last(["a/x"])
        await store.close()
    line = "coldplate,point=a/x,site=north value=1.5,code=0i 1767225600250\n"
    assert inserted == [("POST", "/insert/42:7/influx/write", {"precision": "ms"}, line, "Bearer bearer-token")]
    paths = [path for _, path, *_ in selected]
    assert paths[:3] == [f"/select/42:7/prometheus/api/v1/{name}" for name in ("export", "query_range", "query")]
    exported, ranged = (parse_qs(body) for *_, body, _ in selected[:2])
    assert exported["match[]"] == ['{__name__=~"coldplate_(value|code|unused)", point=~"a/x", site="north"}']
    assert (exported["start"], exported["end"]) == (["1767225600.000"], ["1767226199.999"])
    assert (ranged["start"], ranged["end"], ranged["step"]) == (["1767225659.999"], ["1767226199.999"], ["60000ms"])
    assert "max_over_time" in ranged["query"][0]
    assert {path for _, path, *_ in stored} == {"/metrics"}


async def test_a_cluster_without_storage_addresses_does_not_say_when_it_started():
    """Then nobody knows, and nobody is asked."""
    async with recording() as (insert, _), recording() as (select, selected):
        store = open_samples(store_url(f"vm-cluster+{insert},{select}", {}), "", ScaledClock())
        assert await store.started_s() is None
        assert selected == []
        await store.close()


def test_lines_are_escaped_and_carry_quality_in_numbers():
    """Measurement, tags, value as the shortest text of its double, quality above reasons, milliseconds."""
    unsure = quality_code(Quality.UNCERTAIN, Reason.STALE)
    out = quality_code(Quality.BAD, Reason.OUT_OF_SERVICE)
    rows = [("a b/x,y=z", T0 + 0.0004, 0.1 + 0.2, unsure), ("a/x", T0, math.nan, 2), ("a/x", T0 + 1, 5.0, out)]
    made = LineWriter("coldplate", {"site": "site 1"}).lines(batch(*rows))
    assert made.lines == [
        "coldplate,point=a\\ b/x\\,y\\=z,site=site\\ 1 value=0.30000000000000004,code=1048577i 1767225600000",
        "coldplate,point=a/x,site=site\\ 1 code=2097152i 1767225600000",
        f"coldplate,point=a/x,site=site\\ 1 unused=5.0,code={(2 << 20) + int(Reason.OUT_OF_SERVICE)}i 1767225601000",
    ]
    bad = LineWriter("coldplate", {}).lines(batch(("a\nb", T0, 1.0), ("ok", T0, 1.0), ("end\\", T0, 1.0)))
    assert bad.places == [1]
    assert sorted(bad.rejected) == [0, 2]


def test_codes_survive_and_sort_by_quality():
    """Stored codes come back bit by bit, and a worse quality is always the greater number."""
    codes = np.array([quality_code(q, Reason(r)) for q in Quality for r in range(0, 1 << 13, 7)], np.int32)
    assert code_of(stored_code(codes)).tolist() == codes.tolist()
    assert code_of(stored_code(codes).astype(np.float64)).tolist() == codes.tolist()
    ordered = codes[np.argsort(stored_code(codes))] & 3
    assert (np.diff(ordered) >= 0).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgres://x", "is no store"),
        ("influx3+http://h:1", "is no store"),
        ("influx1+http://h:8086", "needs the database"),
        ("influx2+http://h:8086?org=o", "needs bucket"),
        ("influx2+http://h:8086/path?bucket=b", "takes no path"),
        ("vm+ftp://h", "no http address"),
        ("vm+http://h:99999", "no http address"),
        ("vm+http://h:1?bucket=b", "no option 'bucket'"),
        ("vm-cluster+http://h:1", "two addresses"),
        ("vm-cluster+http://h:1,http://h:2?tenant=x", "tenant"),
        ("vm+http://h:1?measurement=a-b", "measurement"),
    ],
)
def test_a_wrong_url_says_where_and_what_is_right(text, said):
    """One line: the option, the fault, and the forms there are."""
    with pytest.raises(ConfigError, match=said) as caught:
        store_url(text, {})
    assert caught.value.where == "--store or $COLDPLATE_STORE"
    assert "vm+http://HOST:8428" in caught.value.remedy


def test_secrets_do_not_belong_in_a_url():
    """user:password@ is refused without being repeated."""
    with pytest.raises(ConfigError, match="every user of the machine") as caught:
        store_url("vm+http://me:hunter2@h:1", {})
    assert "hunter2" not in str(caught.value)


async def test_tokens_come_from_the_environment_or_a_file(tmp_path):
    """The variable, the file it names, or the URL's token_file; user:password becomes Basic."""
    (tmp_path / "token").write_text("me:from-file\n")
    wanted = {
        "Bearer t1": ({"COLDPLATE_STORE_TOKEN": "t1"}, ""),
        "Basic " + base64.b64encode(b"me:from-file").decode(): (
            {"COLDPLATE_STORE_TOKEN_FILE": str(tmp_path / "token")},
            "",
        ),
    }
    wanted[list(wanted)[1]] = ({}, f"?token_file={tmp_path / 'token'}")
    async with recording() as (url, seen):
        for header, (environment, query) in wanted.items():
            store = open_store(store_url(f"vm+{url}{query}", {}), tmp_path / "state", {}, environment=environment)
            await store.write(many(1))
            await store.close()
            assert seen[-1][-1] == header
    with pytest.raises(ConfigError, match="can't be read"):
        open_store(store_url(f"vm+{url}?token_file=/no/such", {}), tmp_path / "state", {})


async def test_records_stay_in_the_file_when_samples_go_to_a_server(tmp_path):
    """Plans are kept and found with a server that is down; samples are refused until it is back; a reader can't write."""
    url = store_url(None, {"COLDPLATE_STORE": f"vm+http://127.0.0.1:{free_port()}"})
    store = open_store(url, tmp_path, {})
    assert isinstance(store, ComposedStore)
    assert store.capabilities == {"records"}
    await store.append("plan", "tcs-1", T0, {"id": "p1"})
    with pytest.raises(StoreError, match="no answer"):
        await store.write(many(1))
    reader = open_store(url, tmp_path, {}, read_only=True)
    assert await reader.latest("plan", "tcs-1") == {"id": "p1"}
    assert await reader.since("plan", T0) == [{"id": "p1"}]
    with pytest.raises(RefusedError, match="read-only"):
        await reader.write(many(1))
    await store.maintain(T0)
    await reader.close()
    await store.close()


def test_the_option_outranks_the_environment():
    """--store, then $COLDPLATE_STORE, then the embedded file."""
    environment = {"COLDPLATE_STORE": "vm+http://h:1"}
    assert store_url("embedded", environment).kind == "embedded"
    assert store_url(None, environment).kind == "vm"
    assert store_url(None, {}).kind == "embedded"

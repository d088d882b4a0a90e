"""The live stream, over a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import httpx
import pytest

from cli.listening import Listening
from cli.serve import PageServer


def free_port() -> int:
    """A free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def serving(app):
    """The app behind a real server."""
    port = free_port()
    server = PageServer(app, Listening(port=port))
    task = asyncio.create_task(server.work(until_stdin_closes=False))
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.01)
    yield server, f"http://127.0.0.1:{port}"
    server.stop()
    await asyncio.wait_for(task, 5)


@pytest.fixture
async def address(app, edge):
    """Where the app really listens."""
    async with serving(app) as (_, address):
        yield address


class Events:
    """Server-sent events as a browser reads them."""

    def __init__(self, response):
        self._lines = response.aiter_lines()
        self.comments = 0

    async def next(self, within_s=10.0):
        """Name, data and number of the next event."""
        name, data, number = "", "", None
        async with asyncio.timeout(within_s):
            async for line in self._lines:
                self.comments += line.startswith(":")
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif field == "id":
                    number = int(value)
                elif not line and name:
                    return name, json.loads(data), number
        raise EOFError

    async def until(self, wanted, within_s=10.0):
        """The data of the next event of that name."""
        async with asyncio.timeout(within_s):
            while True:
                name, data, _ = await self.next(within_s)
                if name == wanted:
                    return data


@asynccontextmanager
async def listening(address, **headers):
    """An open stream."""
    async with (
        httpx.AsyncClient(timeout=15) as client,
        client.stream("GET", f"{address}/v1/stream", headers=headers) as got,
    ):
        assert got.headers["content-type"].startswith("text/event-stream")
        yield Events(got)


async def test_a_page_sees_everything_first_and_then_what_changes(edge, address, app, until):
    """Snapshot, then live values and records as the edge tells them; event data is the endpoint's body."""
    await edge.say_everything()
    await edge.say_live({"cdu-1/pump_speed": 0.5, "rack-01/gpu-00/temperature": 50.0})
    await until(lambda: "live" in app.state.service.mirror.versions and app.state.service.mirror.actuator)
    async with listening(address) as events:
        name, snapshot, _ = await events.next()
        assert name == "snapshot"
        assert set(snapshot) == {
            *("status", "points", "gpus", "forecast", "plans", "modes", "conditions", "headroom", "links", "actuator"),
            *("ride_through", "shed", "switchback"),
        }
        assert snapshot["status"]["site"] == "demo-pod"
        assert snapshot["plans"][0]["id"] == "plan-1"
        assert {p["id"] for p in snapshot["points"]} >= {"cdu-1/pump_speed"}
        assert not [p for p in snapshot["points"] if "gpu-" in p["id"]]
        assert snapshot["gpus"][0]["max_temperature_c"] == 50.0
        await edge.say_live({"cdu-1/pump_speed": 0.6})
        live = await events.until("live")
        assert {p["id"]: p["value"] for p in live["points"]}["cdu-1/pump_speed"] == 0.6
        await edge.say("modes", [])
        assert await events.until("modes") == {"modes": []}
        assert (await events.until("status"))["edge_connected"] is True


@pytest.mark.parametrize("last", ["7", "nonsense", "999999999999999999999"])
async def test_a_page_that_comes_back_gets_a_fresh_snapshot(address, last):
    """Last-Event-ID of any kind is answered by everything as it is now."""
    async with listening(address, **{"Last-Event-ID": last}) as events:
        assert (await events.next())[0] == "snapshot"


async def test_live_events_are_throttled(edge, address):
    """However fast the edge talks, a page hears at most two live events a second, and the newest value at last."""
    async with listening(address) as events:
        await events.next()
        numbers, values = [], []

        async def listen():
            while not values or values[-1] != 99.0:
                name, data, number = await events.next()
                if name == "live":
                    numbers.append(number)
                    values.extend(p["value"] for p in data["points"] if p["id"] == "cdu-1/tcs_flow")

        listener = asyncio.create_task(listen())
        for i in range(100):
            await edge.say_live({"cdu-1/tcs_flow": float(i)})
            await asyncio.sleep(0.01)
        await asyncio.wait_for(listener, 10)
        assert len(numbers) <= 5
        assert numbers == sorted(set(numbers))


async def test_a_page_that_does_not_read_holds_up_nobody(edge, address, app):
    """One client that never reads, and another still hears of everything in time."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        async with listening(address) as events:
            await events.next()
            cdu = [p for p in edge.site.points if p.startswith("cdu-")]
            for i in range(20):
                await edge.say_live(dict.fromkeys(cdu, float(i)))
                await asyncio.sleep(0.05)
            await edge.say_live({"cdu-1/tcs_flow": 77.0})
            async with asyncio.timeout(5):
                while True:
                    live = await events.until("live")
                    if any(p["value"] == 77.0 for p in live["points"]):
                        break
        assert app.state.service.streams >= 1


async def test_a_page_that_goes_is_forgotten(address, app, until):
    """Closed streams are not counted any more."""
    async with listening(address) as events:
        await events.next()
        assert app.state.service.streams == 1
    await until(lambda: app.state.service.streams == 0)


async def test_a_stopping_server_says_goodbye(app, edge):
    """Pages are told to come back, and the server stops at once even though they listen."""
    async with serving(app) as (server, address), listening(address) as events:
        await events.next()
        server.stop()
        assert "reason" in await events.until("goodbye")


async def test_a_stale_value_is_told_though_the_edge_is_silent(edge, address):
    """When nothing comes any more the page hears that values have become stale."""
    async with listening(address) as events:
        await events.next()
        await edge.say_live({"cdu-1/pump_speed": 0.5})
        async with asyncio.timeout(10):
            while True:
                live = await events.until("live")
                if ["stale"] in [p["reasons"] for p in live["points"] if p["id"] == "cdu-1/pump_speed"]:
                    break


async def test_no_more_pages_than_the_server_can_feed(address, app):
    """The stream after the last is refused in words."""
    app.state.service.streams = 64
    async with httpx.AsyncClient() as client:
        got = await client.get(f"{address}/v1/stream")
    app.state.service.streams = 0
    assert got.status_code == 503
    assert "listen already" in got.json()["error"]


async def test_a_client_that_takes_nothing_loses_its_place(app, edge, monkeypatch, until):
    """Sixty-four of them would keep every page out."""
    monkeypatch.setattr("api.stream.SLOW_S", 0.1)
    service, begun = app.state.service, asyncio.Event()

    async def send(message):
        if message["type"] == "http.response.body":
            begun.set()
            await asyncio.Event().wait()

    async def receive():
        await asyncio.Event().wait()

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "path": "/v1/stream",
        "raw_path": b"/v1/stream", "root_path": "", "query_string": b"", "headers": [(b"host", b"127.0.0.1")],
    }  # fmt: skip
    slow = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait_for(begun.wait(), 5)
    assert service.streams == 1
    await until(lambda: service.streams == 0)
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)

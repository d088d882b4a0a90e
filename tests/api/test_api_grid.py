"""Load targets over a real broker become budgets of the real API, and end at their own time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime

import pytest
import uvicorn

from cli.grid_run import Grid, GridOptions, serve_grid
from devices.mqtt import Subscriber
from placement.api_client import Client
from placement.signature import signed_payload
from plant.budgets import Budget, BudgetEnd, BudgetSource
from plant.errors import SilentError

pytestmark = pytest.mark.real
TOPIC = "grid/v1/isv/acme/loadtarget/set"


def message(kw: float | None, for_s: float | None, number: int, feed: str = "main-a") -> bytes:
    """A load target from now on."""
    interval = {} if for_s is None else {"end_time": datetime.fromtimestamp(time.time() + for_s, UTC).isoformat()}
    limit = None if kw is None else {"value": kw, "unit": "kilowatt"}
    data = {"targets": [{"interval": interval, "feed_tags": [feed], "load_constraint": limit}]}
    return json.dumps(
        {
            "specversion": "1.0.2",
            "id": f"event-{number}",
            "source": "//grid/v1/isv/acme",
            "type": "grid.loadtarget.set.v1",
            "time": datetime.now(UTC).isoformat(),
            "datacontenttype": "application/json",
            "subject": "loadtarget",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "data": data,
        }
    ).encode()


@contextlib.asynccontextmanager
async def bridge(broker, url: str, token: str, folder, said: list[str]):
    """The loop of `coldplate grid`."""
    client, teller = Client(url, token), Client(url, token)
    options = GridOptions(feeds={"main-a": "site", "main-b": "rack-01"}, other_w=100e3, acts=True, unsigned=True)
    grid = Grid(client, folder / "targets.json", options, lambda text: signed_payload(text, {}), said.append)
    bus = Subscriber("127.0.0.1", broker.port, "coldplate-grid", [TOPIC])
    task = asyncio.create_task(serve_grid(grid, bus, lambda report: teller.report("grid", report)))
    try:
        yield bus
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        client.close()
        teller.close()


@contextlib.asynccontextmanager
async def publisher(broker):
    """Somebody at the energy company."""
    bus = Subscriber("127.0.0.1", broker.port, "isv", ["none"])
    task = asyncio.create_task(bus.run(_nothing))
    try:
        yield bus
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _nothing(_: object) -> None:
    """It only sends."""


async def delivered(bus: Subscriber, payload: bytes) -> None:
    """At QoS 1, as the schema binds it."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await bus.deliver(TOPIC, payload, 10.0)
            except SilentError:
                await asyncio.sleep(0.05)


async def test_a_target_becomes_a_budget_until_its_end(app, edge, until, bearer, broker, tmp_path):
    """Less what else hangs on the feed; garbage is told and changes nothing; null ends it; a restart forgets nothing."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    serving = asyncio.create_task(server.serve())
    said: list[str] = []
    try:
        await until(lambda: server.started, 60)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        token = bearer["Authorization"].removeprefix("Bearer ")
        async with publisher(broker) as isv:
            async with bridge(broker, url, token, tmp_path, said) as bus:
                await until(lambda: bus.connected, 60)
                await delivered(isv, message(900.0, 3600.0, 1))
                await until(lambda: edge.budgets, 60)
                (budget,) = edge.budgets
                assert isinstance(budget, Budget)
                assert (budget.scope, budget.power_w, budget.source) == ("site", 800e3, BudgetSource.GRID)
                assert (budget.actor, budget.reason) == ("acme", "load target event-1 of the grid")
                assert budget.until_s - app.state.service.mirror.now_s == pytest.approx(3600.0, abs=1500.0)
                await delivered(isv, b'{"type": "nonsense"}')
                await until(lambda: any("not taken" in line for line in said), 60)
                await delivered(isv, message(1.0, 60.0, 2, feed="elsewhere"))
                await until(lambda: any("elsewhere" in line for line in said), 60)
            assert len(edge.budgets) == 1
            await delivered(isv, message(None, None, 3))
            async with bridge(broker, url, token, tmp_path, said):
                await edge.say("budgets", [budget])
                await until(lambda: isinstance(edge.budgets[-1], BudgetEnd), 60)
                end = edge.budgets[-1]
                assert (end.scope, end.source) == ("site", BudgetSource.GRID)
                await until(app.state.service.schedulers.states, 60)
                (state,) = app.state.service.schedulers.states()
                assert (state.name, state.report.kind) == ("grid", "grid")
    finally:
        server.should_exit = True
        await serving


def test_an_end_that_is_none_and_a_cooling_that_moves(tmp_path):
    """Renewed before it runs out, set anew when the rest of the feed draws another power; not for every watt."""
    said: list[str] = []
    options = GridOptions(feeds={"main-a": "site"}, acts=True, unsigned=True)
    now = [time.time()]
    asked = Powers(now)
    grid = Grid(asked, tmp_path / "t.json", options, str.encode, said.append, lambda: now[0])
    (payload,) = [message(900.0, None, 1)]
    asyncio.run(grid.take([Told(payload)]))
    assert grid.hold() == []
    assert asked.put == [(700.0, pytest.approx(now[0] + 6 * 3600.0, abs=1.0))]
    asked.site_w = 1001e3
    grid.hold()
    assert len(asked.put) == 1
    asked.site_w = 1100e3
    grid.hold()
    assert asked.put[-1][0] == 600.0
    now[0] += 4 * 3600.0
    again = Grid(asked, tmp_path / "t.json", options, str.encode, said.append, lambda: now[0])
    again.hold()
    assert asked.put[-1] == (600.0, pytest.approx(now[0] + 6 * 3600.0, abs=1.0))
    asked.site_w = None
    assert "--other-kw" in again.hold()[0]
    assert "--other-kw" in again.report("").last_error


class Told:
    """A message of the bus."""

    def __init__(self, payload: bytes) -> None:
        self.topic, self.payload = TOPIC, payload


class Powers:
    """The API's answers about powers, and what was set."""

    def __init__(self, now: list[float]) -> None:
        self.now = now
        self.site_w: float | None = 1000e3
        self.put: list[tuple[float, float]] = []

    def site_powers(self):
        """IT and site."""
        return 800e3, self.site_w

    def site_time_s(self):
        """The same clock."""
        return self.now[0]

    def budgets(self):
        """None."""
        return []

    def put_budget(self, kw, reason, until, **_):
        """Remember."""
        self.put.append((kw, until))

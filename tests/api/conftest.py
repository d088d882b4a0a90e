"""An edge to talk to (a real bus server with records of a plausible pod), and the app beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from plant.budgets import Budget, BudgetEnd
from plant.clock import ScaledClock
from plant.intents import Answer, Intent, Mode, ModeState
from plant.outcomes import HintOutcome
from plant.records import (
    Condition,
    Forecast,
    Headroom,
    HeatForecast,
    JobList,
    Message,
    ModelParameter,
    Plan,
    RideThrough,
    Setpoint,
    Severity,
    ShedRequest,
)
from plant.running import ActuatorState, LinkState
from plant.topology import Site
from sites import load_site
from store.bus import BusServer
from store.embedded import EmbeddedStore

EDGE_FIGURES = (
    "bad_samples", "spool_bytes", "spool_pending_samples", "spool_lost_samples", "spool_dropped_samples",
    "forwarded_samples", "rejected_samples", "store_failures",
)  # fmt: skip
TOKEN = "a-token-for-tests"
SPEED = 10.0


def words(code: str, text: str) -> Message:
    """A message with these words."""
    return Message(code=code, text=text)


@dataclass
class Edge:
    """The other end of the bus; `answer` is what it says to the next intent."""

    site: Site
    path: Path
    clock: ScaledClock
    answer: Answer = field(default_factory=lambda: Answer(accepted=True, text="done"))
    heard: list[Intent] = field(default_factory=list)
    told: list[JobList] = field(default_factory=list)
    budgets: list[Budget | BudgetEnd] = field(default_factory=list)
    outcomes: list[HintOutcome] = field(default_factory=list)
    server: BusServer | None = None

    async def _on_intent(self, intent: Intent) -> Answer:
        self.heard.append(intent)
        return self.answer

    async def _on_jobs(self, told: JobList) -> Answer:
        self.told.append(told)
        return self.answer

    async def _on_budget(self, told: Budget | BudgetEnd) -> Answer:
        self.budgets.append(told)
        return self.answer

    async def _on_outcome(self, told: HintOutcome) -> Answer:
        self.outcomes.append(told)
        return self.answer

    async def start(self) -> None:
        """Listen and tell the clock."""
        self.server = BusServer(self.path, self._on_intent, self._on_jobs, self._on_budget, self._on_outcome)
        await self.server.start()
        await self.say("clock", self.clock.spec())

    async def stop(self) -> None:
        """Be gone."""
        if self.server is not None:
            await self.server.close()
            self.server = None

    async def say(self, kind: str, body: object) -> None:
        """Publish one record."""
        assert self.server is not None
        await self.server.publish(kind, body)

    async def say_live(self, values: dict[str, float | None], code: int = 0, age_s: float = 0.0) -> None:
        """Publish values measured `age_s` [s] ago."""
        time_s = self.clock.now() - age_s
        await self.say("live", [[p, v, time_s, code] for p, v in values.items()])

    async def say_everything(self) -> None:
        """Publish one record of every kind."""
        now_s = self.clock.now()
        heat = HeatForecast(
            subject="tcs-1",
            times_s=(now_s, now_s + 60),
            quantiles=(0.1, 0.5, 0.9),
            heat_w=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)),
            model="persistence",
        )
        await self.say("forecast", Forecast(made_s=now_s, heats=(heat,), note=words("cold", "cold start")))
        await self.say("plans", [plan(now_s)])
        mode = ModeState(loop="tcs-1", mode=Mode.ADVISORY, since_s=now_s, actor="coldplate", reason="start")
        await self.say("modes", [mode])
        cause, remedy = words("silent", "no answer from cdu-2"), words("look", "look at the cable")
        condition = Condition(
            code="device_silent",
            subject="cdu-2",
            severity=Severity.WARNING,
            since_s=now_s,
            cause=cause,
            remedy=remedy,
            source="collector",
        )
        await self.say("conditions", [condition])
        racks = [r.id for r in self.site.of_kind("rack")]
        rooms = [
            Headroom(
                rack=r,
                at_s=now_s,
                power_w=9e3 * (i + 1),
                cooling_w=8e3 * (i + 1),
                marginal_w_per_w=0.1 / (i + 1),
                known=True,
            )
            for i, r in enumerate(racks)
        ]
        await self.say("headroom", rooms)
        left = [("cdu-1", 74.0, True), ("cdu-2", None, True), ("cdu-3", None, False)]
        await self.say(
            "ride_through",
            [
                RideThrough(cdu=c, loop="tcs-1", at_s=now_s, seconds=s, known=k, reason="" if k else "?")
                for c, s, k in left
            ],
        )
        await self.say(
            "model",
            [
                ModelParameter(
                    equipment="cdu-1",
                    parameter="ua",
                    loop="tcs-1",
                    unit="W/K",
                    prior=175e3,
                    value=144e3,
                    low=128e3,
                    high=161e3,
                    used=144e3,
                    baseline=None,
                    looks=268,
                    at_s=now_s,
                )
            ],
        )
        wish = ShedRequest(
            loop="tcs-1",
            at_s=now_s,
            expires_s=now_s + 1800,
            power_w=47e3,
            it_w=940e3,
            bearable_w=893e3,
            racks=tuple(racks),
            reason=words("shed_load", "47 kW less is asked for"),
        )
        await self.say("shed", [wish])
        await self.say("links", [LinkState(link="cdu-1", endpoint="127.0.0.1:1", state="up", since_s=now_s)])
        state = ActuatorState(epoch=3, leases=(), accepted_commands=4, refused_commands=1, writable_points=())
        await self.say("actuator", state)
        await self.say("counters", {"samples": 12, "live_points": 5} | dict.fromkeys(EDGE_FIGURES, 7))


def plan(now_s: float) -> Plan:
    """A plausible plan."""
    point = "cdu-1/supply_temperature_setpoint"
    return Plan(
        id="plan-1",
        loop="tcs-1",
        made_s=now_s,
        valid_until_s=now_s + 60,
        setpoints=(Setpoint(point=point, current=32.0, value=33.0, target=38.0, design=32.0),),
        predicted_cooling_w=1.0,
        predicted_design_cooling_w=2.0,
        predicted_it_extra_w=0.5,
        predicted_case_c=60.0,
        case_limit_c=72.0,
        worst_case_margin_k=4.0,
        binding="case",
        reason=words("warmer", "warmer water saves fan power"),
    )


async def wait_until(true: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def site() -> Site:
    """The demo pod."""
    return load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")


@pytest.fixture
async def edge(site: Site, tmp_path: Path) -> AsyncIterator[Edge]:
    """A listening edge."""
    edge = Edge(site, tmp_path / "bus.sock", ScaledClock(speed=SPEED))
    await edge.start()
    yield edge
    await edge.stop()


@pytest.fixture
def history_path(tmp_path: Path) -> Path:
    """Where history would be; nothing is there yet."""
    return tmp_path / "history.sqlite"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A folder like the built page's."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>coldplate</title>")
    (folder / "assets" / "index-1.js").write_text("export {}")
    return folder


@pytest.fixture
def app(site: Site, tmp_path: Path, history_path: Path, page: Path) -> FastAPI:
    """The app, whether or not an edge is there."""
    return create_app(
        site=site,
        bus_path=tmp_path / "bus.sock",
        store=EmbeddedStore.open(history_path, site.retention, read_only=True),
        token=TOKEN,
        allowed_hosts=frozenset({"127.0.0.1", "localhost", "::1"}),
        state=tmp_path,
        page=page,
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running app."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client,
    ):
        yield client


@pytest.fixture
async def informed(app: FastAPI, client: httpx.AsyncClient, edge: Edge) -> httpx.AsyncClient:
    """A client of an app that has heard every kind of record."""
    await edge.say_everything()
    await edge.say_live({"cdu-1/tcs_supply_temperature": 31.5})
    mirror = app.state.service.mirror
    await wait_until(lambda: {"counters", "actuator", "live", "clock"} <= set(mirror.versions))
    return client


@pytest.fixture
def bearer() -> dict[str, str]:
    """The header that lets commands through."""
    return {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Wait until something is true."""
    return wait_until

"""A served page over a real bus and a real store, and a browser to look at it."""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from api.app import create_app
from api.service import Service
from controller.reasons import condition, message
from dashboards.files import dist_folder
from plant.budgets import Budget, BudgetEnd
from plant.clock import ScaledClock
from plant.errors import ConfigError
from plant.intents import Answer, Intent, Mode, ModeState
from plant.leases import Lease
from plant.points import Point
from plant.quantities import Quantity
from plant.records import Forecast, Headroom, HeatForecast, Plan, Setpoint, Severity
from plant.running import ActuatorState, LinkState
from plant.samples import SampleBatch
from plant.topology import CoolingGroup, Site
from sites import load_site
from store.audit import AuditLog
from store.bus import BusServer
from store.embedded import EmbeddedStore

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-tests"
NOON_S = 1_781_524_800.0  # 2026-06-15 12:00 UTC

TYPICAL = {
    "tcs_supply_temperature": 33.2,
    "tcs_return_temperature": 44.6,
    "fws_supply_temperature": 28.4,
    "fws_return_temperature": 37.9,
    "room_dew_point": 11.3,
    "room_temperature": 25.1,
    "tcs_flow": 0.0103,
    "fws_flow": 0.0121,
    "tcs_differential_pressure": 102_400.0,
    "pump_speed": 0.71,
    "effective_supply_temperature_setpoint": 33.0,
    "effective_differential_pressure_setpoint": 102_000.0,
    "control_source": 1.0,
    "group_master": 1.0,
    "status": 1.0,
    "leaving_temperature": 28.1,
    "entering_temperature": 38.2,
    "effective_leaving_temperature_setpoint": 28.0,
    "effective_air_temperature_setpoint": 25.0,
    "outdoor_dry_bulb": 17.4,
    "outdoor_relative_humidity": 0.55,
    "fan_speed": 0.46,
    "flow": 0.0245,
    "differential_pressure": 171_000.0,
    "power": 118_300.0,
    "liquid_supply_temperature": 33.4,
    "liquid_return_temperature": 45.8,
    "liquid_flow": 0.00212,
    "liquid_differential_pressure": 98_000.0,
    "supply_temperature_setpoint": 33.0,
    "differential_pressure_setpoint": 102_000.0,
    "leaving_temperature_setpoint": 28.0,
    "air_temperature_setpoint": 25.0,
    "temperature": 61.3,
    "utilisation": 0.94,
    "load": 0.0,
    "flow_setpoint": 0.0007,
    "air_inlet_temperature": 26.2,
}
METERED_W = {"utility": 1_082_000.0, "ups": 948_000.0, "air-unit": 31_000.0}


AUDITED = (
    ("coldplate", "relinquish", "cdu-1", {"reason": "dew point lost", "devices": 1}),
    ("coldplate", "relinquished", "cdu-1", {"unconfirmed": ""}),
    (
        "controller", "write", "cdu-1/differential_pressure_setpoint",
        {
            "value": 95_000.0, "asked": 80_000.0, "ttl_s": 180.0, "verdict": "clipped", "takes": True,
            "reason": "air at the rack inlets 25.0 -> 27.0 °C", "reason_code": "plan_air",
            "reason_params": '{"air_from_c": 25.0, "air_to_c": 27.0, "air_saves_kw": null}',
        },
    ),
    (
        "controller", "refused", "cdu-1/supply_temperature_setpoint",
        {"code": "dwell", "text": "cdu-1/supply_temperature_setpoint: changed 185 s ago, may change again in 115 s",
         "value": 33.0, "seq": 3},
    ),
    (
        "controller", "refused", "cdu-1/supply_temperature_setpoint",
        {"code": "foreign_epoch", "text": "cdu-1/supply_temperature_setpoint: lease of epoch 1, this process has 2",
         "value": 33.0, "seq": 4},
    ),
)  # fmt: skip
"""What stands in the audit, oldest first: actor, action, subject and detail."""


def typical(point: Point) -> float:
    """A plausible value [SI] of any point."""
    if point.name == "active_power":
        return METERED_W.get(point.equipment.removeprefix("meter-"), 9_400.0)
    if "/gpu-" in point.id:
        return {"temperature": 58.0 + (sum(map(ord, point.id)) % 60) / 10, "power": 1230.0}.get(point.name, 0.9)
    return TYPICAL.get(point.name, 0.0 if point.quantity is Quantity.STATE else 1.0)


@dataclass
class Edge:
    """The plant side of the page: publishes records, remembers intents, keeps budgets."""

    site: Site
    path: Path
    clock: ScaledClock
    heard: list[Intent] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: Answer(accepted=True, text="all loops are off"))
    server: BusServer | None = None

    async def start(self) -> None:
        """Listen, and tell the time."""
        self.server = BusServer(self.path, self._on_intent, on_budget=self._on_budget)
        await self.server.start()
        await self.say("clock", self.clock.spec())

    async def stop(self) -> None:
        """Vanish, as a killed edge does."""
        if self.server is not None:
            await self.server.close()
            self.server = None

    async def say(self, kind: str, body: object) -> None:
        """Publish one record."""
        assert self.server is not None
        await self.server.publish(kind, body)

    async def say_values(self, *, skip: tuple[str, ...] = (), gpus: bool = True) -> None:
        """Publish a plausible value of every point but `skip`."""
        now_s = self.clock.now()
        points = [p for p in self.site.points.values() if p.id not in skip and (gpus or "/gpu-" not in p.id)]
        await self.say("live", [[p.id, typical(p), now_s, 0] for p in points])

    async def _on_intent(self, intent: Intent) -> Answer:
        self.heard.append(intent)
        if self.answer.accepted and intent.kind == "all_to_default":
            await self.say("modes", [mode_of(g, Mode.OFF, self.clock.now()) for g in self.site.groups.values()])
        return self.answer

    async def _on_budget(self, told: Budget | BudgetEnd) -> Answer:
        others = [b for b in self.budgets if (b.scope, b.source) != (told.scope, told.source)]
        self.budgets = [*others, told] if isinstance(told, Budget) else others
        await self.say("budgets", self.budgets)
        return Answer(accepted=True, text=f"the budget of {told.scope} is known")


def mode_of(group: CoolingGroup, mode: Mode, now_s: float) -> ModeState:
    """A loop's mode, set by a person."""
    return ModeState(loop=group.id, mode=mode, since_s=now_s, actor="operator:mei", reason="commissioned in May")


def forecast_of(subject: str, share: float, now_s: float) -> HeatForecast:
    """An hour of heat that swings and grows uncertain."""
    times = tuple(now_s + 60.0 * i for i in range(1, 61))
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    middle = [share * (960e3 + 30e3 * math.sin(i / 15)) for i in range(60)]
    spread = [share * 8e3 * math.sqrt(i + 1) for i in range(60)]
    heat = tuple(tuple(m + z * s for m, s in zip(middle, spread, strict=True)) for z in (-1.64, -0.67, 0, 0.67, 1.64))
    return HeatForecast(
        subject=subject, times_s=times, quantiles=quantiles, heat_w=heat, model="persistence", cold_start=True
    )


def plan_of(group: CoolingGroup, now_s: float) -> Plan:
    """A plan on its way from design to a warmer loop."""
    ends = {
        "supply_temperature": (33.0, 34.0, 38.5),
        "differential_pressure": (102e3, 98e3, 88e3),
        "air_temperature": (25.0, 26.0, 27.0),
    }
    setpoints = [
        Setpoint(point=point, current=a, value=b, target=c, design=design)
        for (role, point), design in zip(group.commands.items(), group.design.values(), strict=False)
        for a, b, c in [ends.get(role, (28.0, 29.5, 33.0))]
    ]
    reason = message(
        "plan_move",
        heat_low_mw=0.91,
        heat_high_mw=1.03,
        outdoor_c=17.4,
        supply_from_c=33.0,
        supply_to_c=34.0,
        dp_from_kpa=102.0,
        dp_to_kpa=98.0,
        facility_from_c=28.0,
        facility_to_c=29.5,
        saves_kw=6.1,
        saves_money=1.34,
        currency="EUR",
        price=0.22,
        swing_k=9.8,
        worst_k=4.2,
        binding="rack_return_temperature",
    )
    return Plan(
        id=f"{group.id}-17",
        loop=group.id,
        made_s=now_s,
        valid_until_s=now_s + 600,
        setpoints=tuple(setpoints),
        predicted_cooling_w=31_200.0,
        predicted_design_cooling_w=37_300.0,
        predicted_it_extra_w=1_150.0,
        predicted_case_c=63.8,
        case_limit_c=72.0,
        worst_case_margin_k=4.2,
        binding="rack_return_temperature",
        reason=reason,
    )


async def say_records(edge: Edge) -> None:
    """Every kind of record that a running edge publishes."""
    site, now_s = edge.site, edge.clock.now()
    groups = list(site.groups.values())
    heats = [forecast_of(g.id, 1.0, now_s) for g in groups]
    heats += [forecast_of(m, 1 / len(g.members), now_s) for g in groups for m in g.members if len(g.members) > 1]
    note = message("forecast_persistence", minutes=12.0)
    await edge.say("forecast", Forecast(made_s=now_s, heats=tuple(heats), note=note))
    await edge.say("plans", [plan_of(g, now_s) for g in groups])
    await edge.say("modes", [mode_of(g, Mode.AUTO, now_s - 5000) for g in groups])
    reserve = condition("reserve_gone", groups[0].id, now_s - 240, Severity.CRITICAL, margin_k=0.8)
    racks = site.of_kind("rack")
    unknown = condition("heat_unknown", groups[0].members[0], now_s - 90, Severity.WARNING, detail="flow is stale")
    await edge.say("conditions", [reserve, unknown])
    rooms = [
        Headroom(
            rack=r.id, at_s=now_s, power_w=9e3 * (i + 1), cooling_w=8e3 * (i + 1), marginal_w_per_w=0.06, known=True
        )
        for i, r in enumerate(racks)
    ]
    await edge.say("headroom", rooms)
    links = [
        LinkState(link=link.id, endpoint=f"{link.host}:{link.port}", state="up", since_s=now_s - 900, reads=4211)
        for link in site.links.values()
    ]
    await edge.say("links", links)
    lease = Lease(
        point=groups[0].commands["supply_temperature"],
        value=34.0,
        epoch=3,
        seq=9,
        issued_s=now_s,
        issued_mono_s=0.0,
        ttl_s=60.0,
    )
    points = tuple(groups[0].commands.values())
    state = ActuatorState(epoch=3, leases=(lease,), accepted_commands=4, refused_commands=1, writable_points=points)
    await edge.say("actuator", state)


async def fill_history(path: Path, site: Site, now_s: float) -> None:
    """The last hour of the heat points, so that the chart has a past."""
    store = EmbeddedStore.open(path, site.retention)
    names = ("tcs_flow", "tcs_supply_temperature", "tcs_return_temperature")
    points = [p for p in site.points.values() if p.name in names]
    times = [now_s - 3600 + 20 * i for i in range(180)]
    rows = [
        (p.id, t, t, typical(p) * (1 + 0.02 * math.sin(t / 400) * p.id.endswith("tcs_flow")), 0)
        for p in points
        for t in times
    ]
    await store.write(SampleBatch.of(rows))
    await store.close()


@dataclass
class Served:
    """A running server, the plant side of it, and its address."""

    edge: Edge
    address: str
    service: Service

    def url(self, query: str = "") -> str:
        """Address of the page."""
        return f"{self.address}/{query}"


async def _keep_talking(edge: Edge, silent: set[str]) -> None:
    for turn in itertools.count():
        if edge.server is not None:
            await edge.say_values(skip=tuple(silent), gpus=turn % 6 == 0)
        await asyncio.sleep(1.0)


@pytest.fixture
def silent() -> set[str]:
    """Points that the plant side stops to publish."""
    return set()


@cache
def _shipped(name: str) -> Site:
    return load_site(ROOT / "site-configs" / f"{name}.yaml")


@pytest.fixture(params=["demo-pod"])
def site(request: pytest.FixtureRequest) -> Site:
    """A shipped site, by default the demo pod."""
    return _shipped(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def served(site: Site, tmp_path: Path, silent: set[str]) -> AsyncIterator[Served]:
    """The page of a site, fed with records."""
    try:
        page = dist_folder()
    except ConfigError as error:
        pytest.fail(str(error))
    clock = ScaledClock(speed=2.0, origin_epoch_s=NOON_S)
    edge = Edge(site, tmp_path / "bus.sock", clock)
    history = tmp_path / "history.sqlite"
    await fill_history(history, site, clock.now())
    (tmp_path / "audit").mkdir()
    log = AuditLog(tmp_path / "audit", "actuator")
    for entry in AUDITED:
        log.append(clock.now(), *entry)
    await edge.start()
    await edge.say_values()
    await say_records(edge)
    app = create_app(
        site=site,
        bus_path=edge.path,
        store=EmbeddedStore.open(history, site.retention, read_only=True),
        token=TOKEN,
        allowed_hosts=frozenset({"127.0.0.1"}),
        state=tmp_path,
        clock=clock,
        page=page,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=2))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    talking = asyncio.create_task(_keep_talking(edge, silent))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.02)
    yield Served(edge, f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.service)
    talking.cancel()
    app.state.service.closing = True
    server.should_exit = True
    await running
    await edge.stop()
    listener.close()


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> str:
    """Path of Chromium, by the rule of tests/conftest.py."""
    root = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    return str(root.find_program("chromium"))


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A real Chromium of the distribution, one for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()


@dataclass
class Visitor:
    """Opens pages, each as a new browser profile, and hears every complaint of their consoles."""

    browser: Browser
    served: Served
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    allowed: str = "nothing is allowed"

    async def __call__(self, query: str = "", *, scheme: str = "light", before: str = "") -> Page:
        """The page, once live values stand on it; before: a script that runs ahead of its own."""
        size = {"width": 1440, "height": 900}
        context = await self.browser.new_context(viewport=size, locale="en-GB", color_scheme=scheme)
        self.contexts.append(context)
        if before:
            await context.add_init_script(before)
        page = await context.new_page()
        page.on("console", lambda m: self._hear(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda e: self._hear(str(e)))
        await page.goto(self.served.url(query))
        await page.locator("[data-look=good]").first.wait_for(timeout=20_000)
        return page

    def _hear(self, text: str) -> None:
        if self.allowed not in text:
            self.complaints.append(text)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, served: Served) -> AsyncIterator[Visitor]:
    """Opens pages for a test; at the end no console may have complained."""
    visitor = Visitor(browser, served)
    yield visitor
    for context in visitor.contexts:
        await context.close()
    assert visitor.complaints == []

"""What every endpoint works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from fastapi import Request

from api.answers import (
    Conditions,
    Forecasts,
    Gpus,
    Headrooms,
    Leases,
    Links,
    Model,
    Modes,
    Plans,
    Points,
    RideThroughs,
    ShedRequests,
    Status,
    Switchbacks,
)
from api.hint_book import HintBook
from api.hints_given import HintsGiven
from api.live import chosen, good_value, gpu_points, live_count, point_value, rack_gpus
from api.mirror import Mirror
from api.packing_worth import PackingWorth
from api.power import Powers, powers
from api.report_desk import ReportDesk
from api.report_memory import KEPT, ReportMemory
from api.shed_book_files import ShedBooks
from api.site_answers import SiteInfo
from api.site_view import site_info
from api.standing import Standing
from placement import loan_reports, scheduler_reports
from placement.loan_reports import MOST_LENDERS, Lender, LoanReport, lender_of
from placement.scheduler_reports import MOST_SCHEDULERS, Report, SchedulerState, state_of
from placement.shed import reports as shed_reports
from placement.shed.answer import HeldThen, shed_plans
from placement.shed.plan import ShedPlan
from placement.shed.reports import MOST_PROCESSES, ShedProcess, ShedReport, ShedState, process_of
from plant.errors import ColdplateError
from plant.points import PointId
from plant.ports import Store
from plant.records import Condition, Message, Severity
from plant.topology import Site
from store.bus_client import BusClient

_STORE_PROBE_S = 1.0
_STORE_TIMEOUT_S = 10.0
_WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
VERSION = version("coldplate")


def _loans() -> ReportDesk[LoanReport, Lender]:
    return ReportDesk(MOST_LENDERS, lambda name, report, age_s, _: lender_of(name, report, age_s))


def _sheds() -> ReportDesk[ShedReport, ShedProcess]:
    return ReportDesk(MOST_PROCESSES, lambda name, report, age_s, _: process_of(name, report, age_s))


@dataclass(kw_only=True)
class Service:
    """One server's site, mirror of the edge, store and way to the edge."""

    site: Site
    store: Store
    bus: BusClient
    token: str
    audit_folder: Path | None
    extender_token: str = ""
    mirror: Mirror = field(default_factory=Mirror)
    closing: bool = False
    streams: int = 0
    given: HintsGiven = field(default_factory=HintsGiven)
    loans: ReportDesk[LoanReport, Lender] = field(default_factory=_loans)
    sheds: ReportDesk[ShedReport, ShedProcess] = field(default_factory=_sheds)
    shed_books: ShedBooks = field(default_factory=ShedBooks)
    held_then: HeldThen = field(default_factory=HeldThen)
    packing: PackingWorth = field(default_factory=PackingWorth)
    _standing: Standing = field(default_factory=Standing)

    @cached_property
    def schedulers(self) -> ReportDesk[Report, SchedulerState]:
        """What adapters report of schedulers."""

        def stand(name: str, report: Report, age_s: float, host_s: float) -> SchedulerState:
            return state_of(name, report, age_s, report.sent_at - host_s, self.site.jobs)

        return ReportDesk(MOST_SCHEDULERS, stand)

    @cached_property
    def memory(self) -> ReportMemory:
        """Where reports outlive this server."""
        file = self.audit_folder.parent / KEPT if self.audit_folder is not None else None
        return ReportMemory({"schedulers": self.schedulers, "loans": self.loans, "sheds": self.sheds}, file)

    @cached_property
    def hints(self) -> HintBook:
        """The hints of this moment."""
        return HintBook(self.site, self.mirror)

    @cached_property
    def site_info(self) -> SiteInfo:
        """The site as shown; it does not change while the server runs."""
        return site_info(self.site)

    @cached_property
    def _gpu_points(self) -> dict[str, dict[str, dict[str, PointId]]]:
        return gpu_points(self.site)

    def points(self, prefix: str = "", equipment: str = "", name: str = "") -> Points:
        """Live values of the points asked for."""
        values = [point_value(self.mirror, p) for p in chosen(self.site, prefix, equipment, name)]
        return Points(now_s=self.mirror.now_s, points=values)

    def gpus(self, rack: str = "") -> Gpus:
        """GPUs by rack."""
        racks = {r: g for r, g in self._gpu_points.items() if not rack or r == rack}
        summaries = [rack_gpus(self.mirror, self.site, r, g) for r, g in racks.items()]
        return Gpus(now_s=self.mirror.now_s, racks=summaries)

    def powers(self) -> Powers:
        """Powers of this moment [W]."""
        return powers(self.site, lambda point: good_value(self.mirror, self.site, point))

    def conditions(self) -> list[Condition]:
        """What is wrong, worst first: the edge's own list and what only this server can tell."""
        known = {(c.code, c.subject) for c in self.mirror.conditions}
        own = [c for c in self._own_conditions() if (c.code, c.subject) not in known]
        return sorted([*self.mirror.conditions, *own], key=lambda c: (_WORST_FIRST.index(c.severity), c.since_s))

    def _own_conditions(self) -> list[Condition]:
        found = []
        if not self.mirror.edge_connected:
            found.append(_edge_lost(self.mirror))
        if not self.mirror.store_ok and self.mirror.store_since_s:
            found.append(_store_lost(self.mirror))
        now_s = self.mirror.now_s
        found += scheduler_reports.conditions(self.schedulers.states(), now_s)
        found += self.hints.questions.conditions(now_s)
        found += loan_reports.conditions(self.loans.states(), now_s)
        found += shed_reports.conditions(self.sheds.states(), bool(self.mirror.shed), now_s)
        return self._standing.of(found)

    def status(self) -> Status:
        """How it goes."""
        mirror, site, power = self.mirror, self.site, self.powers()
        actuator, forecast = mirror.actuator, mirror.forecast
        return Status(
            site=site.id,
            site_name=site.name,
            site_name_zh=site.name_zh,
            version=VERSION,
            now_s=mirror.now_s,
            speed=mirror.clock.speed,
            edge_connected=mirror.edge_connected,
            store_ok=mirror.store_ok,
            live_points=live_count(mirror, site),
            total_points=len(site.points),
            forecast_at=forecast.made_s if forecast else None,
            accepted_commands=actuator.accepted_commands if actuator else 0,
            refused_commands=actuator.refused_commands if actuator else 0,
            instantaneous_pue=power.pue,
            it_w=power.it_w,
            site_w=power.site_w,
            cooling_w=power.cooling_w,
            modes=mirror.modes,
            conditions=self.conditions(),
        )

    def record(self, kind: str) -> object:
        """The body of the endpoint that shows a kind of record."""
        mirror = self.mirror
        made: dict[str, Callable[[], object]] = {
            "forecast": lambda: Forecasts(forecast=mirror.forecast),
            "plans": lambda: Plans(plans=mirror.plans),
            "modes": lambda: Modes(modes=mirror.modes),
            "conditions": lambda: Conditions(conditions=self.conditions()),
            "headroom": lambda: Headrooms(headroom=mirror.headroom),
            "ride_through": lambda: RideThroughs(ride_through=mirror.ride_through),
            "model": lambda: Model(model=mirror.model),
            "shed": lambda: ShedRequests(shed=mirror.shed, plans=self._shed_plans()),
            "switchback": lambda: Switchbacks(switchback=mirror.switchback),
            "links": lambda: Links(links=mirror.links),
            "actuator": lambda: Leases(actuator=mirror.actuator),
        }
        return made[kind]()

    def shed_state(self) -> ShedState:
        """What has to come off, how, and what was done of it."""
        mirror = self.mirror
        return ShedState(
            now_s=mirror.now_s,
            edge_connected=mirror.edge_connected,
            shed=tuple(mirror.shed),
            plans=tuple(self._shed_plans()),
            processes=self.sheds.states(),
        )

    def _shed_plans(self) -> list[ShedPlan]:
        mirror, processes = self.mirror, self.sheds.states()
        held_w = self.held_then.at(mirror.shed, shed_reports.held_w(processes))
        uncapped = shed_reports.uncapped(processes)
        return shed_plans(self.site, mirror.shed, mirror.jobs, mirror.ride_through, mirror.now_s, held_w, uncapped)

    def snapshot(self) -> dict[str, object]:
        """Everything at once, for a page that has just connected."""
        mirror = self.mirror
        return {
            "status": self.status(),
            "points": self.points().points,
            "gpus": self.gpus().racks,
            "forecast": mirror.forecast,
            "plans": mirror.plans,
            "modes": mirror.modes,
            "conditions": self.conditions(),
            "headroom": mirror.headroom,
            "ride_through": mirror.ride_through,
            "shed": mirror.shed,
            "switchback": mirror.switchback,
            "links": mirror.links,
            "actuator": mirror.actuator,
        }

    async def watch_store(self) -> None:
        """Find out again and again whether history can be read; runs until cancelled."""
        first = tuple(self.site.points)[:1]
        while True:
            try:
                async with asyncio.timeout(_STORE_TIMEOUT_S):
                    await self.store.last(first)
                self.mirror.store_is(ok=True)
            except (ColdplateError, OSError):
                self.mirror.store_is(ok=False)
            await asyncio.sleep(_STORE_PROBE_S)


def service_of(request: Request) -> Service:
    """The service of the app that got the request."""
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def _edge_lost(mirror: Mirror) -> Condition:
    return Condition(
        code="edge_lost",
        subject="edge",
        severity=Severity.CRITICAL,
        since_s=mirror.lost_since_s or mirror.now_s,
        cause=Message(code="edge_lost", text="the process that talks to the devices is not heard"),
        remedy=Message(
            code="edge_lost_remedy",
            text="start it with coldplate run; the devices return to their own setpoints when their timeout ends",
        ),
        source="api",
    )


def _store_lost(mirror: Mirror) -> Condition:
    return Condition(
        code="store_lost",
        subject="store",
        severity=Severity.WARNING,
        since_s=mirror.store_since_s,
        cause=Message(code="store_lost", text="history can't be read; live values and control go on"),
        remedy=Message(
            code="store_lost_remedy",
            text="look at the state directory's history file and free disk; what was collected waits in the spool",
        ),
        source="api",
    )

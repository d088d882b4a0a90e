"""The HTTP application: put together from a site, a store to read and the bus to the edge."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api import (
    advise,
    budget,
    commands,
    extender,
    hints,
    jobs,
    loans,
    outcomes,
    problems,
    reading,
    schedulers,
    shed_books,
    sheds,
)
from api.gate import Gate
from api.hint_journal import HintJournal
from api.hints_given import HintsGiven
from api.metrics import page_of, registry_of
from api.mirror import Mirror
from api.service import VERSION, Service
from api.shed_book_files import ShedBooks
from dashboards.files import dist_folder
from plant.clock import ScaledClock
from plant.errors import ConfigError
from plant.ports import Store
from plant.topology import Site
from store.bus_client import BusClient

_TITLE = "coldplate"
_DESCRIPTION = (
    "Reads everything of a site and forwards what operators want to the edge. Units are SI; times are site time."
)
_NO_PAGE = "The page is not built. Run `make setup`, then start again. The API answers under /v1 (see /openapi.json).\n"


def create_app(
    *,
    site: Site,
    bus_path: Path,
    store: Store,
    token: str,
    extender_token: str = "",
    allowed_hosts: frozenset[str],
    state: Path | None = None,
    clock: ScaledClock | None = None,
    page: Path | None = None,
) -> FastAPI:
    """The application; its lifespan listens to the bus at `bus_path`.

    token: needed for commands; extender_token: a password for the scheduler extender, "": none is asked for;
    allowed_hosts: names in the Host header; state: for its audit folder; clock: until the edge tells its own; page:
    folder of the built page, by default the packaged one.
    """
    service = Service(
        site=site,
        store=store,
        bus=BusClient(bus_path),
        token=token,
        extender_token=extender_token,
        audit_folder=state / "audit" if state else None,
        shed_books=ShedBooks(state / "shed-books" if state else None),
        given=HintsGiven(HintJournal(state) if state else None),
        mirror=Mirror(clock=clock or ScaledClock()),
    )
    requests: Counter[tuple[str, int]] = Counter()
    app = FastAPI(
        title=_TITLE,
        description=_DESCRIPTION,
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.service = service
    app.add_middleware(
        Gate, allowed_hosts=allowed_hosts, count=lambda route, status: requests.update([(route, status)])
    )
    problems.install(app)
    for hot in (extender.router, hints.plain):
        app.include_router(hot)
    app.include_router(reading.router)
    app.include_router(commands.router)
    for room in (jobs, hints, outcomes, budget, schedulers, loans, sheds, shed_books, advise):
        app.include_router(room.router)
    _add_metrics(app, service, requests)
    _add_page(app, page)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.memory.recall()
    service.given.recall(service.mirror.now_s)
    jobs = (service.mirror.follow(service.bus), service.watch_store(), service.memory.run())
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        service.closing = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        service.given.close()
        await service.store.close()


def _add_metrics(app: FastAPI, service: Service, requests: Counter[tuple[str, int]]) -> None:
    registry = registry_of(service, requests)

    @app.get("/metrics", tags=["health"], summary="Prometheus text", response_class=Response)
    async def metrics() -> Response:
        """This server's own figures."""
        return Response(page_of(registry), media_type=CONTENT_TYPE_LATEST)


def _add_page(app: FastAPI, page: Path | None) -> None:
    try:
        app.mount("/", StaticFiles(directory=page or dist_folder(), html=True))
    except ConfigError:

        @app.get("/", include_in_schema=False)
        async def no_page() -> Response:
            return Response(_NO_PAGE, media_type="text/plain; charset=utf-8")

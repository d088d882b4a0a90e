"""Endpoints that only read."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from api.answers import (
    Audit,
    Conditions,
    Forecasts,
    Gpus,
    Headrooms,
    History,
    Leases,
    Links,
    LiveFlag,
    Model,
    Modes,
    Plans,
    Points,
    Problem,
    ReadyFlag,
    Responses,
    RideThroughs,
    Rooms,
    Status,
    Switchbacks,
    reply,
)
from api.history import DEFAULT_SPAN_S, MAX_POINTS, points_asked, range_query, shown
from api.journal import newest
from api.problems import ProblemError
from api.service import Service, service_of
from api.site_answers import SiteInfo
from api.stream import MAX_STREAMS, LiveResponse, stream

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Time = Query(ge=0, le=1e11, allow_inf_nan=False, description="Time [s since 1970, site clock]")
Text = Query(max_length=200)
Level = Literal["rack", "cdu", "node"]
Aggregate = Literal["mean", "min", "max", "last", "sum", "count"]
_503: Responses = {503: {"model": Problem, "description": "The edge or the store does not answer"}}
_STREAM: Responses = {200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}, **_503}


@router.get("/v1/status", response_model=Status, tags=["overview"], summary="How it goes, in one object")
async def status(here: Here) -> Response:
    """Site time, connections, counts, instantaneous PUE (a ratio of powers now), modes and conditions."""
    return reply(here.status())


@router.get("/v1/site", response_model=SiteInfo, tags=["overview"], summary="What stands where")
async def site(here: Here) -> Response:
    """Equipment with its points, cooling groups with envelopes, limits with sources, tariff and carbon factor."""
    return reply(here.site_info)


@router.get("/v1/points", response_model=Points, tags=["live"], summary="Live values with age and quality")
async def points(
    here: Here,
    prefix: Annotated[str, Text] = "",
    equipment: Annotated[str, Text] = "",
    name: Annotated[str, Text] = "",
) -> Response:
    """Values in SI; points per GPU only when `prefix` reaches into them (`rack-01/gpu-`)."""
    return reply(here.points(prefix, equipment, name))


@router.get("/v1/gpus", response_model=Gpus, tags=["live"], summary="GPUs summed up by rack")
async def gpus(here: Here, rack: Annotated[str, Text] = "") -> Response:
    """Highest and mean temperature, power, utilisation, and GPUs that report an XID."""
    return reply(here.gpus(rack))


@router.get("/v1/history", response_model=History, responses=_503, tags=["history"], summary="Past values")
async def history(
    here: Here,
    point: Annotated[list[str], Query(description=f"Point id; repeat for up to {MAX_POINTS}")],
    start_s: Annotated[float | None, Time] = None,
    end_s: Annotated[float | None, Time] = None,
    step_s: Annotated[
        float | None, Query(ge=0, le=1e9, allow_inf_nan=False, description="Bucket [s]; 0 is raw")
    ] = None,
    aggregate: Annotated[Aggregate, Query(description="What a bucket holds")] = "mean",
) -> Response:
    """From the store, which may be lost while everything else goes on."""
    asked = points_asked(here.site, point)
    end_s = here.mirror.now_s if end_s is None else end_s
    query = range_query(asked, end_s - DEFAULT_SPAN_S if start_s is None else start_s, end_s, step_s, aggregate)
    found = await here.store.range(query)
    return reply(await asyncio.to_thread(shown, here.site, query, found))


@router.get("/v1/forecast", response_model=Forecasts, tags=["control"], summary="Heat of the next two hours")
async def forecast(here: Here) -> Response:
    """Quantiles of heat [W] per CDU and group, with the model that made each; null before the first."""
    return reply(here.record("forecast"))


@router.get("/v1/plans", response_model=Plans, tags=["control"], summary="The current plans and their reasons")
async def plans(here: Here) -> Response:
    """For each loop the next setpoints, what they should save, what binds, and why, in words."""
    return reply(here.record("plans"))


@router.get("/v1/modes", response_model=Modes, tags=["control"], summary="The mode of each loop")
async def modes(here: Here) -> Response:
    """Off, advisory, confirm, limited, auto or hold; since when, by whom and why."""
    return reply(here.record("modes"))


@router.get("/v1/conditions", response_model=Conditions, tags=["overview"], summary="What is wrong")
async def conditions(here: Here) -> Response:
    """Worst first, each with cause and remedy."""
    return reply(here.record("conditions"))


@router.get(
    "/v1/headroom", response_model=Headrooms | Rooms, tags=["placement"], summary="Watts that can still be taken"
)
async def headroom(here: Here, level: Level = "rack") -> Response:
    """By rack, CDU or node: now and over the coming hour, what limits it, and facility watts for each IT watt."""
    if level == "rack":
        return reply(here.record("headroom"))
    return reply(Rooms(headroom=here.hints.rooms(level)))


@router.get("/v1/ride-through", response_model=RideThroughs, tags=["control"], summary="Seconds left if a pump stops")
async def ride_through(here: Here) -> Response:
    """Per CDU, never more than it will be; null and `known` where the rest of its loop carries the heat for good."""
    return reply(here.record("ride_through"))


@router.get("/v1/model", response_model=Model, tags=["control"], summary="Parameters found from telemetry")
async def model(here: Here) -> Response:
    """With 95 % intervals, what plans reckon with, and the value after the first fitted day; empty at first."""
    return reply(here.record("model"))


@router.get("/v1/switchback", response_model=Switchbacks, tags=["control"], summary="Which block runs, until when")
async def switchback(here: Here) -> Response:
    """The rule's or coldplate's turn, and how many blocks count so far; null where no plan was given to this run."""
    return reply(here.record("switchback"))


@router.get("/v1/links", response_model=Links, tags=["live"], summary="Connections to devices")
async def links(here: Here) -> Response:
    """Up, slow, silent or mismatch, with the last error."""
    return reply(here.record("links"))


@router.get("/v1/leases", response_model=Leases, tags=["control"], summary="What is held on devices now")
async def leases(here: Here) -> Response:
    """Every lease ends by itself at issued_s + ttl_s."""
    return reply(here.record("actuator"))


@router.get("/v1/audit", response_model=Audit, responses=_503, tags=["history"], summary="Who did what")
async def audit(here: Here, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """Newest first, from the hash-chained files of the state directory."""
    return reply(Audit(entries=await asyncio.to_thread(newest, here.audit_folder, limit)))


@router.get(
    "/v1/stream",
    tags=["live"],
    summary="Everything, live",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events; see docs/api.md", "content": {"text/event-stream": {}}},
        **_503,
    },
)
async def live_stream(here: Here) -> Response:
    """A snapshot, then what changes. Last-Event-ID is accepted and answered with a fresh snapshot."""
    if here.streams >= MAX_STREAMS:
        raise ProblemError(503, f"{MAX_STREAMS} pages listen already", "close some, or use GET /v1/status")
    return LiveResponse(stream(here))


@router.get("/health/live", response_model=LiveFlag, tags=["health"], summary="The process runs")
async def alive() -> Response:
    """Always 200."""
    return reply(LiveFlag())


@router.get("/health/ready", response_model=ReadyFlag, responses=_503, tags=["health"], summary="The edge is heard")
async def ready(here: Here) -> Response:
    """503 with a sentence while the edge is not heard."""
    if not here.mirror.edge_connected:
        raise ProblemError(503, "the edge is not heard", "start it with coldplate run")
    return reply(ReadyFlag())

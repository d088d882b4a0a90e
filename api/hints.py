"""Hints of all nodes, for schedulers' adapters."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.answers import Problem, Responses, encode, reply
from api.plain import PlainRoute, body_of, here, validated
from api.service import Service, service_of
from api.workload import WorkloadBody, comparison, hints_for
from placement.explaining import Comparison
from placement.hint_list import NodeHints
from placement.workload_hints import WorkloadHints

router = APIRouter()
plain = APIRouter(route_class=PlainRoute)
"""Asked many times a second; to be looked at before any other."""
Here = Annotated[Service, Depends(service_of)]
SITE_TIME = "x-site-time"
"""Header: the site's clock when the answer was given [s since 1970]; a cached list carries that of its making."""
HintId = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[\w-]+$")]
EXAMPLES = {
    "training": {
        "summary": "64 GPUs on 8 nodes of one CDU for six hours",
        "value": {"gpus": 64, "nodes": 8, "duration_s": 21600, "locality": "cdu"},
    },
    "short and interruptible": {"value": {"power_kw": 5.6, "duration_s": 300, "interruptible": True, "k": 5}},
}
_IF_NONE_MATCH = {"name": "if-none-match", "in": "header", "schema": {"type": "string"}, "description": "A known ETag"}
_UNKNOWN: Responses = {404: {"model": Problem, "description": "No such node or hint"}}
_EXPIRED: Responses = {410: {"model": Problem, "description": "The hint has expired; ask for a new one"}}
_CACHED: Responses = {304: {"description": "The list is the one whose ETag was sent in If-None-Match"}}


@plain.get(
    "/v1/hints/nodes",
    response_model=NodeHints,
    responses=_CACHED,
    tags=["placement"],
    summary="A score for every node",
    openapi_extra={"parameters": [_IF_NONE_MATCH]},
)
async def nodes(request: Request) -> Response:
    """0 to 100 for one more busy node there; with an ETag. Nodes that are not known get a neutral score."""
    service = here(request)
    edition = service.hints.now()
    etag = f'"{edition.hints.id}"'
    headers = {"etag": etag, SITE_TIME: f"{service.mirror.now_s:.3f}"}
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(edition.body, media_type="application/json", headers=headers)


@router.get(
    "/v1/hints/explain",
    response_model=Comparison,
    responses=_UNKNOWN,
    tags=["placement"],
    summary="Why one node comes before another",
)
async def explain(
    at: Here,
    node: Annotated[str, Query(max_length=253)],
    before: Annotated[str, Query(max_length=253)],
    power_kw: Annotated[float | None, Query(gt=0, le=1e9, allow_inf_nan=False)] = None,
) -> Response:
    """Both scores with their parts, and what makes the difference, for power_kw [kW] or one more busy node."""
    return reply(comparison(at.hints, at.site, node, before, power_kw))


@plain.post(
    "/v1/hints",
    response_model=WorkloadHints,
    tags=["placement"],
    summary="Nodes for a workload",
    openapi_extra=body_of(WorkloadBody, examples=EXAMPLES),
)
async def hints(request: Request) -> Response:
    """The k best nodes with reasons, and a place for all of it. A read: nothing is reserved."""
    service = here(request)
    made = hints_for(service.hints, service.site, await validated(WorkloadBody, request))
    body = encode(made)
    service.given.keep(made, body)
    return Response(body, media_type="application/json")


@router.get(
    "/v1/hints/{hint_id}",
    response_model=WorkloadHints,
    responses=_UNKNOWN | _EXPIRED,
    tags=["placement"],
    summary="A hint again, while it is valid",
)
async def hint(at: Here, hint_id: HintId) -> Response:
    """An expired hint is answered as such, never as if it still held."""
    return reply(at.given.valid(hint_id, at.mirror.now_s))


def matches(sent: str, etag: str) -> bool:
    """Whether an If-None-Match header names an ETag (weak comparison, RFC 9110)."""
    return sent.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in sent.split(","))

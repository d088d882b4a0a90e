"""Hints of all nodes, for schedulers' adapters."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from api.answers import Responses
from api.service import Service, service_of
from placement.hint_list import NodeHints

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
SITE_TIME = "x-site-time"
"""Header: the site's clock when the answer was given [s since 1970]; a cached list carries that of its making."""
_CACHED: Responses = {304: {"description": "The list is the one whose ETag was sent in If-None-Match"}}


@router.get(
    "/v1/hints/nodes",
    response_model=NodeHints,
    responses=_CACHED,
    tags=["placement"],
    summary="A score for every node",
)
async def nodes(here: Here, if_none_match: Annotated[str, Header()] = "") -> Response:
    """0 to 100 for one more busy node there; with an ETag. Nodes that are not known get a neutral score."""
    edition = here.hints.now()
    headers = {"etag": edition.etag, SITE_TIME: f"{here.mirror.now_s:.3f}"}
    if matches(if_none_match, edition.etag):
        return Response(status_code=304, headers=headers)
    return Response(edition.body, media_type="application/json", headers=headers)


def matches(sent: str, etag: str) -> bool:
    """Whether an If-None-Match header names an ETag (weak comparison, RFC 9110)."""
    return sent.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in sent.split(","))

"""The Kubernetes scheduler extender: kube-scheduler's own contract, so its keys and errors, not this API's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from api.answers import Problem, Responses, encode
from api.plain import PlainRoute, here
from plant.errors import ConfigError

router = APIRouter(prefix="/k8s/extender", tags=["kubernetes"], route_class=PlainRoute)
_JSON = "application/json"
_POD = {
    "metadata": {"name": "train-7", "namespace": "default"},
    "spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "8"}}}]},
}
_ARGS = {"Pod": _POD, "Nodes": None, "NodeNames": ["gpu001", "gpu002"]}
_FAILED = {"gpu002": "rack-02 has 5.0 kW left of 8.0 kW wanted"}
_FILTERED = {
    "Nodes": None,
    "NodeNames": ["gpu001"],
    "FailedNodes": _FAILED,
    "FailedAndUnresolvableNodes": _FAILED,
    "Error": "",
}
_SCORED = [{"Host": "gpu001", "Score": 8}, {"Host": "gpu002", "Score": 0}]


def _described(answer: object) -> dict[str, Any]:
    responses: Responses = {
        200: {"description": "As kube-scheduler expects it", "content": {_JSON: {"example": answer}}},
        422: {"model": Problem, "description": "Not an ExtenderArgs"},
    }
    body = {"required": True, "content": {_JSON: {"schema": {"type": "object"}, "example": _ARGS}}}
    return {"responses": responses, "openapi_extra": {"requestBody": body}, "response_class": Response}


@router.post("/filter", summary="Nodes that can take a pod", **_described(_FILTERED))
async def filter_nodes(request: Request) -> Response:
    """Takes out nodes of racks, CDUs, loops or sites without room in cooling, power or budget; unknown nodes pass.

    A pod whose power annotation can't be read fails on all of them with that reason, which stands in its events.
    """
    body = await request.body()
    return _answer(here(request).hints.now().extender.filter, body)


@router.post("/prioritize", summary="Nodes by score, 0 to 10", **_described(_SCORED))
async def prioritize(request: Request) -> Response:
    """One row for each node of the question; a node that coldplate does not know gets a neutral score."""
    body = await request.body()
    return _answer(here(request).hints.now().extender.prioritize, body)


def _answer(verb: Callable[[bytes], bytes], body: bytes) -> Response:
    try:
        return Response(verb(body), media_type=_JSON)
    except ConfigError as error:
        return Response(encode(Problem(error=error.message, remedy=error.remedy)), 422, media_type=_JSON)

"""The Kubernetes scheduler extender: kube-scheduler's own contract, so its keys and errors, not this API's."""

from __future__ import annotations

import base64
import contextlib
import hmac
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from api.answers import Problem, Responses, encode
from api.plain import PlainRoute, here
from placement.kubernetes.extender import Extender
from plant.errors import ConfigError

_STRANGER = Problem(
    error="the extender's password is missing or wrong",
    remedy="urlPrefix: https://scheduler:PASSWORD@...; it is in the file extender-token of the state directory",
)
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
    return await _answer(request, lambda extender: extender.filter)


@router.post("/prioritize", summary="Nodes by score, 0 to 10", **_described(_SCORED))
async def prioritize(request: Request) -> Response:
    """One row for each node of the question; a node that coldplate does not know gets a neutral score."""
    return await _answer(request, lambda extender: extender.prioritize)


async def _answer(request: Request, verb: Callable[[Extender], Callable[[bytes], bytes]]) -> Response:
    service, body = here(request), await request.body()
    if not _known(request.headers.get("authorization", ""), service.extender_token):
        return Response(encode(_STRANGER), 401, {"www-authenticate": "Basic"}, _JSON)
    try:
        return Response(verb(service.hints.now().extender)(body), media_type=_JSON)
    except ConfigError as error:
        return Response(encode(Problem(error=error.message, remedy=error.remedy)), 422, media_type=_JSON)


def _known(given: str, password: str) -> bool:
    """Whether HTTP Basic's password is right, whatever the user; kube-scheduler sends that of its urlPrefix."""
    if not password:
        return True
    scheme, _, coded = given.partition(" ")
    with contextlib.suppress(ValueError):
        sent = base64.b64decode(coded, validate=True).partition(b":")[2]
        return scheme.lower() == "basic" and hmac.compare_digest(sent, password.encode())
    return False

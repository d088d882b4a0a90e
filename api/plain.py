"""Routes for what is asked many times a second: described like all others, but handed the request as it is.

FastAPI's own way from a request to an endpoint's arguments costs more than finding the best of ten thousand nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from api.service import Service

B = TypeVar("B", bound=BaseModel)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PlainRoute(APIRoute):
    """Calls its endpoint with the request and nothing else."""

    def get_route_handler(self) -> Handler:
        """The endpoint itself."""
        endpoint: Handler = self.endpoint
        return endpoint


def here(request: Request) -> Service:
    """The service of the app that got the request."""
    service: Service = request.app.state.service
    return service


def body_of(kind: type[BaseModel], **more: Any) -> dict[str, Any]:
    """The description of a body that a plain endpoint reads itself; more: e.g. examples."""
    content = {"application/json": {"schema": kind.model_json_schema(), **more}}
    return {"requestBody": {"required": True, "content": content}}


async def validated(kind: type[B], request: Request) -> B:
    """The body as a checked record.

    Raises:
        RequestValidationError: what FastAPI itself would raise.
    """
    body = await request.body()
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        places = [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]
        raise RequestValidationError(places) from None

"""Every error as one sentence and a remedy, as JSON."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.answers import Problem, reply
from placement.job_list import place_of
from plant.errors import ColdplateError, RefusedError, RetryError

logger = logging.getLogger(__name__)
_SHOWN = 3
SEE_DOCS = "see /openapi.json or docs/api.md"
_STORE_REMEDY = "live values go on; ask again when the condition store_lost has gone"


class ProblemError(Exception):
    """An answer other than the one hoped for."""

    def __init__(self, status: int, error: str, remedy: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.headers = status, headers or {}
        self.problem = Problem(error=error, remedy=remedy)
        super().__init__(error)


def install(app: FastAPI) -> None:
    """Let the app answer every error as a problem."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ColdplateError, _coldplate)
    app.add_exception_handler(Exception, _unexpected)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    response = reply(error.problem, error.status)
    response.headers.update(error.headers)
    return response


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return reply(Problem(error=one_line(error.errors(), error.body), remedy=SEE_DOCS), 422)


def one_line(errors: Sequence[Any], body: object = None) -> str:
    """The first three validation errors as `field: what is wrong`, with how many more there are."""
    told = "; ".join(_told(error, body) for error in errors[:_SHOWN])
    more = f" (and {len(errors) - _SHOWN} more)" if len(errors) > _SHOWN else ""
    return f"{told}{more}".encode("utf-8", "replace").decode("utf-8")


def _told(error: Any, body: object) -> str:
    inner = [part for part in error["loc"] if part not in {"body", "query", "path"}]
    place = place_of(inner, body) if inner else str(error["loc"][0])
    text = str(error["msg"]).removeprefix("Value error, ").splitlines()[0]
    return f"{place}: {text[:1].lower()}{text[1:]}"


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = str(error.detail)
    response = reply(Problem(error=text[:1].lower() + text[1:], remedy=SEE_DOCS), error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _coldplate(_: Request, error: Exception) -> Response:
    if isinstance(error, RetryError):
        return reply(Problem(error=str(error), remedy=_STORE_REMEDY), 503)
    return reply(Problem(error=str(error), remedy=SEE_DOCS), 409 if isinstance(error, RefusedError) else 422)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed: %r", request.method, request.url.path, error)
    return reply(Problem(error="the server failed on this request", remedy="report it with the server's log"), 500)

"""The edge asked over the bus, and what its answers are over HTTP: 503 where there is none, 409 where it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from fastapi import Response

from api.answers import Problem, Responses, reply
from api.problems import ProblemError
from plant.errors import RetryError
from plant.intents import Answer

TIMEOUT_S = 12.0
"""Longer than the edge needs for all-to-default where a device hangs [s, real]."""
START = "start it with coldplate run, then ask again"
CHANGE = "change what the sentence names, then ask again"
ANSWERS: Responses = {
    401: {"model": Problem, "description": "No token, or a wrong one"},
    409: {"model": Problem, "description": "The edge refused, in its own words"},
    422: {"model": Problem, "description": "A field can't be used; it is named"},
    503: {"model": Problem, "description": "The edge does not answer"},
}
"""Of every endpoint that asks it."""


async def told(asking: Awaitable[Answer], meanwhile: str = "", *, start: str = START, change: str = CHANGE) -> Response:
    """The edge's yes. meanwhile: what holds while it is away; start, change: what to do where it is, or refused.

    Raises:
        ProblemError: 503 no answer, 409 refused.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await asking
    except (RetryError, OSError) as error:
        away = "the edge does not answer" + (f"; {meanwhile}" if meanwhile else "")
        raise ProblemError(503, away, start) from error
    if not answer.accepted:
        raise ProblemError(409, answer.text, change)
    return reply(answer)

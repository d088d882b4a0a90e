"""Power budgets over HTTP: what is in force and what runs beyond it; setting and ending one (token)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, Field

from api.answers import Problem, Responses, reply
from api.commands import INTENT_TIMEOUT_S, Actor, Body, Reason, operator
from api.problems import ProblemError
from api.service import Service, service_of
from placement.budgets import Budgets, shares, shown
from plant.budgets import Budget, BudgetEnd, BudgetSource
from plant.errors import RetryError
from plant.records import Answer

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Source = Literal["operator", "grid"]
Scope = Annotated[str, Field(min_length=1, max_length=200, description="`site`, or the id of a loop, a CDU or a rack")]
_ANSWERS: Responses = {
    401: {"model": Problem, "description": "No token, or a wrong one"},
    409: {"model": Problem, "description": "The edge refused, in its own words"},
    422: {"model": Problem, "description": "No such scope, or a field that can't be used"},
    503: {"model": Problem, "description": "The edge does not answer"},
}


class BudgetBody(Body):
    """IT power allowed to a scope [kW] until a time."""

    scope: Scope = "site"
    kw: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, description="IT power allowed [kW]")]
    reason: Reason
    until: Annotated[
        float | AwareDatetime,
        Field(description="Site time: seconds since 1970, or ISO 8601 with an offset"),
    ]
    source: Source = "operator"
    actor: Actor = "operator"

    def budget(self, now_s: float) -> Budget:
        """The record that goes to the edge, set at now_s [s since 1970]."""
        until_s = self.until.timestamp() if isinstance(self.until, datetime) else self.until
        return Budget(
            scope=self.scope,
            power_w=self.kw * 1e3,
            source=BudgetSource(self.source),
            actor=self.actor,
            reason=self.reason,
            at_s=now_s,
            until_s=until_s,
        )


@router.get("/v1/budget", response_model=Budgets, tags=["placement"], summary="Power budgets in force")
async def get_budgets(here: Here) -> Response:
    """Who set them, until when, what runs under them and what beyond them already."""
    now_s = here.mirror.now_s
    return reply(Budgets(now_s=now_s, budgets=[shown(state, now_s) for state in here.hints.budgets()]))


@router.put(
    "/v1/budget",
    response_model=Answer,
    responses=_ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="Set a power budget",
)
async def put_budget(here: Here, body: BudgetBody) -> Response:
    """In the place of the same source's last one for that scope. Below what runs already, nothing is stopped by it."""
    shares(here.site, body.scope)
    return await _told(here, body.budget(here.mirror.now_s))


@router.delete(
    "/v1/budget",
    response_model=Answer,
    responses=_ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="End a power budget before its time",
)
async def delete_budget(
    here: Here,
    scope: Annotated[Scope, Query()] = "site",
    source: Annotated[Source, Query()] = "operator",
    reason: Annotated[Reason, Query()] = "ended over the API",
    actor: Annotated[Actor, Query()] = "operator",
) -> Response:
    """The controller's own budgets end by themselves, when cooling has reserve again."""
    end = BudgetEnd(scope=scope, source=BudgetSource(source), actor=actor, reason=reason, at_s=here.mirror.now_s)
    return await _told(here, end)


async def _told(here: Service, told: Budget | BudgetEnd) -> Response:
    try:
        async with asyncio.timeout(INTENT_TIMEOUT_S):
            answer = await here.bus.budget(told)
    except (RetryError, OSError) as error:
        text = "the edge does not answer; budgets that are in force end at their time"
        raise ProblemError(503, text, "start it with coldplate run, then ask again") from error
    if not answer.accepted:
        raise ProblemError(409, answer.text, "change what the sentence names, then ask again")
    return reply(answer)

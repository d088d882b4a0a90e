"""Power budgets over HTTP: what is in force and what runs beyond it; setting and ending one (token)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, Field

from api.answers import reply
from api.commands import Actor, Body, Named, Reason, operator
from api.service import Service, service_of
from api.telling import ANSWERS, told
from placement.budgets import Budgets, shares, shown
from plant.budgets import Budget, BudgetEnd, BudgetSource
from plant.intents import Answer

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Source = Literal["operator", "grid"]
Scope = Annotated[str, Field(min_length=1, max_length=200, description="`site`, or the id of a loop, a CDU or a rack")]
_MEANWHILE = "budgets that are in force end at their time"


class BudgetBody(Body):
    """IT power allowed to a scope [kW] until a time."""

    scope: Scope = "site"
    kw: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, description="IT power allowed [kW]")]
    reason: Reason
    until: Annotated[
        Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | Annotated[AwareDatetime, Named],
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
    responses=ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="Set a power budget",
)
async def put_budget(here: Here, body: BudgetBody) -> Response:
    """In the place of the same source's last one for that scope. Below what runs already, nothing is stopped by it."""
    shares(here.site, body.scope)
    return await told(here.bus.budget(body.budget(here.mirror.now_s)), _MEANWHILE)


@router.delete(
    "/v1/budget",
    response_model=Answer,
    responses=ANSWERS,
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
    return await told(here.bus.budget(end), _MEANWHILE)

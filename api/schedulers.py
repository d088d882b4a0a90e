"""What the processes beside schedulers report of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from api.answers import Problem, Responses, reply
from api.commands import Body, Finite, operator
from api.problems import ProblemError
from api.service import Service, service_of
from placement.scheduler_reports import MOST_SCHEDULERS, Report, SchedulerState
from plant.intents import Answer

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Name = Annotated[str, Path(min_length=1, max_length=60, pattern=r"^[\w.@-]+$", description="How the report is known")]
Nodes = Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=20_000)]
Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
_ANSWERS: Responses = {
    401: {"model": Problem, "description": "No token, or a wrong one"},
    409: {"model": Problem, "description": "Too many names"},
}


class ReportBody(Body):
    """One cycle of a process beside a scheduler; times [s since 1970] by its own clock."""

    kind: Literal["slurm", "kubernetes", "grid"]
    dry_run: bool = True
    period_s: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    last_success: Moment | None = None
    sent_at: Moment
    nodes: Annotated[int, Field(ge=0, le=10_000_000, description="Nodes that both sides know")] = 0
    only_here: Nodes = Field(default_factory=list, description="In the site file, unknown to the scheduler")
    only_there: Nodes = Field(default_factory=list, description="In the scheduler, unknown to the site file")
    foreign: Nodes = Field(default_factory=list, description="Drained by others, and left to them")
    repaired: Annotated[int, Field(ge=0, le=10**12, description="Nodes set right again since its start")] = 0
    last_error: Annotated[str, Field(max_length=2000)] = ""
    scheduler_skew_s: Finite | None = Field(default=None, description="The scheduler's clock less the process's [s]")

    def report(self) -> Report:
        """As a record."""
        nodes = {name: tuple(getattr(self, name)) for name in ("only_here", "only_there", "foreign")}
        return Report(**(self.model_dump() | nodes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedulers:
    """Every process that has reported within a week."""

    now_s: float
    schedulers: list[SchedulerState]


@router.put(
    "/v1/schedulers/{name}",
    response_model=SchedulerState,
    responses=_ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="A scheduler's adapter tells how it goes",
)
async def put_scheduler(here: Here, name: Name, body: ReportBody) -> Response:
    """In the place of its last report; a process that stops reporting is silent after three periods."""
    if not here.schedulers.take(name, body.report()):
        text = f"{MOST_SCHEDULERS} schedulers report already"
        raise ProblemError(409, text, "report under one of their names (GET /v1/schedulers)")
    return reply(here.schedulers.state(name))


@router.delete(
    "/v1/schedulers/{name}",
    response_model=Answer,
    responses=_ANSWERS | {404: {"model": Problem, "description": "It has not reported"}},
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="Forget an adapter that is gone for good",
)
async def forget_scheduler(here: Here, name: Name) -> Response:
    """Its conditions end; one that still runs is known again at its next report."""
    if not here.schedulers.forget(name):
        raise ProblemError(404, f"{name!r} has not reported", "GET /v1/schedulers lists those that have")
    return reply(Answer(accepted=True, text=f"{name} is forgotten"))


@router.get("/v1/schedulers", response_model=Schedulers, tags=["placement"], summary="Schedulers' adapters")
async def get_schedulers(here: Here) -> Response:
    """Their last reports with ages; silent ones too."""
    return reply(Schedulers(now_s=here.mirror.now_s, schedulers=list(here.schedulers.states())))

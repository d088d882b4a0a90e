"""Load to take off: what is asked, how, and what processes have done of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from api.answers import Problem, Responses, reply
from api.commands import Body, operator
from api.problems import ProblemError
from api.service import Service, service_of
from placement.shed.reports import MOST_PROCESSES, ShedReport, ShedState
from plant.intents import Answer
from plant.sheds import Deed, JobHeld

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Name = Annotated[str, Path(min_length=1, max_length=60, pattern=r"^[\w.@-]+$", description="How the process is known")]
Word = Annotated[str, Field(min_length=1, max_length=253)]
Words = Annotated[str, Field(max_length=2000)]
Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
Watts = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
MOST_JOBS = 5000
_ANSWERS: Responses = {
    401: {"model": Problem, "description": "No token, or a wrong one"},
    409: {"model": Problem, "description": "Too many names"},
}


class HeldBody(Body):
    """A job with less than its power."""

    job: Word
    share: Annotated[float, Field(ge=0, le=1)]
    full_w: Annotated[dict[Word, Watts], Field(max_length=1000)] = Field(default_factory=dict)


class DeedBody(Body):
    """One thing done, or not."""

    at_s: Moment
    job: Annotated[str, Field(max_length=253)]
    what: Annotated[str, Field(pattern="^(cap|lift|left|requeue|release)$")]
    place: Words = ""
    watts: Watts | None = None
    error: Words = ""
    dry: bool = False


class ShedBody(Body):
    """One pass of a process that takes load off; times by its own clock."""

    acts: bool
    period_s: Annotated[float, Field(gt=0, le=86_400)] = 2.0
    sent_at: Moment
    held: Annotated[list[HeldBody], Field(max_length=MOST_JOBS)] = Field(default_factory=list)
    stopped: Annotated[list[Word], Field(max_length=MOST_JOBS)] = Field(default_factory=list)
    relief_w: Annotated[dict[Word, Watts], Field(max_length=1000, description="By loop")] = Field(default_factory=dict)
    uncapped: Annotated[list[Word], Field(max_length=MOST_JOBS)] = Field(default_factory=list)
    lease_left_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    deeds: Annotated[list[DeedBody], Field(max_length=200)] = Field(default_factory=list)
    last_error: Words = ""
    owner: Annotated[str, Field(max_length=253)] = ""
    limits: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    unknown_nodes: Annotated[list[Words], Field(max_length=MOST_JOBS)] = Field(default_factory=list)

    def report(self) -> ShedReport:
        """As a record."""
        return ShedReport(
            acts=self.acts,
            period_s=self.period_s,
            sent_at=self.sent_at,
            held=tuple(JobHeld(**held.model_dump()) for held in self.held),
            stopped=tuple(self.stopped),
            relief_w=self.relief_w,
            uncapped=tuple(self.uncapped),
            lease_left_s=self.lease_left_s,
            deeds=tuple(Deed(**deed.model_dump()) for deed in self.deeds),
            last_error=self.last_error,
            owner=self.owner,
            limits=self.limits,
            unknown_nodes=tuple(self.unknown_nodes),
        )


@router.get("/v1/shed", response_model=ShedState, tags=["placement"], summary="Load to take off, and what was done")
async def shed(here: Here) -> Response:
    """What loops ask for while cooling has no reserve, a plan with the known jobs, and processes that act on it."""
    return reply(here.shed_state())


@router.put(
    "/v1/shed/{name}",
    response_model=Answer,
    responses=_ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="A process that takes load off tells what it holds and did",
)
async def put_shed(here: Here, name: Name, body: ShedBody) -> Response:
    """In the place of what it told before. The next plan asks for so much more than it holds back already."""
    if not here.sheds.take(name, body.report()):
        text = f"{MOST_PROCESSES} processes tell already"
        raise ProblemError(409, text, "tell it under one of their names (GET /v1/shed)")
    return reply(Answer(accepted=True, text=f"{len(body.held)} jobs held back"))

"""Nodes lent between clusters, as the process that moves them tells: kept in memory, as it tells them every while."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from api.answers import Problem, Responses, reply
from api.commands import Body, Named, operator
from api.problems import ProblemError
from api.service import Service, service_of
from placement.loan_reports import MOST_LENDERS, MOST_LOANS, Lenders, LoanReport
from plant.intents import Answer
from plant.loans import Loan, LoanState

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Name = Annotated[str, Path(min_length=1, max_length=60, pattern=r"^[\w.@-]+$", description="How the process is known")]
Word = Annotated[str, Field(min_length=1, max_length=253)]
Words = Annotated[str, Field(max_length=2000)]
Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
Span = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
_ANSWERS: Responses = {
    401: {"model": Problem, "description": "No token, or a wrong one"},
    409: {"model": Problem, "description": "Too many names"},
}


class LoanBody(Body):
    """One loan; times [s since 1970] by the clock of the process that moves nodes."""

    id: Word
    node: Word
    lender: Word
    borrower: Word
    owner: Words
    due_s: Moment
    state: Annotated[LoanState, Named]
    since_s: Moment
    drain_limit_s: Span = 3600.0
    reason: Words = ""
    problem: Words = ""
    took_s: Annotated[dict[Word, Span], Field(max_length=40, description="Seconds of each step that is over")] = Field(
        default_factory=dict
    )


class LoansBody(Body):
    """All loans of one process that are under way, and those that ended last."""

    moves: Annotated[bool, Field(description="Whether nodes are moved; else it only plans")]
    period_s: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    loans: Annotated[list[LoanBody], Field(max_length=MOST_LOANS)]

    def report(self) -> LoanReport:
        """As a record."""
        loans = tuple(Loan(**loan.model_dump()) for loan in self.loans)
        return LoanReport(moves=self.moves, period_s=self.period_s, loans=loans)


@router.put(
    "/v1/loans/{name}",
    response_model=Answer,
    responses=_ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="The process that lends nodes tells its loans",
)
async def put_loans(here: Here, name: Name, body: LoansBody) -> Response:
    """In the place of what it told before; moves nothing."""
    if not here.loans.take(name, body.report()):
        text = f"{MOST_LENDERS} processes tell loans already"
        raise ProblemError(409, text, "tell them under one of their names (GET /v1/loans)")
    return reply(Answer(accepted=True, text=f"{len(body.loans)} loans kept"))


@router.get("/v1/loans", response_model=Lenders, tags=["placement"], summary="Nodes lent between clusters")
async def get_loans(here: Here) -> Response:
    """What was told last, with ages; silent processes too."""
    return reply(Lenders(lenders=here.loans.states()))

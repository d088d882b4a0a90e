"""What became of hints: told once for each (token), summed up for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from api.answers import Problem, Responses, reply
from api.commands import Actor, Body, operator
from api.hints_given import HintsGiven
from api.problems import ProblemError
from api.service import Service, service_of
from api.telling import ANSWERS, told
from placement.workload_hints import WorkloadHints
from plant.intents import Answer
from plant.job_knowledge import JobKnowledge
from plant.outcomes import HintOutcome, OutcomeTotals

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
HintId = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[\w-]+$")]
Kwh = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
J_PER_KWH = 3.6e6
EXPIRED = 410
_ANSWERS: Responses = ANSWERS | {
    404: {"model": Problem, "description": "No such hint"},
    409: {"model": Problem, "description": "Its outcome has been told already, or the edge refused"},
    410: {"model": Problem, "description": "The hint had expired when it was used"},
}


class OutcomeBody(Body):
    """Whether a hint was followed, and what the work cost as the scheduler reckons it."""

    followed: bool
    used_at: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = Field(
        default=None, description="When the work was placed [s since 1970, site clock]; now, if left out"
    )
    nodes: list[Annotated[str, Field(max_length=253)]] = Field(default_factory=list, max_length=1000)
    it_kwh: Kwh | None = None
    cooling_kwh: Kwh | None = None
    cost: Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)] | None = None
    note: Annotated[str, Field(max_length=500)] = ""
    actor: Actor = "scheduler"

    def outcome(self, hint: WorkloadHints, now_s: float, jobs: JobKnowledge) -> HintOutcome:
        """In SI, told at now_s [s since 1970]; jobs: whose names of nodes may be told, too."""
        named = {n.node for n in hint.nodes} | set(hint.place.nodes)
        nan = float("nan")
        return HintOutcome(
            hint=hint.id,
            actor=self.actor,
            at_s=now_s,
            used_s=now_s if self.used_at is None else self.used_at,
            followed=self.followed,
            nodes=len(self.nodes),
            hinted=sum(jobs.node(node) in named for node in self.nodes),
            it_j=nan if self.it_kwh is None else self.it_kwh * J_PER_KWH,
            cooling_j=nan if self.cooling_kwh is None else self.cooling_kwh * J_PER_KWH,
            cost=nan if self.cost is None else self.cost,
            note=self.note,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HintSummary:
    """Outcomes as the edge keeps them; late: those refused since this server started, as the hint had expired."""

    totals: OutcomeTotals
    newest: tuple[HintOutcome, ...]
    late: int


@router.get("/v1/hints", response_model=HintSummary, tags=["placement"], summary="What became of hints")
async def summary(here: Here) -> Response:
    """Totals since the first outcome, over restarts, and the newest fifty."""
    known = here.mirror.outcomes
    return reply(HintSummary(totals=known.totals, newest=known.newest, late=here.given.late))


@router.post(
    "/v1/hints/{hint_id}/outcome",
    response_model=Answer,
    responses=_ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="Tell what became of a hint",
)
async def outcome(here: Here, hint_id: HintId, body: OutcomeBody) -> Response:
    """Once for each hint, any time later; a hint that had expired when it was used is answered as expired."""
    now_s = here.mirror.now_s
    used_s = now_s if body.used_at is None else body.used_at
    hint = _used(here.given, hint_id, used_s)
    with here.given.telling(hint_id):
        answer = await told(here.bus.outcome(body.outcome(hint, now_s, here.site.jobs)))
        here.given.ended(hint_id)
    return answer


def _used(given: HintsGiven, hint_id: str, used_s: float) -> WorkloadHints:
    """The hint, if it held when it was used; one that had expired is counted, so that people see it."""
    try:
        return given.valid(hint_id, used_s)
    except ProblemError as error:
        given.late += error.status == EXPIRED
        raise

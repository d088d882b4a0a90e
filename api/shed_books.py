"""What a process that takes load off holds, told before each act, so that another host can go on from it."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from api.answers import Problem, Responses, reply
from api.commands import Body, operator
from api.problems import ProblemError
from api.sheds import MOST_JOBS, HeldBody, Here, Moment, Name, Watts, Word
from plant.errors import ConflictError, RefusedError, StoreError
from plant.intents import Answer
from plant.sheds import CapHeld, JobHeld, JobStopped, ShedKept

router = APIRouter()
MOST_LIMITS = 50_000
_CONFLICT: Responses = {
    401: {"model": Problem, "description": "No token, or a wrong one"},
    409: {"model": Problem, "description": "Another process holds something under this name"},
}


class CapBody(Body):
    """A power limit that was set, or is about to be."""

    place: Annotated[str, Field(min_length=1, max_length=2000)]
    node: Word
    job: Word
    draw_w: Watts
    before_w: Watts | None = None
    asked_w: Watts
    watts: Watts
    sure: bool = False


class StoppedBody(Body):
    """A job that was requeued, or is about to be; times by the process's own clock, null where not known."""

    job: Word
    source: Word
    started_s: Moment | None = None
    at_s: Moment = 0.0
    before: Annotated[str, Field(max_length=100_000)] = ""
    sure: bool = False

    def record(self) -> JobStopped:
        """As it is kept."""
        return JobStopped(
            job=self.job,
            source=self.source,
            started_s=math.nan if self.started_s is None else self.started_s,
            at_s=self.at_s,
            before=self.before,
            sure=self.sure,
        )


class BookBody(Body):
    """All that is held. owner: whose it is, taken_from: who had it, where it is being taken over."""

    owner: Word
    taken_from: Annotated[str, Field(max_length=253)] = ""
    jobs: Annotated[list[HeldBody], Field(max_length=MOST_JOBS)] = Field(default_factory=list)
    caps: Annotated[list[CapBody], Field(max_length=MOST_LIMITS)] = Field(default_factory=list)
    stopped: Annotated[list[StoppedBody], Field(max_length=MOST_JOBS)] = Field(default_factory=list)

    def kept(self) -> ShedKept:
        """As a record."""
        return ShedKept(
            owner=self.owner,
            taken_from=self.taken_from,
            jobs=tuple(JobHeld(**job.model_dump()) for job in self.jobs),
            caps=tuple(CapHeld(**cap.model_dump()) for cap in self.caps),
            stopped=tuple(stop.record() for stop in self.stopped),
        )


@router.get(
    "/v1/shed/{name}/book", response_model=ShedKept, tags=["placement"], summary="What a process told that it holds"
)
async def book(here: Here, name: Name) -> Response:
    """As it was told last, before an act or after; `owner` is empty where nothing was."""
    return reply(await here.shed_books.of(name))


@router.put(
    "/v1/shed/{name}/book",
    response_model=Answer,
    responses=_CONFLICT,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="A process that takes load off tells all that it holds, before it acts",
)
async def put_book(here: Here, name: Name, body: BookBody) -> Response:
    """Kept durably. Only its owner changes it while it holds something, or who names that owner in `taken_from`."""
    kept = body.kept()
    try:
        await here.shed_books.take(name, kept)
    except ConflictError as error:
        remedy = "give this one a --name of its own; where the other one's host is gone, start with --take-over"
        raise ProblemError(409, str(error), remedy) from error
    except RefusedError as error:
        raise ProblemError(422, str(error), "tell it under one of their names (GET /v1/shed)") from error
    except StoreError as error:
        raise ProblemError(503, str(error), "see to the server's state directory") from error
    return reply(Answer(accepted=True, text=f"{len(kept.caps)} limits, {len(kept.jobs)} jobs kept"))

"""Job knowledge: what schedulers tell of running and queued jobs, for the forecast."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.answers import Jobs, KnownJobs, Problem, Responses, reply
from api.commands import INTENT_TIMEOUT_S, Actor, operator
from api.mirror import Mirror
from api.problems import ProblemError
from api.service import Service, service_of
from placement.job_list import JobListForm, job_list
from plant.errors import RetryError
from plant.records import Answer, JobList

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
_ANSWERS: Responses = {
    401: {"model": Problem, "description": "No token, or a wrong one"},
    409: {"model": Problem, "description": "The edge refused, in its own words"},
    422: {"model": Problem, "description": "The list can't be used; names job and field"},
    503: {"model": Problem, "description": "The edge does not answer"},
}


@router.put(
    "/v1/jobs",
    response_model=Answer,
    responses=_ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="What a scheduler knows of its jobs",
)
async def put_jobs(here: Here, body: JobListForm, actor: Annotated[Actor, Query()] = "scheduler") -> Response:
    """Replaces the last list of the same source; the forecast uses it from its next cycle on, until it expires."""
    told = job_list(body, here.site, actor, here.mirror.now_s)
    try:
        async with asyncio.timeout(INTENT_TIMEOUT_S):
            answer = await here.bus.jobs(told)
    except (RetryError, OSError) as error:
        text = "the edge does not answer; what it knew of jobs before counts until it expires"
        raise ProblemError(503, text, "start it with coldplate run, then send the list again") from error
    if not answer.accepted:
        raise ProblemError(409, answer.text, "send a list that is valid for some minutes of the site's clock")
    return reply(answer)


@router.get("/v1/jobs", response_model=Jobs, tags=["placement"], summary="Jobs known, by source, with ages")
async def get_jobs(here: Here) -> Response:
    """The newest list of every source, the stale ones too."""
    mirror = here.mirror
    return reply(Jobs(now_s=mirror.now_s, lists=[_known(told, mirror) for told in mirror.jobs]))


def _known(told: JobList, mirror: Mirror) -> KnownJobs:
    left_s = told.valid_until_s - mirror.now_s
    return KnownJobs(
        source=told.source,
        actor=told.actor,
        at_s=told.at_s,
        age_s=max(mirror.now_s - told.at_s, 0.0),
        valid_until_s=told.valid_until_s,
        left_s=left_s,
        stale=left_s <= 0.0,
        jobs=told.jobs,
    )

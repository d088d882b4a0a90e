"""Job knowledge: what schedulers tell of running and queued jobs, for the forecast."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.answers import Jobs, KnownJobs, reply
from api.commands import Actor, operator
from api.mirror import Mirror
from api.service import Service, service_of
from api.telling import ANSWERS, told
from placement.job_list import JobListForm, job_list
from plant.intents import Answer
from plant.records import JobList

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]


@router.put(
    "/v1/jobs",
    response_model=Answer,
    responses=ANSWERS,
    dependencies=[Depends(operator)],
    tags=["placement"],
    summary="What a scheduler knows of its jobs",
)
async def put_jobs(here: Here, body: JobListForm, actor: Annotated[Actor, Query()] = "scheduler") -> Response:
    """Replaces the last list of the same source; the forecast uses it from its next cycle on, until it expires."""
    asking = here.bus.jobs(job_list(body, here.site, actor, here.mirror.now_s))
    meanwhile = "what it knew of jobs before counts until it expires"
    change = "send a list that is valid for some minutes of the site's clock"
    return await told(asking, meanwhile, start="start it with coldplate run, then send the list again", change=change)


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

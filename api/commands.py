"""Endpoints that ask for something: operator intents (token) and placement hints."""

from __future__ import annotations

import hmac
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.answers import Problem, Responses, reply
from api.problems import ProblemError
from api.service import Service, service_of
from api.telling import ANSWERS, told
from placement.hints import rank
from plant.intents import Answer, Intent, IntentKind, Mode
from plant.points import PointId
from plant.records import Hint
from plant.topology import Site

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why, in words; kept in the audit")]
Actor = Annotated[
    str, Field(min_length=1, max_length=60, pattern=r"^[\w .@-]+$", description="Who asks; kept in the audit")
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
_TOKEN = Depends(
    HTTPBearer(auto_error=False, description="The token made at first start: the file `token` of the state directory")
)
_NOT_YET: Responses = {503: {"model": Problem, "description": "No headroom is known yet"}}


class Body(BaseModel):
    """A body that refuses fields which nobody reads, and what is not what it should be: `true` is not 1 kW."""

    model_config = ConfigDict(extra="forbid", strict=True)


Named = Field(strict=False)
"""Of a field that JSON has no type for: one of some words, a time."""


class IntentBody(Body):
    """What an operator wants. Values in SI; expires_in_s in site seconds."""

    kind: Annotated[IntentKind, Named]
    reason: Reason
    actor: Actor = "operator"
    loop: str = Field(default="", max_length=200, description="Id of a cooling group")
    mode: Annotated[Mode, Named] | None = Field(default=None, description="For set_mode")
    values: dict[PointId, Finite] = Field(
        default_factory=dict, max_length=64, description="For hold: point to value [SI]"
    )
    expires_in_s: Positive | None = Field(default=None, description="For hold: its life [s]")
    plan: str = Field(default="", max_length=200, description="For confirm: the plan's id")
    equipment: str = Field(default="", max_length=200, description="For recalibrated: whose instruments were changed")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = {
            IntentKind.SET_MODE: {"loop": not self.loop, "mode": self.mode is None},
            IntentKind.HOLD: {
                "loop": not self.loop,
                "values": not self.values,
                "expires_in_s": self.expires_in_s is None,
            },
            IntentKind.CONFIRM: {"loop": not self.loop, "plan": not self.plan},
            IntentKind.ALL_TO_DEFAULT: {},
            IntentKind.ACKNOWLEDGE: {"loop": not self.loop},
            IntentKind.RECALIBRATED: {"equipment": not self.equipment},
        }[self.kind]
        absent = [name for name, is_missing in missing.items() if is_missing]
        if absent:
            raise ValueError(f"{self.kind} needs {', '.join(absent)}")
        return self

    def intent(self, now_s: float) -> Intent:
        """The record that goes to the edge, asked for at `now_s` [s since 1970]."""
        return Intent(
            kind=self.kind,
            actor=self.actor,
            reason=self.reason,
            at_s=now_s,
            loop=self.loop,
            mode=self.mode,
            values=dict(self.values),
            expires_s=None if self.expires_in_s is None else now_s + self.expires_in_s,
            plan=self.plan,
            equipment=self.equipment,
        )


class AllToDefaultBody(Body):
    """Give everything back to the devices."""

    reason: Reason = "all to default asked for"
    actor: Actor = "operator"


class HintBody(Body):
    """How large the job is: exactly one of power_w [W], power_kw [kW], gpus."""

    power_w: Positive | None = None
    power_kw: Positive | None = None
    gpus: int | None = Field(default=None, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(v is not None for v in (self.power_w, self.power_kw, self.gpus)) != 1:
            raise ValueError("give exactly one of power_w, power_kw, gpus")
        return self

    def watts(self, site: Site) -> float:
        """The job's power [W]; GPUs count with the mean design power of a rack by its GPUs."""
        if self.power_w is not None:
            return self.power_w
        if self.power_kw is not None:
            return self.power_kw * 1e3
        designs = [r.design["power_w"] for r in site.of_kind("rack") if "power_w" in r.design]
        if not designs or not site.gpus_per_rack:
            raise ProblemError(422, "gpus: the racks have no design power", "give power_w")
        return (self.gpus or 0) * sum(designs) / len(designs) / site.gpus_per_rack


async def operator(here: Here, given: Annotated[HTTPAuthorizationCredentials | None, _TOKEN]) -> None:
    """Let through only who has the token.

    Raises:
        ProblemError: 401.
    """
    token = given.credentials if given else ""
    if not hmac.compare_digest(token.encode("utf-8", "replace"), here.token.encode()):
        text = "the token is wrong" if token else "this needs a token"
        remedy = "send Authorization: Bearer TOKEN; it is in the file token of the state directory"
        raise ProblemError(401, text, remedy, {"www-authenticate": "Bearer"})


async def asked(here: Service, intent: Intent) -> Response:
    """The edge's answer to an intent.

    Raises:
        ProblemError: 503 no answer, 409 refused.
    """
    meanwhile = "devices fall back to their own setpoints when their timeout ends"
    start = "start it with coldplate run; coldplate all-to-default works without it"
    return await told(here.bus.intent(intent), meanwhile, start=start)


@router.post(
    "/v1/intents",
    response_model=Answer,
    responses=ANSWERS,
    dependencies=[Depends(operator)],
    tags=["commands"],
    summary="An operator's wish",
)
async def intents(here: Here, body: IntentBody) -> Response:
    """Forwarded to the edge, which checks it against limits and policy and audits it."""
    return await asked(here, body.intent(here.mirror.now_s))


@router.post(
    "/v1/all-to-default",
    response_model=Answer,
    responses=ANSWERS,
    dependencies=[Depends(operator)],
    tags=["commands"],
    summary="Give everything back to the devices",
)
async def all_to_default(here: Here, body: AllToDefaultBody | None = None) -> Response:
    """Every lease ends now and every loop goes to advisory; works while the optimiser hangs."""
    body = body or AllToDefaultBody()
    now_s = here.mirror.now_s
    return await asked(here, Intent(kind=IntentKind.ALL_TO_DEFAULT, actor=body.actor, reason=body.reason, at_s=now_s))


@router.post(
    "/v1/placement/hints",
    response_model=Hint,
    responses=_NOT_YET,
    tags=["placement"],
    summary="Ranked racks for a job",
)
async def hints(here: Here, body: HintBody) -> Response:
    """By headroom and marginal cooling watts, with reasons. A read: nothing is reserved."""
    if not here.mirror.headroom:
        raise ProblemError(503, "no headroom is known yet", "ask again when the controller has made its first plan")
    return reply(rank(here.site, here.mirror.headroom, body.watts(here.site), here.mirror.now_s))

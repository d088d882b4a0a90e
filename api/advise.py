"""Advice on packing pods onto GPU nodes that the caller describes: a calculation, nothing is read or reserved."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi import Body as Sent
from pydantic import Field

from api.answers import Problem, Responses, reply
from api.commands import Body
from api.problems import ProblemError
from api.service import Service, service_of
from placement.advice import PackingAdvice, Running, advise, occupied
from placement.gpu_cluster import GPU_MILLI, Node, Pod
from placement.learnt import frequent

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Name = Annotated[str, Field(min_length=1, max_length=253)]
Amount = Annotated[int, Field(ge=0, le=2**40)]
Gpus = Annotated[int, Field(ge=0, le=16)]
Model = Annotated[str, Field(max_length=60)]
_ANSWERS: Responses = {
    422: {"model": Problem, "description": "Which field can't be used, and why"},
    503: {"model": Problem, "description": "Learning takes too long"},
}
EXAMPLES = {
    "half a GPU beside half a GPU": {
        "value": {
            "nodes": [
                {"name": "gpu001", "cpu_milli": 96000, "memory_mib": 393216, "gpus": 2, "model": "T4"},
                {"name": "gpu002", "cpu_milli": 96000, "memory_mib": 393216, "gpus": 2, "model": "T4"},
            ],
            "running": [
                {"name": "a", "cpu_milli": 4000, "memory_mib": 8192, "gpus": 1, "gpu_milli": 500,
                 "node": "gpu002", "on": [1]},
            ],
            "pods": [{"name": "b", "cpu_milli": 4000, "memory_mib": 8192, "gpus": 1, "gpu_milli": 500}],
            "expected": [{"name": "typical", "cpu_milli": 8000, "memory_mib": 16384, "gpus": 1}],
        }
    }
}  # fmt: skip


class NodeBody(Body):
    """A node as it is when empty; `model` is the GPUs' card: one without a known power counts as an A100."""

    name: Name
    cpu_milli: Annotated[Amount, Field(description="Thousandths of a hardware thread")]
    memory_mib: Amount
    gpus: Gpus = 0
    model: Model = ""

    def node(self) -> Node:
        """As a record."""
        return Node(**self.model_dump())


class PodBody(Body):
    """What a pod asks for: `gpu_milli` thousandths of each of `gpus` GPUs, on one of `models` (any, if empty)."""

    name: Name
    cpu_milli: Amount = 0
    memory_mib: Amount = 0
    gpus: Gpus = 0
    gpu_milli: Annotated[int, Field(ge=1, le=GPU_MILLI)] = GPU_MILLI
    models: Annotated[list[Model], Field(max_length=20)] = Field(default_factory=list)

    def pod(self) -> Pod:
        """As a record."""
        return Pod(
            name=self.name,
            cpu_milli=self.cpu_milli,
            memory_mib=self.memory_mib,
            gpus=self.gpus,
            gpu_milli=self.gpu_milli,
            models=frozenset(self.models),
        )


class RunningBody(PodBody):
    """A pod that runs, and on which GPUs of its node (from 0)."""

    node: Name
    on: list[Annotated[int, Field(ge=0, lt=16)]] = Field(default_factory=list, max_length=16)

    def running(self) -> Running:
        """As a record."""
        return Running(pod=self.pod(), node=self.node, on=tuple(self.on))


class PackingBody(Body):
    """Nodes, what runs on them, and the pods to place, in order; expected: pods that are typical of what comes."""

    nodes: Annotated[list[NodeBody], Field(min_length=1, max_length=2_000)]
    running: Annotated[list[RunningBody], Field(max_length=20_000)] = Field(default_factory=list)
    pods: Annotated[list[PodBody], Field(min_length=1, max_length=100)]
    expected: Annotated[list[PodBody], Field(max_length=20_000)] = Field(
        default_factory=list,
        description="What free threads and GPUs are worth is learnt for these; left out: for what runs and the pods",
    )
    learn: Annotated[
        bool, Field(description="Whether to learn, half a minute for 1,200 nodes, once for nodes and mix; or to guess")
    ] = True

    def mix(self) -> list[Pod]:
        """What is expected, by its most frequent kinds.

        Raises:
            ProblemError: none of it asks for a GPU, so that nothing could be stranded.
        """
        expected = frequent([one.pod() for one in self.expected or [*self.running, *self.pods]])
        if not any(pod.gpus for pod in expected):
            raise ProblemError(422, "expected: no pod asks for a GPU", "give pods with gpus that are typical")
        return expected


@router.post(
    "/v1/advise/packing",
    response_model=PackingAdvice,
    responses=_ANSWERS,
    tags=["placement"],
    summary="Where pods should go on shared GPUs",
)
async def packing(here: Here, body: Annotated[PackingBody, Sent(openapi_examples=EXAMPLES)]) -> Response:
    """A node and GPUs for each pod with reasons, and the GPU that is stranded. A read: nothing is reserved."""
    expected = body.mix()
    async with here.packing as learnt:  # one at a time, in a thread: hints and streams go on beside it
        nodes, running = [n.node() for n in body.nodes], [r.running() for r in body.running]
        cluster = await asyncio.to_thread(occupied, nodes, running)
        worth = await learnt.of(nodes, expected, declared=bool(body.expected)) if body.learn else None
        return reply(await asyncio.to_thread(advise, cluster, [p.pod() for p in body.pods], expected, worth))

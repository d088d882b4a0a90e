"""The extender under power budgets: each pod is a new one, so that promises, rooms and budgets change on every call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from benchmarks.hints_rig import EdgeBeside
from plant.budgets import WHOLE_SITE, Budget, BudgetSource

RACK_W = 60e3
"""What every rack draws [W]."""
SITE_ROOM_W, CDU_ROOM_W, RACK_ROOM_W = 20e6, 250e3, 30e3
"""What budgets leave at first [W]: the site's lasts, those of some CDUs and racks run out on the way."""
LIFE_S = 3600.0
TELL_S = 1.0
POD_GPUS = tuple(range(1, 9))


def tell_budgets(edge: EdgeBeside, racks: Sequence[str]) -> None:
    """One for the site, one for each loop's first CDU, one for every fiftieth rack; and what racks draw."""
    by_loop: dict[str, int] = {}
    for rack in racks:
        number = rack.split("-")[1]
        by_loop[number] = by_loop.get(number, 0) + 1
    tell_powers(edge, racks)
    given = {
        WHOLE_SITE: RACK_W * len(racks) + SITE_ROOM_W,
        # half of a rack's power counts on each of its loop's two CDUs
        **{f"cdu-{number}-0": RACK_W * held / 2.0 + CDU_ROOM_W for number, held in by_loop.items()},
        **dict.fromkeys(racks[::50], RACK_W + RACK_ROOM_W),
    }
    now_s = edge.clock.now()
    edge.say("budgets", [_budget(scope, power_w, now_s) for scope, power_w in given.items()])


def tell_powers(edge: EdgeBeside, racks: Sequence[str]) -> None:
    """As the edge does after each cycle; without it powers grow old and count as the racks' design."""
    edge.say("live", [(f"{rack}/power", RACK_W, edge.clock.now(), 0) for rack in racks])


def telling(edge: EdgeBeside, racks: Sequence[str], pods: int) -> Iterator[int]:
    """The pods' numbers; meanwhile powers go on being told."""
    told_s = time.monotonic()
    for number in range(pods):
        if time.monotonic() - told_s > TELL_S:
            tell_powers(edge, racks)
            told_s = time.monotonic()
        yield number


def new_pod(number: int) -> dict[str, object]:
    """A pod that nobody asked about before, of one to eight GPUs."""
    limits = {"nvidia.com/gpu": str(POD_GPUS[number % len(POD_GPUS)])}
    containers = [{"name": "main", "image": "train:1", "resources": {"limits": limits, "requests": limits}}]
    metadata = {"name": f"train-{number}", "namespace": "default", "uid": f"{number:08d}-0000-4000-8000-000000000000"}
    return {"metadata": metadata, "spec": {"containers": containers}}


def _budget(scope: str, power_w: float, now_s: float) -> Budget:
    return Budget(
        scope=scope,
        power_w=power_w,
        source=BudgetSource.OPERATOR,
        actor="bench",
        reason="measured under budgets",
        at_s=now_s,
        until_s=now_s + LIFE_S,
    )

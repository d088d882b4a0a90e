"""What coldplate wants taken off now: heard over the API, believed no longer than the plan may be, and then nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from placement.api_client import Client
from placement.hint_list import NodeHints
from placement.shed.plan import ShedPlan, ShedStep, stepped
from placement.shed.reports import ShedState
from plant.errors import ColdplateError


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedWish:
    """plans: those that hold now; racks: in need; within_s: the least ride-through that is left [s], None: no limit.

    heard: the API and the edge behind it are alive, so that no plan means that nothing is asked; problem: else why not.
    rack_of: where nodes stand, by every name that they have.
    """

    plans: tuple[ShedPlan, ...] = ()
    racks: frozenset[str] = frozenset()
    within_s: float | None = None
    heard: bool = True
    problem: str = ""
    rack_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def caps(self) -> dict[str, float]:
        """Job -> share that its caps leave it now, also of those that are to be requeued and capped until then."""
        found: dict[str, float] = {}
        for step in self._steps("cap"):
            found[step.job] = min(step.share, found.get(step.job, 1.0))
        return found

    @property
    def stops(self) -> list[str]:
        """Jobs to requeue, in order."""
        return list(dict.fromkeys(step.job for step in self._steps("requeue")))

    @property
    def shares(self) -> dict[str, float]:
        """Job -> share in the end: 0 for one that is requeued."""
        return self.caps | dict.fromkeys(self.stops, 0.0)

    @property
    def short(self) -> bool:
        """Whether more is asked than known jobs can give."""
        return any(plan.short_w > 1.0 for plan in self.plans)

    def full_w(self, job: str) -> dict[str, float]:
        """By loop, what the job would give if it were stopped [W]."""
        found: dict[str, float] = {}
        for plan in self.plans:
            for step in plan.steps:
                if step.job == job and step.share < 1.0:
                    found[plan.loop] = step.relief_w / (1.0 - step.share)
        return found

    def _steps(self, action: str) -> list[ShedStep]:
        urgent = sorted(self.plans, key=lambda plan: math.inf if plan.within_s is None else plan.within_s)
        return [step for plan in urgent for step in plan.steps if step.action == action]


def wanted_shares(held: Mapping[str, float], wish: ShedWish, *, lease_over: bool, may_rise: bool) -> dict[str, float]:
    """Job -> share to bring it to now; held: as it is.

    Down at once, up one step when `may_rise`. What is held stays while the API is not heard and the lease lasts, and
    while more is asked than the plan can give.
    """
    if not wish.heard and not wish.plans and not lease_over:
        return dict(held)
    wanted = wish.shares
    if wish.short:
        wanted = {job: min(share, wanted.get(job, share)) for job, share in held.items()} | {
            job: share for job, share in wanted.items() if job not in held
        }
    return stepped(held, wanted, may_rise=may_rise)


@dataclass(slots=True)
class ShedEar:
    """Hears the API (blocking). steady_s: a clock that never jumps [s]."""

    client: Client
    steady_s: Callable[[], float] = time.monotonic
    _state: ShedState | None = None
    _heard_s: float = -math.inf
    _rack_of: Mapping[str, str] = field(default_factory=dict)

    def hear(self) -> ShedWish:
        """Ask, and tell what may be believed now, also of what was heard before."""
        problem = ""
        try:
            self._state = self.client.shed()
            self._heard_s = self.steady_s()
            if any(step.action == "requeue" for plan in self._state.plans for step in plan.steps):
                self._rack_of = _racks(self.client.hints().hints)
        except ColdplateError as error:
            problem = str(error)
        if not problem and self._state is not None and not self._state.edge_connected:
            problem = "the API does not hear the edge process; its plans end at their time"
        return self._believed(problem)

    def _believed(self, problem: str) -> ShedWish:
        state, age_s = self._state, self.steady_s() - self._heard_s
        if state is None:
            return ShedWish(heard=False, problem=problem)
        asked = [r for r in state.shed if r.expires_s > state.now_s + age_s]
        loops = {request.loop for request in asked}
        plans = tuple(plan for plan in state.plans if plan.loop in loops)
        limits = [plan.within_s - age_s for plan in plans if plan.within_s is not None]
        return ShedWish(
            plans=plans,
            racks=frozenset(rack for request in asked for rack in request.racks),
            within_s=min(limits, default=None),
            heard=not problem,
            problem=problem,
            rack_of=self._rack_of,
        )


def _racks(hints: NodeHints) -> dict[str, str]:
    schedulers = ("", *hints.names)
    return {name: node.rack for scheduler in schedulers for name, node in hints.known_as(scheduler).items()}

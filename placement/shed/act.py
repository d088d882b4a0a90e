"""Carries out shed plans: power limits first, then requeues in the plan's order; all of it given back step by step.

One round brings what is held to what is wanted. Whatever is to be done is in the book before it is done, and every act
may be done twice, so the process may be killed at any moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from placement.shed.book import ShedBook
from placement.shed.caps import Caps, NodeCap, node_caps
from placement.shed.reports import DEEDS_TOLD, ShedReport
from placement.shed.stops import Known, Scheduler, Stops, known
from placement.shed.wishes import ShedWish, wanted_shares
from plant.sheds import Deed, JobHeld

MOST_WAIT_S = 1800.0
"""A step back that brings the wish back doubles the wait for the next one, up to this [s]."""
CAPPED_PART = 0.5
"""A job of whose nodes less than this is capped counts as one that can't be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedOptions:
    """acts: else it only says; lease_s: what is held outlives the API's silence by so long [s].

    step_s: between two steps back [s]; period_s: of a round [s].
    """

    acts: bool = False
    lease_s: float = 900.0
    step_s: float = 120.0
    period_s: float = 2.0


@dataclass(slots=True)
class Shedder:
    """caps, stops: the hands; wall_s, steady_s: this host's clock [s since 1970], and one that never jumps [s]."""

    caps: Caps
    schedulers: Mapping[str, Scheduler]
    book: ShedBook
    options: ShedOptions
    wall_s: Callable[[], float] = time.time
    steady_s: Callable[[], float] = time.monotonic
    _risen_s: float = field(default=0.0)
    _wait_s: float = field(default=0.0)
    _deeds: list[Deed] = field(default_factory=list)
    _uncapped: frozenset[str] = frozenset()
    _parts: dict[str, float] = field(default_factory=dict)
    _said: dict[tuple[str, str, str], tuple[str, float | None]] = field(default_factory=dict)
    _errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The first step back comes a whole wait after the start."""
        self._risen_s, self._wait_s = self.steady_s(), self.options.step_s

    async def round(self, wish: ShedWish) -> list[Deed]:
        """One pass; what was done or could not be, but nothing twice.

        Raises:
            StoreError: it can't be written down, so nothing is done.
            ConflictError: another process goes on from the book, so nothing is done.
        """
        self._lease(wish)
        shares = self._shares(wish)
        now = await known(self.schedulers) if shares or not self.book.empty else Known(runs={})
        if self.options.acts:
            self._hold(shares, wish, now)
            self.book.keep()
        deeds = await self.caps.bring(self._node_caps(shares, wish, now))
        stops = Stops(self.schedulers, self.book, self.options.acts, self.wall_s)
        avoid = [node for node, rack in wish.rack_of.items() if rack in wish.racks]
        deeds += await stops.requeue([job for job in wish.stops if shares.get(job) == 0.0], now, avoid, wish.within_s)
        deeds += await stops.release([job for job in self.book.stopped if shares.get(job, 1.0) > 0.0])
        if self.options.acts:
            await self.book.announce()
        self._look(shares, now)
        return self._told(deeds, wish, now)

    def report(self) -> ShedReport:
        """Of the pass that has just ended."""
        return ShedReport(
            acts=self.options.acts,
            owner=self.book.owner,
            limits=len(self.book.caps),
            period_s=self.options.period_s,
            sent_at=self.wall_s(),
            held=tuple(self.book.jobs.values()),
            stopped=tuple(job for job, stop in self.book.stopped.items() if stop.sure),
            relief_w=self._relief_w(),
            uncapped=tuple(sorted(self._uncapped)),
            lease_left_s=max(self.book.lease_until_s - self.wall_s(), 0.0),
            deeds=tuple(self._deeds),
            last_error="; ".join(self._errors)[:2000],
        )

    def _lease(self, wish: ShedWish) -> None:
        """Renewed by whatever is heard; never longer than it may be, also where the clock was set back."""
        now_s = self.wall_s()
        longest_s = now_s + self.options.lease_s
        self.book.lease_until_s = longest_s if wish.heard else min(self.book.lease_until_s, longest_s)

    def _shares(self, wish: ShedWish) -> dict[str, float]:
        held = self.book.shares
        over = self.wall_s() >= self.book.lease_until_s
        due = self.steady_s() - self._risen_s >= self._wait_s
        shares = wanted_shares(held, wish, lease_over=over, may_rise=due)
        falls = any(share < held.get(job, 1.0) - 1e-6 for job, share in shares.items())
        rises = any(shares.get(job, 1.0) > share + 1e-6 for job, share in held.items())
        if falls and held:
            hasty = self.steady_s() - self._risen_s < 2.0 * self._wait_s
            self._wait_s = min(2.0 * self._wait_s, MOST_WAIT_S) if hasty else self.options.step_s
        if falls or rises:
            self._risen_s = self.steady_s()
        if not shares:
            self._wait_s = self.options.step_s
        return shares

    def _hold(self, shares: Mapping[str, float], wish: ShedWish, now: Known) -> None:
        """Remember shares of jobs that are there, or were stopped by us; the others have nothing that we hold."""
        kept: dict[str, JobHeld] = {}
        for job, share in shares.items():
            held = self.book.jobs.get(job)
            full_w = wish.full_w(job) or (held.full_w if held is not None else {})
            if job in now.nodes or job in self.book.stopped or (now.silent and held is not None):
                kept[job] = JobHeld(job=job, share=share, full_w=full_w)
        self.book.jobs = kept

    def _node_caps(self, shares: Mapping[str, float], wish: ShedWish, now: Known) -> dict[str, NodeCap]:
        """By node; where a scheduler is silent, what is capped stays so."""
        until_stopped = wish.caps
        capped = {job: until_stopped.get(job, 1.0) if share == 0.0 else share for job, share in shares.items()}
        found = node_caps(capped, now.nodes)
        if now.silent:
            for cap in self.book.caps.values():
                if cap.job in shares and cap.job not in now.nodes:
                    found.setdefault(cap.node, NodeCap(job=cap.job, share=capped[cap.job]))
        return found

    def _look(self, shares: Mapping[str, float], now: Known) -> None:
        """Which part of each job's nodes is capped; a job that can't be is not asked to be until nothing is asked."""
        for job in (job for job, share in shares.items() if 0.0 < share < 1.0):
            nodes = now.nodes.get(job, ())
            capped = {cap.node for cap in self.book.caps.values() if cap.sure and cap.job == job}
            self._parts[job] = len(capped & set(nodes)) / max(len(nodes), 1)
        poor = {job for job, part in self._parts.items() if part < CAPPED_PART and job in now.nodes}
        self._uncapped = (self._uncapped | poor) if shares and self.options.acts else frozenset()
        self._parts = {job: part for job, part in self._parts.items() if job in shares}

    def _relief_w(self) -> dict[str, float]:
        """By loop, what all that is held gives [W]: of a capped job in proportion to its nodes whose limits hold."""
        found: dict[str, float] = {}
        for held in self.book.jobs.values():
            stopped = self.book.stopped.get(held.job)
            part = 1.0 if stopped is not None and stopped.sure else self._parts.get(held.job, 0.0)
            share = held.share if stopped is None or not stopped.sure else 0.0
            for loop, watts in held.full_w.items():
                found[loop] = found.get(loop, 0.0) + part * (1.0 - share) * watts
        return {loop: round(watts, 1) for loop, watts in found.items()}

    def _told(self, deeds: Sequence[Deed], wish: ShedWish, now: Known) -> list[Deed]:
        """Those that are news; what hinders counts as an error as long as it does."""
        errors = [f"{deed.what} {deed.job} {deed.place}: {deed.error}" for deed in deeds if deed.error]
        self._errors = [*filter(None, (wish.problem, self.book.untold)), *now.silent.values(), *errors]
        news = []
        for deed in deeds:
            key, said = (deed.job, deed.what, deed.place), (deed.error, deed.watts)
            if self._said.get(key) != said or not (deed.error or deed.dry):
                news.append(deed)
            self._said[key] = said
        self._deeds = [*self._deeds, *news][-DEEDS_TOLD:]
        if self.book.empty and not wish.plans:
            self._said.clear()
        return news

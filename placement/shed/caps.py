"""Power limits of nodes as leases of ours: written down before they are set, believed when told back, given back whole.

What stood there before comes back, and a limit that somebody else has set since is left as it is.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from placement.shed.book import ShedBook
from plant.errors import ColdplateError
from plant.sheds import CapHeld, Deed

SAME_W = 3.0
"""Devices round limits; two that are closer are the same [W]."""


class Told(Protocol):
    """A limit as a device tells it: watts [W], whether it is on, and what is drawn, NaN where not told [W]."""

    @property
    def watts(self) -> float:
        """[W]."""

    @property
    def on(self) -> bool:
        """Whether it holds."""

    @property
    def draw_w(self) -> float:
        """[W]."""


class Limiter(Protocol):
    """One power limit (`devices.redfish_power.PowerLimit`). Each raises a ColdplateError where it can't."""

    async def read(self) -> Told:
        """As it is now."""

    async def set(self, watts: float) -> Told:
        """Hold so much [W]; what it tells afterwards."""

    async def lift(self) -> Told:
        """Hold it no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a limit is: its name, its node, its hand, and the powers of what it limits [W]."""

    name: str
    node: str
    limiter: Limiter
    full_w: float
    idle_w: float

    def cap_w(self, share: float, draw_w: float) -> float:
        """The limit that leaves this share of dynamic power, of a draw of draw_w [W]."""
        return self.idle_w + share * (max(draw_w, self.idle_w) - self.idle_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCap:
    """What a node's limits are to be: the share of dynamic power, and the job that it is for."""

    job: str
    share: float


@dataclass(slots=True)
class Caps:
    """places: by name; book: what is ours; acts: False only says; wall_s: this host's clock [s since 1970]."""

    places: Mapping[str, Place]
    book: ShedBook
    acts: bool
    wall_s: Callable[[], float] = time.time
    _by_node: dict[str, list[Place]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort places by node."""
        for place in self.places.values():
            self._by_node.setdefault(place.node, []).append(place)

    def has(self, node: str) -> bool:
        """Whether anything limits this node."""
        return node in self._by_node

    async def bring(self, wanted: Mapping[str, NodeCap]) -> list[Deed]:
        """Bring the limits of every node to its cap, and lift ours everywhere else; what was done or could not be.

        Raises:
            StoreError: it can't be written down, so it is not done.
            ConflictError: another process goes on from the book, so it is not done.
        """
        lifts = [cap for cap in self.book.caps.values() if cap.node not in wanted]
        places = [(place, cap) for node, cap in wanted.items() for place in self._by_node.get(node, ())]
        ready, failed = await self._ready([pair for pair in places if self._differs(*pair)])
        if not self.acts:
            would = [self._deed(cap, "cap", dry=True) for cap in ready]
            return [*failed, *would, *(self._deed(cap, "lift", dry=True) for cap in lifts)]
        for cap in ready:
            self.book.caps[cap.place] = cap
        self.book.keep()
        await self.book.announce()
        done = await asyncio.gather(*map(self._set, ready), *map(self._lift, lifts))
        self.book.keep()
        return [*failed, *(deed for deed in done if deed is not None)]

    def _differs(self, place: Place, wanted: NodeCap) -> bool:
        """Whether a limit is not yet as wanted; one that the device clipped is as near as it gets."""
        held = self.book.caps.get(place.name)
        if held is None or not held.sure or held.job != wanted.job:
            return True
        return abs(place.cap_w(wanted.share, held.draw_w) - held.asked_w) > SAME_W

    async def _ready(self, pairs: Sequence[tuple[Place, NodeCap]]) -> tuple[list[CapHeld], list[Deed]]:
        """What is to be set where, after a look at what stands there; nothing is changed yet."""
        looks = await asyncio.gather(*(self._look(*pair) for pair in pairs))
        return [x for x in looks if isinstance(x, CapHeld)], [x for x in looks if isinstance(x, Deed)]

    async def _look(self, place: Place, wanted: NodeCap) -> CapHeld | Deed:
        held = self.book.caps.get(place.name)
        if held is not None:
            asked_w = place.cap_w(wanted.share, held.draw_w)
            return replace(held, job=wanted.job, asked_w=_below(asked_w, held.before_w), sure=False)
        try:
            told = await place.limiter.read()
        except ColdplateError as error:
            return Deed(at_s=self.wall_s(), job=wanted.job, what="cap", place=place.name, error=str(error))
        draw_w = told.draw_w if math.isfinite(told.draw_w) else place.full_w
        before_w = told.watts if told.on else None
        asked_w = _below(place.cap_w(wanted.share, draw_w), before_w)
        return CapHeld(
            place=place.name,
            node=place.node,
            job=wanted.job,
            draw_w=draw_w,
            before_w=before_w,
            asked_w=asked_w,
            watts=asked_w,
        )

    async def _set(self, cap: CapHeld) -> Deed:
        try:
            told = await self.places[cap.place].limiter.set(cap.asked_w)
        except ColdplateError as error:
            return self._deed(cap, "cap", str(error))
        self.book.caps[cap.place] = replace(cap, watts=told.watts, sure=True)
        return self._deed(self.book.caps[cap.place], "cap")

    async def _lift(self, cap: CapHeld) -> Deed:
        """Give back what was there before; not where another one's limit stands by now."""
        place = self.places.get(cap.place)
        if place is None:
            return self._deed(cap, "lift", "the shed file names this limit no more; lift it by hand, or name it again")
        try:
            told = await place.limiter.read()
            foreign = abs(told.watts - cap.watts) > SAME_W and cap.sure
            untouched = not cap.sure and not told.on
            if not foreign and not untouched:
                await (place.limiter.lift() if cap.before_w is None else place.limiter.set(cap.before_w))
        except ColdplateError as error:
            return self._deed(cap, "lift", str(error))
        del self.book.caps[cap.place]
        return self._deed(replace(cap, watts=told.watts), "left" if foreign else "lift")

    def _deed(self, cap: CapHeld, what: str, error: str = "", *, dry: bool = False) -> Deed:
        watts = cap.watts if what != "lift" else None
        return Deed(
            at_s=self.wall_s(), job=cap.job, what=what, place=cap.place, watts=watts, error=error[:500], dry=dry
        )


def _below(watts: float, before_w: float | None) -> float:
    """Never above a limit that stood there before."""
    return watts if before_w is None else min(watts, before_w)


def node_caps(shares: Mapping[str, float], runs: Mapping[str, Iterable[str]]) -> dict[str, NodeCap]:
    """What each node is to be capped to. shares: by job; runs: every running job's nodes, all schedulers'.

    A node that jobs share is capped as far as the one allows that may keep the most: nothing is taken from a job that
    the plan does not name.
    """
    found: dict[str, NodeCap] = {}
    for job, nodes in runs.items():
        share = shares.get(job, 1.0)
        for node in nodes:
            if node not in found or share > found[node].share:
                found[node] = NodeCap(job=job, share=share)
    return {node: cap for node, cap in found.items() if cap.share < 1.0}

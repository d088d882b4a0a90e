"""What coldplate wants of a scheduler now: heard over the API, believed no longer than it may be, gone at its end.

Times of the API are the site's clock; here they become spans, counted by this host's own steady clock. So neither a
clock that differs nor an API that falls silent makes anything last longer than it was meant to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite

from placement.api_client import Client
from placement.budgets import BudgetShown
from placement.hint_list import NodeHints, NodeScore
from plant.budgets import WHOLE_SITE
from plant.errors import ColdplateError

SITE_CLOCK_MAX_S = 86400.0
"""No hint is believed for longer than this, whatever it says of itself [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """nodes: by name, empty when no valid hint is known; left_s: how long they hold [s]; budgets: those that count.

    places: the nodes as last heard, for where they stand: that stays true when their scores are over.
    budgets_known: False until they were heard once: what a run before us holds is not let go for want of an answer.
    site_ahead_s: the site's clock less this host's [s]; problem: why the API was not heard just now.
    strangers: schedulers that the site file has names of nodes for, where it has none for the one that asks.
    """

    hints_id: str = ""
    nodes: Mapping[str, NodeScore] = field(default_factory=dict)
    places: Mapping[str, NodeScore] = field(default_factory=dict)
    left_s: float = 0.0
    budgets: tuple[BudgetShown, ...] = ()
    budgets_known: bool = True
    site_ahead_s: float = 0.0
    problem: str = ""
    strangers: tuple[str, ...] = ()

    @property
    def scores(self) -> dict[str, int]:
        """Node -> 0..100."""
        return {name: node.score for name, node in self.nodes.items()}

    @property
    def rack_of(self) -> dict[str, str]:
        """Node -> rack."""
        return {name: node.rack for name, node in self.places.items()}

    @property
    def blocks(self) -> list[list[str]]:
        """Nodes that one CDU or loop cools, which jobs should find together."""
        found: dict[str, list[str]] = {}
        for name, node in self.nodes.items():
            found.setdefault(node.cdu or node.rack, []).append(name)
        return list(found.values())

    @property
    def essence(self) -> object:
        """What asks for a cycle at once when it is another than before."""
        return self.hints_id, self.budgets_known, [(b.scope, b.kw, b.over_kw > 0) for b in self.budgets]

    @property
    def site_budget(self) -> BudgetShown | None:
        """The budget of the whole site."""
        return next((b for b in self.budgets if b.scope == WHOLE_SITE), None)

    def under(self, scope: str) -> tuple[str, ...]:
        """Nodes of a rack, a CDU or a loop."""
        return tuple(name for name, node in self.places.items() if scope in (node.rack, node.cdu))

    @property
    def over_site(self) -> bool:
        """Whether the site draws more than its budget."""
        return self.site_budget is not None and self.site_budget.over_kw > 0

    def shut(self, node_kw: float, before: frozenset[str] = frozenset()) -> dict[str, str]:
        """Node -> why it may take no more work: its rack's or CDU's budget is exceeded already."""
        scopes = self.shut_scopes(node_kw, before)
        return {node: why for scope, why in scopes.items() for node in self.under(scope)}

    def shut_scopes(self, node_kw: float, before: frozenset[str]) -> dict[str, str]:
        """Scope -> why; one of `before`, shut at the last cycle, opens when a full node of node_kw [kW] fits again."""
        return {
            b.scope: f"budget of {b.scope} is {b.kw:.0f} kW: {b.reason}"
            for b in self.budgets
            if b.scope != WHOLE_SITE and (b.over_kw > 0 or (b.scope in before and b.room_kw < node_kw))
        }


@dataclass(slots=True)
class Ear:
    """Hears the API; steady_s: a clock that never jumps [s]; wall_s: this host's clock [s since 1970].

    scheduler: whose names of nodes are heard, where the site file has any of them; "": the site's own.
    """

    client: Client
    steady_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time
    scheduler: str = ""
    _hints: NodeHints | None = None
    _places: dict[str, NodeScore] = field(default_factory=dict)
    _hints_end_s: float = 0.0
    _budgets: list[tuple[BudgetShown, float]] | None = None
    _ahead_s: float = 0.0

    def hear(self) -> Wishes:
        """Ask (blocking), and tell what may be believed now, also of what was heard before."""
        problem = ""
        try:
            self._ask()
        except ColdplateError as error:
            problem = str(error)
        now_s = self.steady_s()
        valid = self._hints is not None and self._hints_end_s > now_s
        return Wishes(
            hints_id=self._hints.id if valid and self._hints else "",
            nodes=self._places if valid else {},
            places=self._places,
            left_s=max(self._hints_end_s - now_s, 0.0) if valid else 0.0,
            budgets=tuple(b for b, end_s in self._budgets or () if b.counts and end_s > now_s),
            budgets_known=self._budgets is not None,
            site_ahead_s=self._ahead_s,
            problem=problem,
            strangers=self._strangers(),
        )

    def _strangers(self) -> tuple[str, ...]:
        named = self._hints.names if self._hints is not None else {}
        return () if self.scheduler in named else tuple(named)

    def _ask(self) -> None:
        heard = self.client.hints()
        if self._hints is not heard.hints:
            self._hints = heard.hints
            self._places = heard.hints.known_as(self.scheduler)
        left_s = heard.hints.valid_until - heard.site_time_s
        self._hints_end_s = self.steady_s() + min(left_s, SITE_CLOCK_MAX_S) if isfinite(left_s) else 0.0
        if isfinite(heard.site_time_s):
            self._ahead_s = heard.site_time_s - self.wall_s()
        now_s = self.steady_s()
        self._budgets = [(b, now_s + b.left_s) for b in self.client.budgets()]

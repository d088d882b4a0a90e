"""What a cycle of an adapter did, for people, for the API and for an exit status."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from placement.scheduler_reports import Report
from plant.errors import ColdplateError, SilentError


@dataclass(slots=True)
class Cycle:
    """lines: what was done or (dry) would be; errors: what could not be; silent: the scheduler does not answer.

    nodes: known to both sides; foreign: to be drained, had others not done it; repaired: in this cycle;
    skew_s: the scheduler's clock less ours [s].
    """

    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    silent: bool = False
    nodes: int = 0
    only_here: tuple[str, ...] = ()
    only_there: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    repaired: int = 0
    skew_s: float | None = None

    async def part(self, work: Coroutine[Any, Any, None]) -> None:
        """One part; what hinders it does not keep the others from theirs, unless the scheduler is away."""
        if self.silent:
            work.close()
            return
        try:
            await work
        except SilentError as error:
            self.silent = True
            self.fail(str(error))
        except ColdplateError as error:
            self.fail(str(error))

    def fail(self, error: str) -> None:
        """What could not be done, once, whichever part comes upon it."""
        if error not in self.errors:
            self.errors.append(error)

    def compare(
        self, both: int, only_here: tuple[str, ...], only_there: tuple[str, ...], strangers: tuple[str, ...] = ()
    ) -> None:
        """Nodes that both sides know, and those of the site file and of the scheduler that the other one lacks.

        strangers: schedulers that the site file has names of nodes for, where it has none for this one.
        """
        self.nodes, self.only_here, self.only_there = both, only_here, only_there
        if not both and only_here and only_there:
            self.errors.append(
                f"no node is known to both sides: the site file has {only_here[0]!r}, the scheduler {only_there[0]!r}; "
                "name the scheduler's nodes under jobs.nodes in the site file, or under jobs.names what it calls them"
                + (f"; jobs.names is for {', '.join(strangers)}: is --name one of them?" if strangers else "")
            )
        self.say("unknown to the scheduler, left alone", only_here)
        self.say("unknown to the site file, neutral", only_there)

    def say(self, what: str, names: tuple[str, ...] | list[str], shown: int = 8) -> None:
        """A line where there is something to say."""
        if names:
            more = f" and {len(names) - shown} more" if len(names) > shown else ""
            self.lines.append(f"{what}: {', '.join(names[:shown])}{more}")


@dataclass(slots=True)
class Reporter:
    """Turns cycles into reports; last_success: [s since 1970] by our own clock."""

    kind: str
    period_s: float
    dry: bool
    last_success: float | None = None
    repaired: int = 0

    def report(self, cycle: Cycle, wall_s: float | None = None) -> Report:
        """Of the cycle that has just ended."""
        now_s = time.time() if wall_s is None else wall_s
        if not cycle.errors:
            self.last_success = now_s
        self.repaired += cycle.repaired
        return Report(
            kind=self.kind,
            dry_run=self.dry,
            period_s=self.period_s,
            last_success=self.last_success,
            sent_at=now_s,
            nodes=cycle.nodes,
            only_here=cycle.only_here,
            only_there=cycle.only_there,
            foreign=cycle.foreign,
            repaired=self.repaired,
            last_error="; ".join(cycle.errors)[:2000],
            scheduler_skew_s=cycle.skew_s,
        )

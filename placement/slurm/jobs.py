"""Running and queued jobs, as Slurm tells them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from placement.slurm.commands import Slurm
from placement.slurm.rows import row_begin, rows_of
from placement.slurm.stoppable import Stoppable, stoppable_jobs

_FIELDS = "%i|%T|%D|%S|%e|%l|%N|%Y|%u|%A|%r|%j"
"""The name comes last: users may put anything in it."""
_NOWHERE = ("(null)", "n/a", "N/A", "None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job; times [s since 1970], NaN where Slurm has no plan for one that waits; limit_s [s]: inf if none.

    nodes: its own, empty while it waits; planned: where Slurm means to start it; count: how many it wants;
    interruptible: may be requeued, and the site says that it is meant for that.
    """

    id: str
    state: str
    count: int
    start_s: float
    end_s: float
    limit_s: float
    nodes: tuple[str, ...]
    planned: tuple[str, ...] = ()
    user: str
    reason: str
    name: str
    interruptible: bool = False

    @property
    def kind(self) -> str:
        """What its power is learned by: who runs what, without the numbers that tell runs of it apart."""
        return f"{self.user}/{self.name.rstrip('0123456789-_.')}"


async def read_jobs(slurm: Slurm, interruptible: Sequence[Stoppable] = ()) -> list[Job]:
    """All jobs that run or wait; interruptible: how the site names those that may be stopped.

    Raises:
        SilentError: no answer.
        RefusedError: Slurm refused.
    """
    begin, states = row_begin(), "running,pending,suspended,completing"
    text = await slurm.run("squeue", "-a", "-h", "-t", states, "-o", begin + _FIELDS)
    rows = [row.split("|", 11) for row in rows_of(text, begin)]
    nodes = await expand(slurm, {names for row in rows for names in row[6:8] if names and names not in _NOWHERE})
    stop = await stoppable_jobs(slurm, interruptible)
    return [_job(row, nodes, stop) for row in rows]


async def expand(slurm: Slurm, lists: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Slurm's node lists (`n[1-3,7]`) as names, by its own command: one process for all.

    Raises:
        SilentError: no answer.
        RefusedError: one is no node list.
    """
    wanted = sorted(lists)
    if not wanted:
        return {}
    text = await slurm.run("scontrol", text="".join(f"show hostnames {names}\n" for names in wanted))
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("scontrol: "):
            current = found.setdefault(line.removeprefix("scontrol: show hostnames "), [])
        else:
            current.append(line)
    return {names: tuple(found.get(names, ())) for names in wanted}


def _job(row: list[str], nodes: dict[str, tuple[str, ...]], stop: frozenset[str]) -> Job:
    job, state, count, start, end, limit, names, planned, user, number, reason, name = row
    return Job(
        id=job,
        state=state,
        count=int(count),
        start_s=_time(start),
        end_s=_time(end),
        limit_s=_span(limit),
        nodes=nodes.get(names, ()),
        planned=nodes.get(planned, ()),
        user=user,
        reason=reason,
        name=name,
        interruptible=number in stop,
    )


def _time(text: str) -> float:
    return float(text) if text.isdigit() else math.nan


def _span(text: str) -> float:
    """`1-02:03:04`, `02:03:04`, `03:04` or a word [s]."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts):
        return math.inf
    seconds = sum(int(part) * 60**power for power, part in enumerate(reversed(parts)))
    return float(seconds + 86400 * int(days or 0))

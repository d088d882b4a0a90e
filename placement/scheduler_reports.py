"""What a process beside a scheduler reports of its last cycle, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from plant.job_knowledge import JobKnowledge
from plant.records import Condition, Message, Params, Severity

MOST_SCHEDULERS = 20
SILENT_AFTER = 3.0
"""Periods without a report after which a process counts as silent."""
LEAST_SILENCE_S = 10.0
GREATEST_SKEW_S = 30.0
"""Clocks further apart than this let hints and budgets seem to end too early or too late [s]."""
NAMES_SHOWN = 20
NAMED = 3
"""Nodes of each side that a condition names."""
TEXTS = {
    "scheduler_silent": (
        "{name} has reported nothing for {age_s:.0f} s; what it last wrote stands",
        "start it again (coldplate {tool}), or take back what it wrote (docs/schedulers.md) and DELETE its report",
    ),
    "scheduler_failing": (
        "{name}: {error}",
        "see to what the sentence names; it tries again every {period_s:.0f} s",
    ),
    "scheduler_unknown_nodes": (
        "{name} lacks {only_here} nodes of the site file ({here}), which lacks {only_there} of its own ({there})",
        "correct jobs.nodes (or jobs.names.{name}: what {name} calls them) or add the nodes there; they are left alone",
    ),
    "scheduler_clock_skew": (
        "the clock of {name} is {skew_s:.0f} s from coldplate's",
        "let both hosts follow the same time servers; hints count by coldplate's clock meanwhile",
    ),
}
_TOOLS = {"slurm": "slurm sync", "kubernetes": "k8s sync"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One cycle as its process tells it.

    period_s: length of a cycle [s]; last_success, sent_at: [s since 1970] by the process's own clock; nodes: how many
    both sides know; only_here: named in the site file, unknown to the scheduler; only_there: the other way round;
    foreign: nodes that are drained for others' reasons, and that it would drain too: left to them;
    repaired: nodes set right again since its start, because something had changed them; last_error: "" when all went
    well; scheduler_skew_s: the scheduler's clock less the process's [s], None where it can't be told.
    """

    kind: str
    dry_run: bool
    period_s: float
    last_success: float | None
    sent_at: float
    nodes: int
    only_here: tuple[str, ...] = ()
    only_there: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    repaired: int = 0
    last_error: str = ""
    scheduler_skew_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacked:
    """A node of the site file that a scheduler lacks, by the name that it should have there; where: `file:line`."""

    name: str
    node: str
    where: str

    def __str__(self) -> str:
        """For people of any language."""
        other = f" = {self.node}" if self.node != self.name else ""
        return f"{self.name}{other}" + (f" ({self.where})" if self.where else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerState:
    """A report as kept: age_s since it came [s, real]; state: ok, dry-run, failing or silent.

    clock_skew_s: the scheduler's clock (the process's where that is not known) less coldplate's host's [s].
    lacked: the first of the nodes that the report says the scheduler lacks, with where the site file names them.
    """

    name: str
    state: str
    age_s: float
    clock_skew_s: float
    report: Report
    lacked: tuple[Lacked, ...] = ()


def state_of(
    name: str, report: Report, age_s: float, reporter_skew_s: float, jobs: JobKnowledge | None = None
) -> SchedulerState:
    """How it stands; age_s: since the report came; reporter_skew_s: sent_at less our host's clock at arrival [s].

    jobs: what the site file says of nodes.
    """
    silent = age_s > max(SILENT_AFTER * report.period_s, LEAST_SILENCE_S)
    rest = "dry-run" if report.dry_run else "ok"
    return SchedulerState(
        name=name,
        state="silent" if silent else "failing" if report.last_error else rest,
        age_s=round(age_s, 3),
        clock_skew_s=round(reporter_skew_s + (report.scheduler_skew_s or 0.0), 3),
        report=report,
        lacked=_lacked(name, report, jobs or JobKnowledge()),
    )


def _lacked(name: str, report: Report, jobs: JobKnowledge) -> tuple[Lacked, ...]:
    shown = report.only_here[:NAMES_SHOWN]
    return tuple(Lacked(name=n, node=jobs.node(n), where=jobs.said_at(name, n)) for n in shown)


def conditions(states: Iterable[SchedulerState], now_s: float) -> list[Condition]:
    """What is wrong with schedulers' processes, at now_s [s since 1970, site clock]."""
    return [
        Condition(
            code=code,
            subject=state.name,
            severity=Severity.WARNING,
            since_s=now_s,
            cause=_message(code, state, TEXTS[code][0]),
            remedy=_message(f"{code}_remedy", state, TEXTS[code][1]),
            source="schedulers",
        )
        for state in states
        for code in _codes(state)
    ]


def _codes(state: SchedulerState) -> Iterator[str]:
    if state.state == "silent":
        yield "scheduler_silent"
        return
    if state.report.last_error:
        yield "scheduler_failing"
    if state.report.only_here or state.report.only_there:
        yield "scheduler_unknown_nodes"
    if abs(state.clock_skew_s) > GREATEST_SKEW_S:
        yield "scheduler_clock_skew"


def _message(code: str, state: SchedulerState, template: str) -> Message:
    report = state.report
    params: Params = {
        "name": state.name,
        "tool": _TOOLS.get(report.kind, report.kind),
        "age_s": state.age_s,
        "error": report.last_error,
        "period_s": report.period_s,
        "only_here": len(report.only_here),
        "only_there": len(report.only_there),
        "here": _first(state.lacked, len(report.only_here)),
        "there": _first(report.only_there, len(report.only_there)),
        "skew_s": abs(state.clock_skew_s),
    }
    return Message(code=code, text=template.format(**params), params=params)


def _first(names: Sequence[object], count: int) -> str:
    """The first few of count names, for people of any language."""
    return ", ".join([*map(str, names[:NAMED]), *(["…"] if count > NAMED else [])]) or "-"

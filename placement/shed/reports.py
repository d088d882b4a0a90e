"""What a process that takes load off tells of itself, what the API tells it, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from placement.scheduler_reports import LEAST_SILENCE_S, SILENT_AFTER
from placement.shed.plan import ShedPlan
from plant.records import Condition, Message, Params, Severity, ShedRequest
from plant.sheds import Deed, JobHeld

MOST_PROCESSES = 20
DEEDS_TOLD = 50
_SILENT = (
    "{name} ({owner}) has told nothing for {age_s:.0f} s; {jobs} jobs have less than their power, and nobody gives it "
    "back: {limits} power limits end by no clock"
)
_START_AGAIN = (
    "start it again (coldplate shed --act): it goes on from its book, and gives limits back when the fault is over; "
    "where its host is gone, start it on another one with --take-over"
)
TEXTS = {
    "shed_silent": (_SILENT, _START_AGAIN),
    "shed_failing": (
        "{name}: {error}",
        "see to what the sentence names; it tries again every {period_s:.0f} s, and the plan reckons without it",
    ),
    "shed_dry": (
        "{name} only says what it would do, while load has to come off",
        "start it with --act, or take the load off by hand",
    ),
    "shed_unknown_nodes": (
        "{name} has power limits for {unknown} nodes that no scheduler has: {first}",
        "correct the names under limits in its shed file; jobs on nodes without limits can't be capped",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedReport:
    """One pass. acts: else it only says; sent_at: [s since 1970] by the process's own clock; period_s: of a pass [s].

    held: jobs with less than their power; stopped: those that were requeued; relief_w: by loop, what that gives [W];
    uncapped: jobs whose caps could not be set; lease_left_s: how long it holds all this without hearing the API [s];
    deeds: the newest; last_error: "" when all went well; owner: of its book; limits: power limits that it has set;
    unknown_nodes: nodes that its file names limits for and no scheduler has, with `file:line`.
    """

    acts: bool
    period_s: float
    sent_at: float
    held: tuple[JobHeld, ...] = ()
    stopped: tuple[str, ...] = ()
    relief_w: Mapping[str, float] = field(default_factory=dict)
    uncapped: tuple[str, ...] = ()
    lease_left_s: float = 0.0
    deeds: tuple[Deed, ...] = ()
    last_error: str = ""
    owner: str = ""
    limits: int = 0
    unknown_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedProcess:
    """A report as kept: age_s since it came [s, real]; state: ok, dry-run, failing or silent."""

    name: str
    state: str
    age_s: float
    report: ShedReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedState:
    """What has to come off and how, at now_s [s since 1970, site clock], and which processes act on it.

    edge_connected: False: what is said may be old; each request ends at its `expires_s`.
    """

    now_s: float
    edge_connected: bool
    shed: tuple[ShedRequest, ...]
    plans: tuple[ShedPlan, ...] = ()
    processes: tuple[ShedProcess, ...] = ()


def process_of(name: str, report: ShedReport, age_s: float) -> ShedProcess:
    """How it stands, age_s after its report came [s]."""
    silent = age_s > max(SILENT_AFTER * report.period_s, LEAST_SILENCE_S)
    rest = "ok" if report.acts else "dry-run"
    state = "silent" if silent else "failing" if report.last_error else rest
    return ShedProcess(name=name, state=state, age_s=round(age_s, 3), report=report)


def held_w(processes: Iterable[ShedProcess]) -> dict[str, float]:
    """By loop, what is held back already [W], as long as its lease lasts."""
    found: dict[str, float] = {}
    for process in processes:
        if process.report.acts and process.age_s < process.report.lease_left_s:
            for loop, watts in process.report.relief_w.items():
                found[loop] = found.get(loop, 0.0) + watts
    return found


def uncapped(processes: Iterable[ShedProcess]) -> frozenset[str]:
    """Jobs whose power limits can't be set: a plan must not count on them."""
    return frozenset(job for p in processes if p.state != "silent" for job in p.report.uncapped)


def conditions(processes: Iterable[ShedProcess], asked: bool, now_s: float) -> list[Condition]:
    """What is wrong with them; asked: whether load has to come off now; now_s [s since 1970, site clock]."""
    return [
        Condition(
            code=code,
            subject=process.name,
            severity=Severity.CRITICAL if asked else Severity.WARNING,
            since_s=now_s,
            cause=_message(code, process, TEXTS[code][0]),
            remedy=_message(f"{code}_remedy", process, TEXTS[code][1]),
            source="shed",
        )
        for process in processes
        for code in _codes(process, asked)
    ]


def _codes(process: ShedProcess, asked: bool) -> Iterator[str]:
    if process.state == "silent":
        yield "shed_silent"
        return
    if process.report.last_error:
        yield "shed_failing"
    if asked and not process.report.acts:
        yield "shed_dry"
    if process.report.unknown_nodes:
        yield "shed_unknown_nodes"


def _message(code: str, process: ShedProcess, template: str) -> Message:
    params: Params = {
        "name": process.name,
        "age_s": process.age_s,
        "jobs": len(process.report.held),
        "owner": process.report.owner or "?",
        "limits": process.report.limits,
        "error": process.report.last_error,
        "period_s": process.report.period_s,
        "unknown": len(process.report.unknown_nodes),
        "first": next(iter(process.report.unknown_nodes), ""),
    }
    return Message(code=code, text=template.format(**params), params=params)

"""A switchback as it is driven: a registered plan's blocks of the site's own rule and of coldplate, in their turn.

The plan's digest is in the audit before its first block. In a rule's block the loops are asked for what their rule
wants, through the same guard and leases. Whatever is not as planned (a fault's answer, a loop let go, a person's hold,
another mode) goes its own way and is counted; a block of which too much was not as planned is told to be invalid, with
why.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from alarms.board import ConditionBoard
from controller.reasons import condition, message
from controller.rule import RuleState, ruled
from controller.state import Move, StepResult
from plant.clock import Clock
from plant.errors import ColdplateError, ConfigError, RefusedError, StaleError
from plant.intents import Mode, ModeState
from plant.live import Snapshot
from plant.points import PointId
from plant.records import Plan, Severity
from plant.running import SwitchbackState
from plant.topology import Site
from reports.switchback import LEAST_COVERAGE, RULE, Block, SwitchbackPlan, plan_from
from reports.switchback_blocks import BEGAN, ENDED, REGISTERED
from store.audit import AuditLog
from store.codec import from_plain
from store.state import StateDir

log = logging.getLogger("coldplate.switchback")
KEPT = "switchback.json"

FAULT_PLANS = frozenset({"plan_reserve", "plan_hold"})
GAP_S = 180.0
"""Nobody drove where two looks lie further apart than a lease's life [s]."""
Detail = dict[str, str | float | int | bool | None]
NOT_RUN = "coldplate did not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What has come of a plan so far. block: number from 1 under way, 0 if none; seconds of it by what was driven.

    at_s: the last look [s since 1970]; as_planned_s: after the washout [s]; why: seconds that were not, by reason.
    """

    digest: str
    block: int = 0
    at_s: float = 0.0
    as_planned_s: float = 0.0
    why: dict[str, float] = field(default_factory=dict)
    valid: int = 0
    invalid: int = 0


def load_plan(path: Path) -> SwitchbackPlan:
    """A sealed plan.

    Raises:
        ConfigError: it can't be read, is no plan, or was changed.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't be read: {error}", where=str(path), remedy="give the plan as written") from error
    plan = plan_from(data, str(path))
    if plan.digest != plan.sealed():
        remedy = "use the file as `coldplate switchback plan` wrote it"
        raise ConfigError("the plan was changed after it was sealed", where=str(path), remedy=remedy)
    return plan


class Switchback:
    """One plan, driven by the control room.

    Raises:
        RefusedError: it was not registered before its first block, or it is about another site.
    """

    def __init__(
        self, plan: SwitchbackPlan, site: Site, state: StateDir, audit: AuditLog, clock: Clock, board: ConditionBoard
    ) -> None:
        self._plan, self._site, self._state, self._audit, self._clock = plan, site, state, audit, clock
        self._board = board
        self._rules: dict[str, RuleState] = {}
        self._moves: Mapping[PointId, Move] = {}
        self._paused = ""
        if plan.site != site.id:
            raise RefusedError(f"the switchback plan is about site {plan.site!r}, this is {site.id!r}")
        self._progress = self._remembered()

    def _remembered(self) -> Progress:
        kept = self._state.read_json(KEPT)
        if isinstance(kept, dict) and kept.get("digest") == self._plan.digest:
            return from_plain(Progress, kept)
        now_s, first_s = self._clock.now(), self._plan.blocks[0].start_s
        if now_s >= first_s:
            raise RefusedError(
                "the switchback plan's first block has begun, and it was not registered before; make a new plan"
            )
        made = {"seed": self._plan.seed, "blocks": len(self._plan.blocks), "first_s": first_s}
        self._audit.append(now_s, "coldplate", REGISTERED, self._site.id, {"digest": self._plan.digest, **made})
        progress = Progress(digest=self._plan.digest)
        self._state.write_json(KEPT, asdict(progress))
        return progress

    def drive(self, result: StepResult | None, snapshot: Snapshot, modes: Mapping[str, ModeState]) -> StepResult | None:
        """One cycle: the same result, or with the rule's plans in place of ours; and the block's account.

        modes: of the loops that take part.
        """
        now_s = self._clock.now()
        number, block = self._plan.turn(now_s)
        if number != self._progress.block:
            self._turn(number, block, now_s)
        self._paused = ""
        if block is not None:
            self._paused = _otherwise(result, modes)
            if block.arm == RULE and not self._paused and result is not None:
                result = self._ruled(result, snapshot, number)
            self._count(block, now_s)
        self._moves = result.state.moves if result is not None else self._moves
        self._keep()
        return result

    def state(self) -> SwitchbackState:
        """For the page."""
        now_s, blocks = self._clock.now(), self._plan.blocks
        number, block = self._plan.turn(now_s)
        return SwitchbackState(
            digest=self._plan.digest,
            arm=block.arm if block else "",
            block=number,
            blocks=len(blocks),
            until_s=block.end_s if block else blocks[0].start_s if now_s < blocks[0].start_s else blocks[-1].end_s,
            washing_out=block is not None and now_s < block.start_s + self._plan.washout_s,
            paused=self._paused if block else "",
            valid=self._progress.valid,
            invalid=self._progress.invalid,
        )

    def _turn(self, number: int, block: Block | None, now_s: float) -> None:
        """One block is over, the next one begins; one that nobody was there for is not told of and does not count."""
        before, ended = self._progress, self._progress.block
        if ended:
            last = self._plan.blocks[ended - 1]
            self._count(last, last.end_s)
            before = self._progress
            fault = _fault(before, last.end_s - last.start_s - self._plan.washout_s)
            detail: Detail = {"digest": before.digest, "block": ended, "arm": last.arm, "valid": not fault}
            self._tell(ENDED, now_s, detail | {"why": fault, "driven_s": before.as_planned_s})
            before = replace(before, valid=before.valid + (not fault), invalid=before.invalid + bool(fault))
        self._progress = Progress(
            digest=before.digest, block=number, at_s=now_s, valid=before.valid, invalid=before.invalid
        )
        if block is not None:
            self._tell(BEGAN, now_s, {"digest": before.digest, "block": number, "arm": block.arm})

    def _tell(self, action: str, now_s: float, detail: Detail) -> None:
        with contextlib.suppress(OSError, ColdplateError):  # control goes on; a block without its entry does not count
            self._audit.append(now_s, "coldplate", action, self._site.id, detail)

    def _ruled(self, result: StepResult, snapshot: Snapshot, number: int) -> StepResult:
        """The rule's plans, and its moves in the memory: whoever has the next turn knows when a point last moved."""
        plans = [self._rule_plan(plan, snapshot, number) for plan in result.plans]
        moves = dict(result.state.moves)
        for state in self._rules.values():
            moves |= state.moves
        return replace(result, plans=tuple(p for p in plans if p is not None), state=replace(result.state, moves=moves))

    def _rule_plan(self, plan: Plan, snapshot: Snapshot, number: int) -> Plan | None:
        group = self._site.groups[plan.loop]
        own = {p: self._moves[p] for p in group.commands.values() if p in self._moves}
        before = replace(self._rules.get(plan.loop, RuleState()), moves=own)
        try:
            found = ruled(self._site, snapshot, group, before, self._clock.now())
        except StaleError as error:
            self._paused = f"{plan.loop}: {error}"
            return None
        self._rules[plan.loop] = found.state
        reason = message("plan_rule", block=float(number), requests=float(found.requests))
        return replace(plan, setpoints=found.setpoints, probe=(), reason=reason, staging=None)

    def _count(self, block: Block, now_s: float) -> None:
        p = self._progress
        since_s = max(0.0, now_s - max(p.at_s, block.start_s + self._plan.washout_s))
        why = NOT_RUN if now_s - p.at_s > GAP_S else self._paused
        if why:
            self._progress = replace(p, at_s=now_s, why=p.why | {why: p.why.get(why, 0.0) + since_s})
        else:
            self._progress = replace(p, at_s=now_s, as_planned_s=p.as_planned_s + since_s)

    def _keep(self) -> None:
        found = condition("switchback_paused", self._site.id, self._clock.now(), Severity.WARNING, why=self._paused)
        self._board.publish("switchback", [found] if self._paused and self._progress.block else [])
        try:
            self._state.write_json(KEPT, asdict(self._progress))
        except (OSError, ColdplateError) as error:
            log.warning("progress of the switchback not kept: %s", error)


def _otherwise(result: StepResult | None, modes: Mapping[str, ModeState]) -> str:
    """Why this cycle is not as planned; empty if it is."""
    if result is None:
        return "no plan in time"
    plans = {plan.loop: plan for plan in result.plans}
    for loop, mode in modes.items():
        if mode.let_go or loop in result.let_go:
            return f"{loop} let go: {mode.let_go or result.let_go[loop]}"
        if mode.mode is not Mode.AUTO:
            return f"{loop} in mode {mode.mode} by {mode.actor}"
        if loop not in plans:
            return f"{loop} without a plan"
        if plans[loop].reason.code in FAULT_PLANS:
            return f"{loop}: {plans[loop].reason.text}"
    return "" if modes else "no loop is commissioned"


def _fault(progress: Progress, length_s: float) -> str:
    """Why a block that is over, of length_s [s] after its washout, does not count; empty if it does."""
    if progress.as_planned_s >= LEAST_COVERAGE * length_s:
        return ""
    why = max(progress.why, key=lambda reason: progress.why[reason], default=NOT_RUN)
    return f"{length_s - progress.as_planned_s:.0f} s not as planned: {why}"

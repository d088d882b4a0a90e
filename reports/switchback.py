"""Switchback: does coldplate save energy here? Randomised blocks, planned and sealed before the start. Pure.

Blocks of equal length run either the rule (the site's own control) or coldplate. They come in pairs of neighbours, one
of each, in random order, so that seasons and slow changes of load fall on both alike. The plan is written down with its
digest before the first block; the analysis (`reports.switchback_estimate`) takes only that plan.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, dataclass, replace
from typing import Any

from plant.errors import ConfigError

RULE, OURS = "rule", "coldplate"
LEAST_PAIRS = 5
MOST_DAYS = 732
LEAST_COVERAGE = 0.9
DAY_S, HOUR_S = 86400.0, 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One stretch [s since 1970] under one control."""

    start_s: float
    end_s: float
    arm: str
    pair: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchbackPlan:
    """What was decided before the start. digest: of everything else in it."""

    site: str
    made_s: float
    seed: int
    block_s: float
    washout_s: float
    blocks: tuple[Block, ...]
    digest: str = ""

    def turn(self, time_s: float) -> tuple[int, Block | None]:
        """The block of a time [s since 1970] with its number from 1; (0, None) outside of the plan."""
        found = ((n, b) for n, b in enumerate(self.blocks, 1) if b.start_s <= time_s < b.end_s)
        return next(found, (0, None))

    def sealed(self) -> str:
        """SHA-256 of the plan without its digest."""
        body = {k: v for k, v in asdict(self).items() if k != "digest"}
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def make_plan(
    site: str, *, made_s: float, start_s: float, days: float, block_s: float, seed: int, washout_s: float = 1800.0
) -> SwitchbackPlan:
    """A plan from a start in the future; the same seed gives the same plan.

    Raises:
        ConfigError: it begins in the past, is too short to say anything, or endless.
    """
    if not start_s > made_s:
        raise ConfigError("the plan begins in the past", where="--start", remedy="give a time that is still to come")
    if not 2 * HOUR_S <= block_s <= 7 * DAY_S or not 0 <= washout_s <= block_s / 2:
        remedy = "use blocks of 2 to 168 hours, and a washout of at most half a block"
        raise ConfigError(f"blocks of {block_s / HOUR_S:g} h", where="--block-hours", remedy=remedy)
    if not days <= MOST_DAYS:
        raise ConfigError(f"{days:g} days", where="--days", remedy=f"plan {MOST_DAYS} days at most, then plan anew")
    pairs = int(days * DAY_S / (2 * block_s))
    if pairs < LEAST_PAIRS:
        remedy = f"use at least {LEAST_PAIRS * 2 * block_s / DAY_S:g} days, or shorter blocks"
        raise ConfigError(f"{days:g} days give {pairs} pairs of blocks", where="--days", remedy=remedy)
    chance = random.Random(seed)
    blocks = []
    for pair in range(pairs):
        arms = chance.sample((RULE, OURS), 2)
        for place, arm in enumerate(arms):
            begin_s = start_s + (2 * pair + place) * block_s
            blocks.append(Block(start_s=begin_s, end_s=begin_s + block_s, arm=arm, pair=pair))
    plan = SwitchbackPlan(
        site=site, made_s=made_s, seed=seed, block_s=block_s, washout_s=washout_s, blocks=tuple(blocks)
    )
    return replace(plan, digest=plan.sealed())


def plan_from(data: Any, where: str) -> SwitchbackPlan:
    """A plan from its JSON.

    Raises:
        ConfigError: it is no plan.
    """
    try:
        plan = SwitchbackPlan(**{**data, "blocks": tuple(Block(**block) for block in data["blocks"])})
    except (KeyError, TypeError) as error:
        raise _no_plan(where) from error
    if not plan.blocks:
        raise _no_plan(where)
    return plan


def _no_plan(where: str) -> ConfigError:
    remedy = "give the file that `coldplate switchback plan` wrote"
    return ConfigError("not a switchback plan", where=where, remedy=remedy)

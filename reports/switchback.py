"""Switchback: does coldplate save energy here? Randomised blocks, planned and sealed before the start. Pure.

Blocks of equal length run either the rule (the site's own control) or coldplate. They come in pairs of neighbours, one
of each, in random order, so that seasons and slow changes of load fall on both alike. The plan is written down with its
digest before the first block; the analysis takes only that plan, and says what it leaves out.

Estimate: regression of mean cooling power on treatment, wet bulb, its square and heat, each block one observation, its
first part (`washout_s`) left out; the interval comes from a bootstrap over pairs. [source] IPMVP Core Concepts 2022
(option B, all-parameter measurement); Bojinov, Simchi-Levi, Zhao 2023 for switchback designs.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from plant.errors import ConfigError
from reports.pue import ReportError

Floats = npt.NDArray[np.float64]
RULE, OURS = "rule", "coldplate"
LEAST_PAIRS = 5
LEAST_COVERAGE = 0.9
RESAMPLES = 4000
DAY_S, HOUR_S = 86400.0, 3600.0
LEAST_SHARE = 0.8
"""Share of a plan's pairs that must be usable: what is left out by choice could make any result."""


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

    def sealed(self) -> str:
        """SHA-256 of the plan without its digest."""
        body = {k: v for k, v in asdict(self).items() if k != "digest"}
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trends:
    """What was measured, shape (n,): time_s [s since 1970], cooling_w, heat_w [W], wet_bulb_c [°C]; NaN: not known."""

    time_s: Floats
    cooling_w: Floats
    heat_w: Floats
    wet_bulb_c: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchbackResult:
    """Savings of coldplate against the rule, as a share of the rule's cooling energy.

    low, high: 95 % interval; conclusive: whether it leaves out zero; plain: the same without covariates.
    """

    saving: float
    low: float
    high: float
    plain: float
    conclusive: bool
    pairs: int
    pairs_planned: int
    coverage: float
    rule_kw: float
    ours_kw: float
    left_out: tuple[str, ...]
    digest: str


def make_plan(
    site: str, *, made_s: float, start_s: float, days: float, block_s: float, seed: int, washout_s: float = 1800.0
) -> SwitchbackPlan:
    """A plan from a start in the future; the same seed gives the same plan.

    Raises:
        ConfigError: it begins in the past, or is too short to say anything.
    """
    if not start_s > made_s:
        raise ConfigError("the plan begins in the past", where="--start", remedy="give a time that is still to come")
    if not 2 * HOUR_S <= block_s <= 7 * DAY_S or not 0 <= washout_s <= block_s / 2:
        remedy = "use blocks of 2 to 168 hours, and a washout of at most half a block"
        raise ConfigError(f"blocks of {block_s / HOUR_S:g} h", where="--block-hours", remedy=remedy)
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


def arm_at(plan: SwitchbackPlan, time_s: float) -> str | None:
    """Which control has its turn at a time [s since 1970]; None outside of the plan."""
    return next((b.arm for b in plan.blocks if b.start_s <= time_s < b.end_s), None)


def analyse(plan: SwitchbackPlan, trends: Trends, *, ours_active: Floats | None = None) -> SwitchbackResult:
    """Savings over a finished plan.

    ours_active: for each row of the trends, 1 where coldplate drove and 0 where not; where given, blocks that were not
    run as planned are left out and named.

    Raises:
        ReportError: the plan was changed, is not over, or too little of it was measured.
    """
    _check(plan, trends)
    rows = [_Row.of(plan, block, trends, ours_active) for block in plan.blocks]
    left_out = tuple(f"block {i + 1} ({r.block.arm}): {r.fault}" for i, r in enumerate(rows) if r.fault)
    bad = {r.block.pair for r in rows if r.fault}
    used = [r for r in rows if r.block.pair not in bad]
    planned, pairs = len(plan.blocks) // 2, len(used) // 2
    if pairs < max(LEAST_PAIRS, math.ceil(LEAST_SHARE * planned)):
        first = f"; first: {left_out[0]}" if left_out else ""
        raise ReportError(
            f"only {pairs} of {planned} pairs can be used, {LEAST_SHARE:.0%} are needed{first}; repeat with better data"
        )
    table = np.array([[r.power_w, float(r.block.arm == OURS), r.wet_bulb_c, r.heat_w, r.block.pair] for r in used])
    saving = _saving(table)
    low, high = _interval(table, plan.seed)
    ours = table[:, 1] == 1.0
    rule_w, ours_w = float(table[~ours, 0].mean()), float(table[ours, 0].mean())
    return SwitchbackResult(
        saving=saving, low=low, high=high, plain=1 - ours_w / rule_w, conclusive=low > 0 or high < 0, pairs=pairs,
        pairs_planned=planned, coverage=float(np.mean([r.coverage for r in rows])), rule_kw=rule_w / 1e3,
        ours_kw=ours_w / 1e3, left_out=left_out, digest=plan.digest,
    )  # fmt: skip


def _check(plan: SwitchbackPlan, trends: Trends) -> None:
    if plan.digest != plan.sealed():
        raise ReportError("the plan was changed after it was sealed: its digest does not fit; use the plan as written")
    if not plan.made_s < plan.blocks[0].start_s:
        raise ReportError("the plan was written after its own start; only what was planned before counts")
    if not len(trends.time_s) or trends.time_s[-1] < plan.blocks[-1].end_s - 0.05 * plan.block_s:
        raise ReportError("the plan is not over: an analysis before its end could be stopped at a lucky moment")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One block's means. fault: why it can't be used."""

    block: Block
    power_w: float
    heat_w: float
    wet_bulb_c: float
    coverage: float
    fault: str

    @classmethod
    def of(cls, plan: SwitchbackPlan, block: Block, trends: Trends, active: Floats | None) -> _Row:
        inside = (trends.time_s >= block.start_s + plan.washout_s) & (trends.time_s < block.end_s)
        known = inside & np.isfinite(trends.cooling_w) & np.isfinite(trends.heat_w) & np.isfinite(trends.wet_bulb_c)
        coverage = _coverage(trends.time_s[known], block.start_s + plan.washout_s, block.end_s)
        fault = "" if coverage >= LEAST_COVERAGE else f"{coverage:.0%} of it was measured"
        if not fault and active is not None:
            ran = float(active[known].mean())
            wrong = ran < LEAST_COVERAGE if block.arm == OURS else ran > 1 - LEAST_COVERAGE
            fault = f"coldplate drove {ran:.0%} of it" if wrong else ""
        if not fault and not float(trends.heat_w[known].mean()) > 0:
            fault = "no heat"
        columns = (trends.cooling_w, trends.heat_w, trends.wet_bulb_c)
        means = [float(c[known].mean()) if known.any() else math.nan for c in columns]
        return cls(block=block, power_w=means[0], heat_w=means[1], wet_bulb_c=means[2], coverage=coverage, fault=fault)


def _coverage(time_s: Floats, start_s: float, end_s: float) -> float:
    """Share of a stretch within ten minutes of a sample, by five-minute cells."""
    cells = max(1, round((end_s - start_s) / 300.0))
    filled = np.unique(((time_s - start_s) / (end_s - start_s) * cells).astype(np.int64)).size
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else math.inf
    if not step_s <= HOUR_S:
        return 0.0
    return min(1.0, filled * max(1.0, step_s / 300.0) / cells)


def _design(table: Floats) -> Floats:
    """Columns of the regression: one, treatment, and the covariates that vary, centred and scaled."""
    columns = [np.ones(len(table)), table[:, 1]]
    for column in (table[:, 2], table[:, 2] ** 2, table[:, 3]):
        spread = float(column.std())
        if spread > 1e-9 * max(1.0, abs(float(column.mean()))):
            columns.append((column - column.mean()) / spread)
    return np.stack(columns, axis=1)


def _savings(table: Floats, weights: Floats) -> Floats:
    """Share saved, for each row of weights of the blocks: the effect over the rule's power at the same conditions."""
    design, power = _design(table), table[:, 0]
    squares = np.einsum("ni,nj->nij", design, design)
    normal = np.tensordot(weights, squares, axes=1)
    right = weights @ (design * power[:, np.newaxis])
    ridge = 1e-9 * len(table) * np.eye(design.shape[1])
    found = np.linalg.solve(normal + ridge, right[..., np.newaxis])[..., 0]
    share: Floats = -found[:, 1] / found[:, 0]
    return share


def _saving(table: Floats) -> float:
    return float(_savings(table, np.ones((1, len(table))))[0])


def _interval(table: Floats, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval over pairs, so that both blocks of a pair stay together.

    Widened by sqrt(n / (n - k)) for the k coefficients that the regression fits to n blocks.
    """
    chance = np.random.default_rng(seed)
    pairs, place = np.unique(table[:, 4], return_inverse=True)
    drawn = chance.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=RESAMPLES)
    found = _savings(table, drawn[:, place].astype(np.float64))
    low, high = np.quantile(found, (0.025, 0.975))
    centre, wider = _saving(table), math.sqrt(len(table) / max(1, len(table) - _design(table).shape[1]))
    return float(centre - wider * (centre - low)), float(centre + wider * (high - centre))


def plan_from(data: object, where: str) -> SwitchbackPlan:
    """A plan from its JSON.

    Raises:
        ConfigError: it is no plan.
    """
    try:
        assert isinstance(data, dict)
        blocks = tuple(Block(**block) for block in data["blocks"])
        plan = SwitchbackPlan(**{**data, "blocks": blocks})
        assert blocks
    except (AssertionError, KeyError, TypeError) as error:
        remedy = "give the file that `coldplate switchback plan` wrote"
        raise ConfigError("not a switchback plan", where=where, remedy=remedy) from error
    return plan


def sentence(result: SwitchbackResult) -> str:
    """The result in words."""
    span = f"{result.low:.1%} to {result.high:.1%}"
    verdict = f"saves {result.saving:.1%} of cooling energy (95 % interval {span})"
    if not result.conclusive:
        verdict = f"shows no certain saving: {result.saving:.1%}, 95 % interval {span}"
    return f"coldplate {verdict}, from {result.pairs} of {result.pairs_planned} pairs of blocks"

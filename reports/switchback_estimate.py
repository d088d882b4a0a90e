"""What a finished switchback says: savings with their uncertainty, adjusted for weather and load. Pure.

Estimate: regression of mean cooling power on treatment, outdoor temperature, its square and heat, each block one
observation, its first part (`washout_s`) left out; the interval comes from a bootstrap over pairs, the p-value from
drawing the order within pairs anew, as the plan did. What is left out is named.
[source] IPMVP Core Concepts 2022 (option B, all-parameter measurement); Bojinov, Simchi-Levi, Zhao 2023 for switchback
designs; Frisch-Waugh-Lovell for the adjusted effect of each drawn order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.pue import ReportError
from reports.switchback import HOUR_S, LEAST_COVERAGE, LEAST_PAIRS, OURS, Block, SwitchbackPlan

Floats = npt.NDArray[np.float64]
RESAMPLES = 4000
NAMES = ("outdoor wet bulb", "heat")
LEAST_SHARE = 0.8
"""Share of a plan's pairs that must be usable: what is left out by choice could make any result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trends:
    """What was measured, shape (n,): time_s [s since 1970], cooling_w, heat_w [W], wet_bulb_c [°C]; NaN: not known."""

    time_s: Floats
    cooling_w: Floats
    heat_w: Floats
    wet_bulb_c: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFigures:
    """One block after its washout: energies [kWh], outdoor temperature [°C]; fault: why it does not count."""

    number: int
    arm: str
    start_s: float
    hours: float
    cooling_kwh: float
    heat_kwh: float
    outdoor_c: float
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchbackResult:
    """Savings of coldplate against the rule, as a share of the rule's cooling energy.

    low, high: 95 % interval; conclusive: whether it leaves out zero; plain: the same without covariates; p_value: how
    often an order drawn anew shows as much, where coldplate changes nothing; adjusted: what for; blocks: each one's
    figures, also of those left out.
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
    p_value: float
    adjusted: tuple[str, ...]
    blocks: tuple[BlockFigures, ...]


def analyse(plan: SwitchbackPlan, trends: Trends, *, ours_active: Floats | None = None) -> SwitchbackResult:
    """Savings over a finished plan.

    ours_active: for each row of the trends, 1 where coldplate drove and 0 where not; where given, blocks that were not
    run as planned are left out and named.

    Raises:
        ReportError: the plan was changed, is not over, or too little of it was measured.
    """
    check(plan, float(trends.time_s[-1]) if len(trends.time_s) else -math.inf)
    return conclude(plan, [Row.of(plan, block, trends, ours_active) for block in plan.blocks])


def conclude(plan: SwitchbackPlan, rows: Sequence[Row], names: Sequence[str] = NAMES) -> SwitchbackResult:
    """Savings from the blocks' means, in the plan's order; names: of outdoor temperature and of heat.

    Raises:
        ReportError: too little of it can be used.
    """
    left_out = tuple(f"block {i + 1} ({r.block.arm}): {r.fault}" for i, r in enumerate(rows) if r.fault)
    bad = {r.block.pair for r in rows if r.fault}
    used = [r for r in rows if r.block.pair not in bad]
    planned, pairs = len(plan.blocks) // 2, len(used) // 2
    if pairs < max(LEAST_PAIRS, math.ceil(LEAST_SHARE * planned)):
        first = f"; first: {left_out[0]}" if left_out else ""
        raise ReportError(
            f"only {pairs} of {planned} pairs can be used, {LEAST_SHARE:.0%} are needed{first}; repeat with better data"
        )
    table = np.array([[r.power_w, float(r.block.arm == OURS), r.outdoor_c, r.heat_w, r.block.pair] for r in used])
    saving = _saving(table)
    outdoor, heat = names
    low, high = _interval(table, plan.seed)
    ours = table[:, 1] == 1.0
    rule_w, ours_w = float(table[~ours, 0].mean()), float(table[ours, 0].mean())
    return SwitchbackResult(
        saving=saving, low=low, high=high, plain=1 - ours_w / rule_w, conclusive=low > 0 or high < 0, pairs=pairs,
        pairs_planned=planned, coverage=float(np.mean([r.coverage for r in rows])), rule_kw=rule_w / 1e3,
        ours_kw=ours_w / 1e3, left_out=left_out, digest=plan.digest,
        p_value=_p_value(table, plan.seed), adjusted=tuple(_covariates(table, (outdoor, f"{outdoor} squared", heat))),
        blocks=tuple(_figures(plan, number, row) for number, row in enumerate(rows, 1)),
    )  # fmt: skip


def _figures(plan: SwitchbackPlan, number: int, row: Row) -> BlockFigures:
    hours = (row.block.end_s - row.block.start_s - plan.washout_s) / HOUR_S
    return BlockFigures(
        number=number, arm=row.block.arm, start_s=row.block.start_s, hours=hours, cooling_kwh=row.power_w * hours / 1e3,
        heat_kwh=row.heat_w * hours / 1e3, outdoor_c=row.outdoor_c, fault=row.fault,
    )  # fmt: skip


def check(plan: SwitchbackPlan, newest_s: float) -> None:
    """Nothing but a plan as it was sealed, before its start, and over by the newest measurement [s since 1970].

    Raises:
        ReportError: which of that is not so.
    """
    if plan.digest != plan.sealed():
        raise ReportError("the plan was changed after it was sealed: its digest does not fit; use the plan as written")
    if not plan.made_s < plan.blocks[0].start_s:
        raise ReportError("the plan was written after its own start; only what was planned before counts")
    if newest_s < plan.blocks[-1].end_s - 0.05 * plan.block_s:
        raise ReportError("the plan is not over: an analysis before its end could be stopped at a lucky moment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One block's means; outdoor_c: wet or dry bulb [°C], NaN where not known. fault: why it can't be used."""

    block: Block
    power_w: float
    heat_w: float
    outdoor_c: float
    coverage: float
    fault: str

    @classmethod
    def of(cls, plan: SwitchbackPlan, block: Block, trends: Trends, active: Floats | None) -> Row:
        """The means of trends over a block without its washout; active: as for `analyse`."""
        inside = (trends.time_s >= block.start_s + plan.washout_s) & (trends.time_s < block.end_s)
        known = inside & np.isfinite(trends.cooling_w) & np.isfinite(trends.heat_w) & np.isfinite(trends.wet_bulb_c)
        coverage = _coverage(trends.time_s[known], block.start_s + plan.washout_s, block.end_s)
        fault = "" if coverage >= LEAST_COVERAGE else f"{coverage:.0%} of it was measured"
        if not fault and active is not None:
            fault = _not_as_planned(block.arm, active[known])
        if not fault and not float(trends.heat_w[known].mean()) > 0:
            fault = "no heat"
        columns = (trends.cooling_w, trends.heat_w, trends.wet_bulb_c)
        means = [float(c[known].mean()) if known.any() else math.nan for c in columns]
        return cls(block=block, power_w=means[0], heat_w=means[1], outdoor_c=means[2], coverage=coverage, fault=fault)


def _not_as_planned(arm: str, active: Floats) -> str:
    """Why a block was not driven as planned; empty if it was. active: 1 where coldplate drove, 0 where not."""
    told = active[np.isfinite(active)]
    if len(told) < LEAST_COVERAGE * len(active):
        return f"who drove is told of {len(told) / len(active):.0%} of it"
    ran = float(told.mean())
    wrong = ran < LEAST_COVERAGE if arm == OURS else ran > 1 - LEAST_COVERAGE
    return f"coldplate drove {ran:.0%} of it" if wrong else ""


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
    names = ("outdoor", "squared", "heat")
    return np.stack([np.ones(len(table)), table[:, 1], *_covariates(table, names).values()], axis=1)


def _covariates(table: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Outdoor temperature, its square and heat, those that vary and are known, by names of their own."""
    found = {}
    for name, column in zip(names, (table[:, 2], table[:, 2] ** 2, table[:, 3]), strict=True):
        spread = float(column.std())
        if spread > 1e-9 * max(1.0, abs(float(column.mean()))):  # never of NaN
            found[name] = (column - column.mean()) / spread
    return found


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


def _p_value(table: Floats, seed: int) -> float:
    """Share of orders, drawn within pairs as the plan's was, whose adjusted effect is as large as the one found [1]."""
    chance = np.random.default_rng(seed)
    covariates = np.stack([np.ones(len(table)), *_covariates(table, ("outdoor", "squared", "heat")).values()], axis=1)
    kept = np.eye(len(table)) - covariates @ np.linalg.pinv(covariates)
    power = kept @ table[:, 0]
    _, place = np.unique(table[:, 4], return_inverse=True)
    swapped = chance.integers(0, 2, size=(RESAMPLES, place.max() + 1)).astype(bool)[:, place]
    drawn = np.where(swapped, 1 - table[:, 1], table[:, 1])
    arms = np.concatenate([table[np.newaxis, :, 1], drawn]) @ kept
    effects = np.abs((arms @ power) / np.maximum((arms**2).sum(axis=1), 1e-12))
    return float((1 + np.count_nonzero(effects[1:] >= effects[0] * (1 - 1e-9))) / (1 + RESAMPLES))


def sentence(result: SwitchbackResult) -> str:
    """The result in words."""
    span = f"{result.low:.1%} to {result.high:.1%}"
    verdict = f"saves {result.saving:.1%} of cooling energy (95 % interval {span})"
    if not result.conclusive:
        verdict = f"shows no certain saving: {result.saving:.1%}, 95 % interval {span}"
    adjusted = f"adjusted for {', '.join(result.adjusted)}" if result.adjusted else "not adjusted: nothing varied"
    pairs = f"from {result.pairs} of {result.pairs_planned} pairs of blocks"
    return f"coldplate {verdict}, {pairs}, {adjusted}; randomisation test p = {result.p_value:.4f}"

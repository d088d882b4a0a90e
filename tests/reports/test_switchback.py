"""Promises of the switchback: what was planned is what counts, the interval covers the truth, and poor data are refused."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from plant.errors import ConfigError
from reports.pue import ReportError
from reports.switchback import OURS, RULE, make_plan, plan_from
from reports.switchback_estimate import Trends, analyse

NOW_S = 1_700_000_000.0


def plan_of(seed=1, days=28.0, block_h=12.0):
    """A plan that begins an hour from now."""
    return make_plan("t", made_s=NOW_S, start_s=NOW_S + 3600, days=days, block_s=block_h * 3600, seed=seed)


def measured(plan, saving, seed=0, noise=0.03):
    """A plant whose cooling follows weather and heat, and is cheaper by `saving` while coldplate drives."""
    chance = np.random.default_rng(seed)
    time_s = np.arange(plan.blocks[0].start_s, plan.blocks[-1].end_s + 1, 300.0)
    days = (time_s - time_s[0]) / 86400
    wet = 12 + 5 * np.sin(2 * np.pi * days) + np.cumsum(chance.normal(0, 0.05, len(days)))
    heat = 1e6 * (1 + 0.3 * np.repeat(chance.random(len(days) // 144 + 1), 144)[: len(days)])
    power = 40e3 + 3e3 * wet + 0.05 * heat
    ours = np.array([getattr(plan.turn(t)[1], "arm", None) == OURS for t in time_s])
    power = power * np.where(ours, 1 - saving, 1.0) * (1 + chance.normal(0, noise, len(days)))
    return Trends(time_s=time_s, cooling_w=power, heat_w=heat, wet_bulb_c=wet), ours.astype(float)


def test_a_plan_is_the_same_for_the_same_seed_and_fair():
    """Neighbouring blocks make pairs with one of each; another seed gives another order."""
    plan = plan_of()
    assert plan == plan_of()
    assert [b.arm for b in plan.blocks] != [b.arm for b in plan_of(seed=2).blocks]
    assert len(plan.blocks) == 56
    for first, second in zip(plan.blocks[::2], plan.blocks[1::2], strict=True):
        assert {first.arm, second.arm} == {RULE, OURS}
        assert first.end_s == second.start_s


@pytest.mark.parametrize("saving", [0.0, 0.15])
def test_the_interval_covers_the_truth(saving):
    """Over forty plants with a known saving the 95 % interval misses it rarely, and is not wide for nothing."""
    missed, widths = 0, []
    for seed in range(40):
        plan = plan_of(seed, days=14.0)
        result = analyse(plan, measured(plan, saving, seed)[0])
        missed += not result.low <= saving <= result.high
        widths.append(result.high - result.low)
    assert missed <= 6
    assert np.median(widths) < 0.1


def test_a_saving_is_found_and_none_is_not_claimed():
    """Fifteen per cent are conclusive in four weeks; weather and load that differ between blocks do not hide them."""
    plan = plan_of()
    found = analyse(plan, measured(plan, 0.15)[0])
    assert found.conclusive
    assert found.saving == pytest.approx(0.15, abs=0.02)
    assert abs(found.saving - 0.15) < abs(found.plain - 0.15) + 0.02
    assert found.pairs == found.pairs_planned == 28


def test_poor_data_are_refused_and_named():
    """A few holes leave pairs out by name; too many end the analysis."""
    plan = plan_of()
    trends, _ = measured(plan, 0.15)
    power = trends.cooling_w.copy()
    inside = (trends.time_s >= plan.blocks[4].start_s) & (trends.time_s < plan.blocks[4].start_s + 4 * 3600)
    power[inside] = np.nan
    result = analyse(plan, replace(trends, cooling_w=power))
    assert result.pairs == 27
    assert "block 5" in result.left_out[0]
    power[trends.time_s > plan.blocks[20].start_s] = np.nan
    with pytest.raises(ReportError, match="pairs can be used"):
        analyse(plan, replace(trends, cooling_w=power))


def test_blocks_that_were_not_run_as_planned_do_not_count():
    """A block in which coldplate drove though the rule had its turn is left out; a plan that nobody followed is refused."""
    plan = plan_of()
    trends, active = measured(plan, 0.15)
    block = next(b for b in plan.blocks if b.arm == RULE)
    wrong = active.copy()
    wrong[(trends.time_s >= block.start_s) & (trends.time_s < block.end_s)] = 1.0
    assert analyse(plan, trends, ours_active=wrong).pairs == 27
    with pytest.raises(ReportError, match="coldplate drove"):
        analyse(plan, trends, ours_active=np.zeros_like(active))


def test_only_what_was_planned_before_counts():
    """A changed plan, one written afterwards and one that is not over are refused."""
    plan = plan_of()
    trends, _ = measured(plan, 0.15)
    swapped = tuple(replace(b, arm=RULE if b.arm == OURS else OURS) for b in plan.blocks)
    with pytest.raises(ReportError, match="digest"):
        analyse(replace(plan, blocks=swapped), trends)
    late = replace(plan, made_s=plan.blocks[0].start_s + 1)
    with pytest.raises(ReportError, match="after its own start"):
        analyse(replace(late, digest=late.sealed()), trends)
    half = len(trends.time_s) // 2
    early = Trends(**{k: v[:half] for k, v in asdict(trends).items()})
    with pytest.raises(ReportError, match="not over"):
        analyse(plan, early)
    with pytest.raises(ConfigError, match="past"):
        make_plan("t", made_s=NOW_S, start_s=NOW_S - 1, days=28, block_s=43200, seed=1)
    with pytest.raises(ConfigError, match="pairs"):
        plan_of(days=2)
    for days in (math.nan, math.inf, 1e9):
        with pytest.raises(ConfigError, match="days"):
            plan_of(days=days)


def test_a_plan_survives_its_file():
    """Written and read it is the same plan; something else is refused in one line."""
    plan = plan_of()
    assert plan_from(json.loads(json.dumps(asdict(plan))), "p") == plan
    with pytest.raises(ConfigError, match="not a switchback plan"):
        plan_from({"blocks": 3}, "p")


def test_the_randomisation_test_keeps_its_promise():
    """Where coldplate changes nothing, few of sixty plants look significant at 5 %; where it saves, nearly all do."""
    share = {}
    for saving in (0.0, 0.1):
        found = [
            analyse(plan := plan_of(seed, days=14.0), measured(plan, saving, seed)[0]).p_value for seed in range(60)
        ]
        share[saving] = float(np.mean(np.array(found) < 0.05))
    assert share[0.0] <= 0.13
    assert share[0.1] > 0.8


def test_a_block_of_which_nobody_tells_who_drove_does_not_count():
    """A trend with holes: one empty cell hides no block that was driven otherwise, and a block of them is left out."""
    plan = plan_of()
    trends, active = measured(plan, 0.1)
    block = next(b for b in plan.blocks if b.arm == OURS)
    inside = (trends.time_s >= block.start_s) & (trends.time_s < block.end_s)
    otherwise = np.where(inside, 0.0, active)
    otherwise[np.flatnonzero(inside)[60]] = math.nan
    assert analyse(plan, trends, ours_active=otherwise).pairs == 27
    untold = np.where(inside, math.nan, active)
    assert "who drove is told of 0% of it" in analyse(plan, trends, ours_active=untold).left_out[0]
    untold = active.copy()
    untold[np.flatnonzero(inside)[60]] = math.nan
    assert analyse(plan, trends, ours_active=untold).pairs == 28

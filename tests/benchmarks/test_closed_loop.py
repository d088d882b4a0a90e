"""The study of placement and cooling: its physics, its guards, and that nobody is shown what nobody knows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.closed_loop import _against, _row
from benchmarks.cluster_week import RACK_NODES, Budgets, Run
from benchmarks.study_sites import demo_site, large_site
from simulator.cluster_jobs import DAY_S, HOUR_S

DEMO = demo_site()
FULL_W = float(DEMO.layout.full_w[0])


def test_cooling_follows_the_rack_and_its_loop() -> None:
    """A hot rack is hotter than its neighbours; the energy balance of each holds; coldplate cools for less."""
    rack_w = np.full(8, 60e3)
    rack_w[3] = 120e3
    for control in ("design", "coldplate"):
        found = DEMO.cooling.at(control, rack_w, DEMO.loop, 20.0)
        assert found.return_c.argmax() == found.case_c.argmax() == 3
        assert found.rise_k[3] == pytest.approx(2 * found.rise_k[0])
    fixed, ours = (DEMO.cooling.at(control, rack_w, DEMO.loop, 20.0) for control in ("design", "coldplate"))
    assert fixed.return_c[0] - fixed.rise_k[0] == pytest.approx(32.0)
    assert fixed.rise_k[3] == pytest.approx(0.87 * 120e3 / (0.0029 * DEMO.cooling.design.coolant.heat_j_m3_k))
    assert ours.cooling_w.sum() < fixed.cooling_w.sum()
    assert ours.case_c.max() < DEMO.cooling.case_limit_c


def test_more_heat_than_the_exchangers_hold_warms_the_supply() -> None:
    """No setpoint is taken for granted."""
    normal, much = (DEMO.cooling.at("design", np.full(8, w), DEMO.loop, 20.0) for w in (132e3, 500e3))
    assert normal.return_c[0] - normal.rise_k[0] == pytest.approx(32.0)
    assert much.return_c[0] - much.rise_k[0] > 32.5


def test_caps_hold_rows_and_racks_where_jobs_allow_it_and_services_are_left_alone() -> None:
    """The batch jobs that keep checkpoints pay; their lost work is counted."""
    site = large_site(40)
    free = Run(site, "first-fit", 3, DAY_S / 2, 0.9)
    free.finish(300.0)
    held = Run(
        site,
        "first-fit",
        3,
        DAY_S / 2,
        0.9,
        Budgets(row_w=0.93 * free.week.row_w, rack_w=0.95 * free.week.rack_w, guarded=True),
    )
    held.finish(300.0)
    assert held.week.row_w <= 0.931 * free.week.row_w
    assert held.week.rack_w <= 0.951 * free.week.rack_w
    assert free.clusters[0].tally.lost_node_s == 0.0 < held.clusters[0].tally.lost_node_s
    assert held.clusters[1].tally.capped_node_s == 0.0
    row = _row(site, "ours+caps", held)
    assert row["lost_gpu_h"] > 0.0
    assert _against("x", [_row(site, "first-fit", free), row])["x_peak_row_change_pct"] < -6.9


def test_a_brake_slows_everything_on_a_feed_that_is_too_small() -> None:
    """Also services, which no guard touches."""
    free, braked = (Run(DEMO, "first-fit", 2, 10 * HOUR_S, 0.9, budgets) for budgets in (None, Budgets(row_w=180e3)))
    for run in (free, braked):
        run.finish(120.0)
    assert free.week.row_w > 185e3
    assert braked.week.row_w <= 180.1e3
    assert braked.clusters[1].tally.capped_node_s > 0.0


def test_every_policy_meets_the_same_jobs_and_ours_is_never_told_their_power() -> None:
    """What ours expects comes from jobs that have ended."""
    blind, ours = Run(DEMO, "random", 5, DAY_S / 4, 0.8), Run(DEMO, "ours", 5, DAY_S / 4, 0.8)
    assert np.array_equal(blind.clusters[0].jobs.level, ours.clusters[0].jobs.level)
    assert ours.ours is not None
    kind = int(ours.clusters[0].jobs.kind[0])
    before = ours.ours.upper_w(kind)
    ours.clusters[0].jobs.level[:] = 0.2
    assert ours.ours.upper_w(kind) == before
    ours.finish(300.0)
    assert ours.ours.upper_w(kind) < before
    running, expected = ours.clusters[0].rack_w() + ours.clusters[1].rack_w(), ours.ours.rack_w
    assert (expected <= RACK_NODES * DEMO.node_w * 1.001).all()
    assert running.sum() < expected.sum() < 1.5 * running.sum()


def test_an_oversubscribed_site_has_more_racks_on_the_same_feeds_and_pumps() -> None:
    """40 % more, and each of them gets less flow where pumps are at their end."""
    plain, more = large_site(40), large_site(40, 1.4)
    assert (more.racks, more.feed_w) == (56, plain.feed_w)
    full = [site.cooling.at("design", np.full(site.racks, FULL_W), site.loop, 20.0).rise_k[0] for site in (plain, more)]
    assert full[1] > full[0]

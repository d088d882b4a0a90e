"""Swings of GPU power that no loop can follow: all of the nameplate, unless the site goes by what was seen."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from controller.explaining import swing_margin_k
from controller.power_swings import KNOWN_S, Jump, carried_gpu_w, jumped
from controller.problems import build_problem, full_gpu_w
from controller.step import initial_state, step
from plant.records import HeatForecast

NAMEPLATE_W = 1.10 * 1350.0


@pytest.fixture
def learning(pod):
    """The demo pod, which goes by learned swings."""
    group = replace(pod.groups["tcs-1"], swing="learned")
    return replace(pod, groups={"tcs-1": group})


def ahead(site, heat_w):
    """A forecast of the same heat [W] for every rack."""
    racks = site.groups["tcs-1"].racks
    return [
        HeatForecast(subject=r, times_s=(60.0,), quantiles=(0.5, 0.975), heat_w=((heat_w,), (1.1 * heat_w,)), model="m")
        for r in racks
    ]


def known(site, above_w, age_s=2 * KNOWN_S):
    """The same jump [W] seen at every rack."""
    return dict.fromkeys(site.groups["tcs-1"].racks, Jump(60e3, above_w, 0.0, age_s))


def test_nameplate_is_the_default(pod):
    """A site that says nothing carries every GPU at full power at once, and learns nothing."""
    group = pod.groups["tcs-1"]
    assert math.isinf(carried_gpu_w(pod, group, known(pod, 1e3), ahead(pod, 50e3), 2 * KNOWN_S))


def test_default_site_learns_nothing(pod, pod_snapshot):
    """No rack is watched where nobody asked for it."""
    assert jumped({}, pod, pod_snapshot) == {}


def test_largest_jump_stays_and_fades(learning, pod_snapshot):
    """A jump above the running mean is kept, and forgotten only over weeks."""
    rack = "rack-01"
    power_w = pod_snapshot.value(f"{rack}/power")
    before = {rack: Jump(power_w - 30e3, 5e3, 0.0, pod_snapshot.at_s - 60.0)}
    found = jumped(before, learning, pod_snapshot)[rack]
    assert found.above_w == pytest.approx(30e3)
    later = jumped({rack: replace(found, mean_w=power_w)}, learning, replace(pod_snapshot, at_s=found.at_s + 86400.0))
    assert 25e3 < later[rack].above_w < 30e3


def test_learned_swing_lies_between_forecast_and_nameplate(learning):
    """What is carried is the forecast's highest quantile, which knows of jobs, and the largest jump on top."""
    group, now_s = learning.groups["tcs-1"], 2 * KNOWN_S
    carried_w = carried_gpu_w(learning, group, known(learning, 20e3), ahead(learning, 50e3), now_s)
    assert carried_w == pytest.approx(NAMEPLATE_W * (1.1 * 50e3 / 0.87 + 20e3) / 132e3)
    all_w = carried_gpu_w(learning, group, known(learning, 90e3), ahead(learning, 50e3), now_s)
    assert all_w == pytest.approx(NAMEPLATE_W)


@pytest.mark.parametrize("missing", ["young", "forecast", "rack"])
def test_what_is_not_known_counts_as_nameplate(learning, missing):
    """Less than a day of readings, a rack without a forecast or one never seen: every GPU may go to full power."""
    seen = known(learning, 1e3)
    forecasts = ahead(learning, 50e3)
    now_s = KNOWN_S / 2 if missing == "young" else 2 * KNOWN_S
    if missing == "rack":
        del seen["rack-03"]
    if missing == "forecast":
        forecasts = forecasts[1:]
    assert math.isinf(carried_gpu_w(learning, learning.groups["tcs-1"], seen, forecasts, now_s))


def test_measured_power_is_never_undercut():
    """A GPU that was measured above what was learned counts as measured."""
    assert full_gpu_w([1350.0], 1300.0, 900.0) == 1300.0
    assert full_gpu_w([1350.0], math.nan, 900.0) == 900.0
    assert full_gpu_w([1350.0], math.nan) == pytest.approx(NAMEPLATE_W)


def test_plan_tells_what_it_keeps(pod, pod_snapshot, now_s):
    """The margin for swings is what the hottest case would rise if all of it came now."""
    result = step(initial_state(), pod_snapshot, (), now_s, pod)
    plan = result.plans[0]
    heat = next(h for h in result.forecast.heats if h.subject == "tcs-1")
    problem = build_problem(pod, pod_snapshot, pod.groups["tcs-1"], heat, ())
    idle = replace(problem, median=replace(problem.median, it_w=0.0))
    target = tuple(s.target for s in plan.setpoints)
    assert plan.swing_margin_k > 3.0
    assert swing_margin_k(idle, target) == pytest.approx(plan.predicted_case_c - target[0], abs=0.1)
    assert plan.currency == "EUR"
    assert plan.air is not None
    saved_kw = plan.reason.params["saves_kw"] + plan.air.params["air_saves_kw"]
    assert plan.saving_per_h == pytest.approx(0.22 * saved_kw)

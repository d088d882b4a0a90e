"""The loads at which cost is judged stand for minutes and quantiles alike."""

from __future__ import annotations

import numpy as np
import pytest

from controller.likely import PARTS, QUANTILES, likely_w
from controller.optimise import judge
from controller.problems import build_problem
from plant.records import HeatForecast

MINUTES = 15


def forecast(*rows):
    """Of the pod's loop; rows: what each of three quantiles says of each minute [W]."""
    times_s = tuple(60.0 * (n + 1) for n in range(len(rows[0])))
    quantiles = tuple(q for q, _ in QUANTILES)
    return HeatForecast(subject="tcs-1", times_s=times_s, quantiles=quantiles, heat_w=rows, model="told")


def sure(*heats_w):
    """A forecast without any doubt."""
    return forecast(heats_w, heats_w, heats_w)


def test_parts_keep_the_mean_and_rise():
    """However minutes and quantiles lie, nothing of the heat is lost."""
    drawn = np.sort(np.random.default_rng(4).uniform(1e5, 9e5, (3, MINUTES)), axis=0)
    found = likely_w(forecast(*map(tuple, drawn)), MINUTES, 1e6)
    shares, heats = zip(*found, strict=True)
    assert shares == PARTS
    assert list(heats) == sorted(heats)
    weights = [w for _, w in QUANTILES]
    assert np.dot(shares, heats) == pytest.approx(np.dot(weights, drawn.mean(axis=1)))
    assert heats[0] < np.quantile(drawn, 0.2)
    assert heats[-1] > np.quantile(drawn, 0.8)


def test_minutes_beyond_and_watts_above_do_not_count():
    """Only the minutes asked for, and no more than racks draw."""
    rising = sure(*[3e5] * 10, *[2e6] * 5, *[9e6] * 45)
    heats = [w for _, w in likely_w(rising, MINUTES, 8e5)]
    assert heats[0] == pytest.approx(3e5)
    assert heats[-1] == pytest.approx(8e5)


def test_a_load_that_will_jump_costs_more_than_its_mean(pod, pod_snapshot):
    """A sure step within the quarter is dearer than the same heat spread evenly, most where fans work hardest."""
    group, points = pod.groups["tcs-1"], np.array([[36.0, 60e3, 28.0], [36.0, 60e3, 33.0]])
    step, even = sure(*[2e5] * 8, *[9e5] * 7, *[9e5] * 45), sure(*[(2e5 * 8 + 9e5 * 7) / 15] * 15, *[9e5] * 45)
    cost_w = [judge(build_problem(pod, pod_snapshot, group, heat, ()), points).cost_w for heat in (step, even)]
    extra_w = cost_w[0] - cost_w[1]
    assert extra_w.min() > 100.0
    assert extra_w[0] > extra_w[1]

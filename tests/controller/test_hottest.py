"""The power that a loop's hottest case stands for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from controller.constraints import CASE_TOLERANCE
from controller.design import loop_design
from controller.hottest import MOST_OVER, stands_for_w
from controller.model import full_load_case_c
from plant.live import Snapshot

SUPPLY_C, DP_PA = 36.0, 70e3


@pytest.fixture
def ask(pod, pod_snapshot):
    """From the hottest case and power to what it stands for, in a loop at 36 °C and 70 kPa."""
    group = pod.groups["tcs-1"]
    design, readings = loop_design(pod, group), dict(pod_snapshot.readings)
    for member in group.members:
        for name, value in (("supply_temperature", SUPPLY_C), ("differential_pressure", DP_PA)):
            readings[f"{member}/tcs_{name}"] = replace(readings[f"{member}/tcs_{name}"], value=value)

    def stands_for(hot_c, hot_w, without=""):
        left = {point: reading for point, reading in readings.items() if not without or without not in point}
        return stands_for_w(design, Snapshot(at_s=pod_snapshot.at_s, readings=left), group, hot_c, hot_w)

    return design, stands_for


def test_a_case_above_what_plans_expect_counts_as_more_power(ask):
    """A case as the plan expects it of 1,600 W is 1,600 W, whatever the meter says; one that is colder changes nothing."""
    design, stands_for = ask
    hot_c = float(full_load_case_c(design, np.array([SUPPLY_C]), np.array([DP_PA]), 1600.0)[0])
    assert stands_for(hot_c, 1350.0) == pytest.approx(1600.0)
    assert stands_for(hot_c - 10.0, 1350.0) == 1350.0
    assert stands_for(hot_c, math.nan) == pytest.approx(1600.0)


def test_one_wrong_sensor_does_not_stop_a_loop(ask):
    """However hot a case shows, it stands for a tenth over nameplate and tolerance at most."""
    design, stands_for = ask
    most_w = MOST_OVER * CASE_TOLERANCE * design.racks[0][0].gpu_power_w
    assert stands_for(119.0, 1350.0) == pytest.approx(most_w)


@pytest.mark.parametrize("without", ["tcs_supply_temperature", "tcs_differential_pressure"])
def test_where_the_loop_is_not_seen_power_counts_as_measured(ask, without):
    """Without a supply or a pressure, or without a case, only the meter counts."""
    _, stands_for = ask
    assert stands_for(80.0, 1350.0, without) == 1350.0
    assert stands_for(math.nan, 1350.0) == 1350.0

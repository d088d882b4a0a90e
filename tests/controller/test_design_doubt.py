"""Plates that nobody sees are doubted as far as the design setpoints carry it, and no further."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.constraints import CASE_TOLERANCE
from controller.design import loop_design
from controller.identification.design_doubt import STEP, most_worse
from controller.model import full_load_case_c
from controller.step import initial_state, step
from plant.live import Snapshot

USUAL = 1.25


def limited(site, limit_c, **group_changes):
    """The site with another limit of case temperature [°C]."""
    (name, case) = next((n, limit) for n, limit in site.limits.items() if limit.quantity == "case_temperature")
    groups = {g: replace(group, **group_changes) for g, group in site.groups.items()}
    return replace(site, limits={**site.limits, name: replace(case, maximum=limit_c)}, groups=groups)


def doubt(site):
    """The first rack's."""
    group = site.groups["tcs-1"]
    return most_worse(site, group, loop_design(site, group))["rack-01"]


def at_design_c(site, worse):
    """The hottest case [°C] at design setpoints and full power, with plates so much worse than their figure."""
    group = site.groups["tcs-1"]
    design = loop_design(site, group)
    racks = tuple((replace(r, case_resistance_k_w=worse * r.case_resistance_k_w), n) for r, n in design.racks)
    supply_c, dp_pa = (np.array([group.design[role]]) for role in ("supply_temperature", "differential_pressure"))
    gpu_w = CASE_TOLERANCE * design.racks[0][0].gpu_power_w
    return float(full_load_case_c(replace(design, racks=racks), supply_c, dp_pa, gpu_w)[0])


def test_a_design_with_room_is_asked_for_the_whole_doubt(unproven_pod):
    """The demo pod's setpoints carry plates a quarter worse."""
    assert doubt(limited(unproven_pod, 80.0)) == pytest.approx(USUAL)


def test_no_more_is_doubted_than_design_setpoints_carry(unproven_pod):
    """A limit that they just hold with plates a tenth worse: a tenth is what counts."""
    tight = limited(unproven_pod, at_design_c(unproven_pod, 1.1) + 0.8, reserve="none")
    assert doubt(tight) == pytest.approx(1.1, abs=STEP)
    assert at_design_c(tight, doubt(tight)) + 0.8 <= at_design_c(unproven_pod, 1.1) + 0.8 + 1e-6


def test_the_loss_of_a_cdu_counts_where_the_site_asks_for_it(unproven_pod):
    """With N+1 the same limit leaves less to doubt."""
    limit_c = at_design_c(unproven_pod, 1.1) + 0.8
    alone, with_reserve = (doubt(limited(unproven_pod, limit_c, reserve=r)) for r in ("none", "n+1"))
    assert 1.0 <= with_reserve < alone


def test_what_a_site_states_is_kept_whole(unproven_pod):
    """A tolerance in the file is somebody's word on these plates, tight limit or not."""
    tight = limited(unproven_pod, at_design_c(unproven_pod, 1.0) - 3.0)
    assert doubt(tight) == 1.0
    equipment = {
        name: replace(e, design={**e.design, "design_tolerance": 0.1}) if e.kind == "rack" else e
        for name, e in tight.equipment.items()
    }
    assert doubt(replace(tight, equipment=equipment)) == pytest.approx(1 / 0.9)


def test_a_loop_without_case_limit_or_design_supply_is_doubted_whole(unproven_pod):
    """Nothing tells there what its designer counted on."""
    limits = {n: limit for n, limit in unproven_pod.limits.items() if limit.quantity != "case_temperature"}
    group = unproven_pod.groups["tcs-1"]
    bare = replace(group, design={r: v for r, v in group.design.items() if r != "supply_temperature"})
    assert doubt(replace(unproven_pod, limits=limits)) == USUAL
    assert doubt(replace(limited(unproven_pod, 60.0), groups={"tcs-1": bare})) == USUAL


def test_a_tight_loop_without_gpu_telemetry_is_planned_as_safe_as_its_design(unproven_pod, pod_snapshot, now_s):
    """It used to be driven to all that cools, all day, for a doubt that its design setpoints could not carry either."""
    tight = limited(unproven_pod, at_design_c(unproven_pod, 1.1) + 0.8, reserve="none")
    readings = {p: r for p, r in pod_snapshot.readings.items() if "/gpu-" not in p}
    result = step(initial_state(), Snapshot(at_s=now_s, readings=readings), (), now_s, tight)
    (plan,) = result.plans
    assert not plan.reason.code.startswith("plan_design")
    assert plan.predicted_case_c <= plan.case_limit_c

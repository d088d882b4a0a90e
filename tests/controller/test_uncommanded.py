"""Loops of which not every setpoint is commanded: what is measured stands for it, and what can't be planned says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.baselines import Rule, Tuning
from benchmarks.reserve import ReserveWatch
from controller.step import initial_state, step


def without(site, *roles):
    """The site with a loop that does not command these."""
    group = site.groups["tcs-1"]
    left = {role: point for role, point in group.commands.items() if role not in roles}
    design = {role: value for role, value in group.design.items() if role not in roles}
    gone = {group.commands[role] for role in roles}
    envelopes = {point: envelope for point, envelope in site.envelopes.items() if point not in gone}
    return replace(site, groups={"tcs-1": replace(group, commands=left, design=design)}, envelopes=envelopes)


@pytest.mark.parametrize("role", ["facility_supply_temperature", "differential_pressure"])
def test_what_nobody_commands_stays_as_it_is_measured(pod, pod_snapshot, now_s, role):
    """Facility water of a building, or pumps without a setpoint: the rest is planned around it."""
    site = without(pod, role)
    result = step(initial_state(), pod_snapshot, (), now_s, site)
    (plan,) = result.plans
    assert result.conditions == ()
    asked = {s.point for s in plan.setpoints}
    assert asked == set(site.groups["tcs-1"].commands.values())
    assert any(s.target != s.current for s in plan.setpoints)
    known = result.state.known["tcs-1"].setpoints
    assert len(known) == 2, "what only is measured is no setpoint that moved"
    assert np.isfinite(ReserveWatch(site).margin_k(pod_snapshot))
    assert ReserveWatch(site).margin_k(pod_snapshot) < 40.0
    rule = Rule(site, Tuning(kind="reset", supply_c=36.0))
    assert set(rule.decide(pod_snapshot, now_s)) == set(site.groups["tcs-1"].commands.values())


def test_a_loop_without_a_supply_setpoint_says_so(pod, pod_snapshot, now_s):
    """It is let be, and no other part of the cycle falls over it."""
    site = without(pod, "supply_temperature")
    result = step(initial_state(), pod_snapshot, (), now_s, site)
    assert result.plans == ()
    (found,) = result.conditions
    assert (found.code, found.subject) == ("design_incomplete", "tcs-1")
    assert "supply_temperature under `commands`" in found.cause.text
    assert all(not room.known for room in result.headrooms)
    rule = Rule(site, Tuning(kind="reset", supply_c=36.0))
    assert "dry-coolers/leaving_temperature_setpoint" in rule.decide(pod_snapshot, now_s)


@pytest.mark.parametrize("key", ["heat_w", "flow_m3_s", "facility_flow_m3_s", "ua_w_k"])
def test_a_cdu_without_a_figure_says_which(pod, pod_snapshot, now_s, key):
    """Also where the heat exchangers' wear and the loss of a CDU are reckoned."""
    cdu = pod.equipment["cdu-1"]
    less = replace(cdu, design={k: v for k, v in cdu.design.items() if k != key})
    site = replace(pod, equipment={**pod.equipment, "cdu-1": less})
    result = step(initial_state(), pod_snapshot, (), now_s, site)
    assert result.plans == ()
    assert f"design.{key} of cdu-1" in " ".join(c.cause.text for c in result.conditions)


def test_a_site_without_a_case_limit_says_so(pod, pod_snapshot, now_s):
    """A limit that every plan goes by is missing: no plan, and a name for it."""
    site = replace(pod, limits={i: lim for i, lim in pod.limits.items() if lim.quantity != "case_temperature"})
    result = step(initial_state(), pod_snapshot, (), now_s, site)
    assert result.plans == ()
    assert [c.code for c in result.conditions] == ["design_incomplete"]
    assert "a limit of case_temperature" in result.conditions[0].cause.text

"""What must not end the cycle of all loops: a missing figure, an older site's memory, loads of zero, a clock set back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from controller.answering import one_step
from controller.causes import Cause, Found
from controller.identification.estimates import Estimate, Observation, tells_more
from controller.identification.excitation import probed
from controller.identification.known import Baseline, Change, Kept, Known, recalled
from controller.inputs import current_setpoints
from controller.shedding import shed_request
from controller.state import Move
from controller.step import initial_state, step
from controller.straying import FADES_S, STEADY, looked
from controller.worker import StepWorker
from plant.live import LiveTable, Snapshot
from plant.records import Plan
from plant.topology import Equipment
from simulator.memory import MemoryPlant

YEAR_S = 365 * 86400.0
DP = "differential_pressure"


def shown(snapshot, values):
    """A snapshot in which points show something else."""
    new = {p: replace(snapshot.readings[p], value=v) for p, v in values.items()}
    return Snapshot(at_s=snapshot.at_s, readings={**snapshot.readings, **new})


def without_figure(site, equipment, key):
    """The site whose equipment lacks a design figure."""
    old = site.equipment[equipment]
    less: Equipment = replace(old, design={k: v for k, v in old.design.items() if k != key})
    return replace(site, equipment={**site.equipment, equipment: less})


@pytest.mark.parametrize("key", ["fan_power_w", "heat_w", "ua_w_k", "flow_m3_s", "pump_power_w"])
def test_a_sidecar_without_a_figure_leaves_the_other_loops_alone(lab, lab_snapshot, now_s, key):
    """Its own loop says what it lacks; the loop of CDUs beside it is planned as ever."""
    site = without_figure(lab, "sidecar", key)
    result = step(initial_state(), lab_snapshot, (), now_s, site)
    assert [p.loop for p in result.plans if "sidecar" not in lab.groups[p.loop].members]
    assert f"design.{key} of sidecar" in " ".join(c.cause.text for c in result.conditions)


def test_a_sidecar_without_a_case_limit_says_so(lab, lab_snapshot, now_s):
    """No loop can be planned without it, and each says why."""
    site = replace(lab, limits={i: lim for i, lim in lab.limits.items() if lim.quantity != "case_temperature"})
    result = step(initial_state(), lab_snapshot, (), now_s, site)
    assert result.plans == ()
    assert {c.subject for c in result.conditions if c.code == "design_incomplete"} == set(lab.groups)


def test_what_an_earlier_site_knew_of_equipment_that_is_gone_is_forgotten(pod, pod_snapshot, now_s):
    """A rack that was taken out of the site file is still in the state directory: the next run plans all the same."""
    estimate = Estimate(log=0.02, variance=0.001, count=50, since_s=now_s - 86400.0, at_s=now_s - 600.0)
    rows = {"rack-99/case_resistance": estimate, "cdu-9/ua": estimate, "cdu-1/ua": estimate}
    kept = Kept(estimates=rows, baselines={}, changes={})
    worker = StepWorker(pod)
    worker.recall({"tcs-1": recalled(kept), "tcs-9": recalled(kept)})
    result = step(worker.state, pod_snapshot, (), now_s, pod)
    assert result.plans
    assert {p.equipment for p in result.parameters} == {"cdu-1"}


def test_a_change_without_its_witness_is_no_finding(pod, pod_snapshot, now_s):
    """As an earlier version kept it, before a second parameter had to have moved as well."""
    key, at_s = "cdu-1/plate_ua", now_s - 30 * 86400.0
    estimate = Estimate(log=-0.3, variance=0.001, count=500, since_s=at_s, at_s=now_s - 600.0)
    kept = Kept(
        estimates={key: estimate},
        baselines={key: Baseline(log=0.0, variance=0.001, at_s=at_s)},
        changes={key: Change(since_s=at_s)},
    )
    state = replace(initial_state(), known={"tcs-1": recalled(kept)})
    result = step(state, pod_snapshot, (), now_s, pod)
    assert result.plans
    assert "fouling" not in {c.code for c in result.conditions}


def test_a_loop_that_commands_no_pressure_is_not_probed(pod, pod_snapshot, now_s):
    """A plan that stays, with room to spare, where nobody commands the pressure: there is nothing to try."""
    group = pod.groups["tcs-1"]
    less = replace(
        group,
        excitation="small",
        commands={r: p for r, p in group.commands.items() if r != DP},
        design={r: v for r, v in group.design.items() if r != DP},
    )
    first = step(initial_state(), pod_snapshot, (), now_s, pod).plans[0]
    stays: Plan = replace(first, reason=replace(first.reason, code="plan_stay"), worst_case_margin_k=9.0, made_s=7200.0)
    own = tuple(s for s in stays.setpoints if s.point in less.commands.values())
    plan, known = probed(replace(stays, setpoints=own), pod, less, Known())
    assert not plan.probe
    assert known.probe_base_pa is None


def test_racks_that_draw_nothing_are_asked_for_nothing(pod, pod_snapshot, now_s):
    """All racks off and a valve stuck: there is no load to take off, and no division by it."""
    off = shown(pod_snapshot, {f"{rack}/power": 0.0 for rack in pod.groups["tcs-1"].racks})
    result = step(initial_state(), off, (), now_s, pod)
    found = (Found(cause=Cause.VALVE_STUCK, subject="cdu-1"),)
    goal = {"supply_temperature": 30.0}
    shed = shed_request(pod, off, pod.groups["tcs-1"], found, result.forecast, goal, now_s)
    assert shed is None


@pytest.mark.parametrize("back_s", [3600.0, 30 * 86400.0, 12 * YEAR_S])
def test_a_clock_set_back_leaves_no_loop_to_stray_for_ever(back_s):
    """What was seen before counts no more than it did; nor do setpoints that lie ahead of now stay remembered."""
    peak = looked(STEADY, 40.0, 41.0, 20 * YEAR_S)
    back = looked(peak, 40.0, 40.0, 20 * YEAR_S - back_s)
    assert back.over_k <= 1.0
    later = looked(back, 36.0, 37.0, 20 * YEAR_S - back_s + 700.0)
    assert later.over_k == pytest.approx(1.0)
    assert len(later.asked) == 1
    assert looked(later, 36.0, 36.0, later.at_s + FADES_S).over_k == pytest.approx(0.5)


def test_a_clock_set_back_does_not_stop_plates_from_being_learned():
    """A year ahead for a day, then put right: looks at full load still tell more than what is known."""
    known = Estimate(count=10, load=0.9, at_s=10 * YEAR_S)
    assert tells_more(known, Observation(0.0, 0.01, 0.01, load=0.9), 9 * YEAR_S, 0.15)


def test_a_clock_set_back_does_not_hold_back_the_answer_to_a_fault(pod, pod_snapshot, now_s):
    """A move that seems to lie ahead is as good as one of now: after its dwell the next step is taken."""
    point = "cdu-1/supply_temperature_setpoint"
    state = replace(initial_state(), moves={point: Move(value=32.0, at_s=now_s + 3600.0)})
    held = step(state, pod_snapshot, (), now_s, pod)
    assert held.plans[0].setpoints[0].value == 32.0
    late = step(held.state, pod_snapshot, (), now_s + 360.0, pod)
    assert late.plans[0].setpoints[0].value != 32.0


def test_a_rack_that_is_off_ends_no_cycle(pod, pod_snapshot, now_s):
    """Its meter reads nothing at all while coolant flows on: its plates tell nothing, and every loop is planned."""
    off = shown(pod_snapshot, {"rack-01/power": 0.0})
    result = step(initial_state(), off, (), now_s, pod)
    assert [p.loop for p in result.plans] == list(pod.groups)
    assert "rack-01" not in {p.equipment for p in result.parameters if p.parameter == "case_resistance"}


@pytest.mark.parametrize(
    "values",
    [
        {"cdu-1/effective_differential_pressure_setpoint": -1.0},
        {"cdu-1/effective_differential_pressure_setpoint": 0.0, "cdu-1/tcs_flow": 0.0},
        {"cdu-1/effective_supply_temperature_setpoint": 1e9},
    ],
)
def test_a_setpoint_that_cannot_be_asks_for_nothing_that_is_no_number(pod, pod_snapshot, now_s, values):
    """What a device shows at its start, or with a wrong scale, is neither copied nor the end of the cycle."""
    result = step(initial_state(), shown(pod_snapshot, values), (), now_s, pod)
    assert all(math.isfinite(s.value) for p in result.plans for s in p.setpoints)
    assert result.headrooms


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_pressure_that_nobody_commands_and_that_has_gone_ends_no_cycle(pod, pod_snapshot, now_s):
    """Pumps that stand without a word: the loop goes to design, and nothing asked for is not a number."""
    group = pod.groups["tcs-1"]
    commands = {r: p for r, p in group.commands.items() if r != DP}
    design = {r: v for r, v in group.design.items() if r != DP}
    site = replace(pod, groups={"tcs-1": replace(group, commands=commands, design=design)})
    gone = shown(pod_snapshot, {"cdu-1/tcs_differential_pressure": -1.0})
    result = step(initial_state(), gone, (), now_s, site)
    assert result.plans[0].reason.code == "plan_design"
    assert all(math.isfinite(s.value) for s in result.plans[0].setpoints)


def test_staying_during_a_fault_forgets_no_dwell(pod, pod_snapshot, now_s):
    """A move, then a fault that what is left carries, then one that it does not: no step before the guard lets it pass.

    A step that the guard refuses prolongs nothing: the lease would end, and the loop with it, in the middle of a fault.
    """
    group, point = pod.groups["tcs-1"], "cdu-1/supply_temperature_setpoint"
    current = current_setpoints(pod, pod_snapshot, group)
    moved = {point: Move(value=current["supply_temperature"], at_s=now_s - 60.0)}
    stays, held = one_step(pod, group, current, current, moved, now_s)
    assert stays["supply_temperature"] == current["supply_temperature"]
    colder = {**current, "supply_temperature": 27.0}
    values, held = one_step(pod, group, current, colder, held, now_s + 60.0)
    assert values["supply_temperature"] == current["supply_temperature"]
    values, held = one_step(pod, group, current, colder, held, now_s + 260.0)
    assert values["supply_temperature"] == current["supply_temperature"] - 1.0


@pytest.mark.parametrize("return_c", [0.0, 25.0, 31.0])
def test_a_return_sensor_below_the_supply_ends_no_cycle(pod, return_c):
    """A busy rack whose coolant seems to cool down: its sensor lies, its plates tell nothing, every loop is planned."""
    plant = MemoryPlant(pod, 1_783_764_000.0)
    live = LiveTable(pod.points.values(), plant.clock)
    live.update(plant.batch(gpus=True))
    lies = shown(live.snapshot(), {"rack-01/liquid_return_temperature": return_c})
    result = step(initial_state(), lies, (), plant.clock.now(), pod)
    assert [p.loop for p in result.plans] == list(pod.groups)
    told = {p.equipment for p in result.parameters if p.parameter == "case_resistance"}
    assert "rack-02" in told
    assert "rack-01" not in told

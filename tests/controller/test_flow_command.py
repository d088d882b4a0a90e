"""Loops that take a flow or a pump speed are planned as by pressure, and told in what they take."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from benchmarks.flow_twin import flow_site
from benchmarks.reserve import ReserveWatch
from controller.answering import one_step
from controller.constraints import CASE_TOLERANCE
from controller.design import loop_design
from controller.flow_command import translation
from controller.identification.applied import applied
from controller.identification.estimates import Estimate
from controller.identification.known import Known, key_of
from controller.identification.parameters import RACK_FLOW
from controller.loss import lost_cdu_case_c
from controller.model import Load, loop_flow
from controller.optimise import search
from controller.outdoor import Outdoor
from controller.problems import build_problem
from controller.rule import RuleState, ruled
from controller.step import initial_state, step
from plant.live import LiveTable
from plant.pumping import WhenLost
from plant.topology import Limit
from simulator.ledger import Ledger
from simulator.memory import MemoryPlant
from simulator.plant import SimulatedPlant
from simulator.weather import Weather

KINDS = ("master", "each", "speed")
POINT = {"master": "cdu-1/flow_setpoint", "each": "cdu-1/flow_setpoint", "speed": "cdu-1/pump_speed_setpoint"}
LIMIT_C = 72.0


@lru_cache(maxsize=3)
def pod_by(kind):
    """The pod by a master's flow, each CDU's or a speed, with cold plates that are no worse than their figures."""
    site = flow_site(kind)
    racks = {e.id: replace(e, design={**e.design, "design_tolerance": 0.0}) for e in site.of_kind("rack")}
    return replace(site, equipment={**site.equipment, **racks})


def shown(plant):
    """What a plant shows now."""
    live = LiveTable(plant.site.points.values(), plant.clock)
    live.update(plant.batch())
    return live.snapshot()


@pytest.fixture(scope="module")
def plants(now_s):
    """Each kind of pod at noon, at its design setpoints."""
    return {kind: MemoryPlant(pod_by(kind), now_s) for kind in KINDS}


@pytest.fixture(scope="module")
def snapshots(plants):
    """What they show."""
    return {kind: shown(plant) for kind, plant in plants.items()}


def told(snapshot, **values):
    """The snapshot with other readings; `__` stands for the slash."""
    named = {point.replace("__", "/").replace("_1/", "-1/").replace("_2/", "-2/"): v for point, v in values.items()}
    assert named.keys() <= snapshot.readings.keys()
    changed = {point: replace(snapshot.readings[point], value=v) for point, v in named.items()}
    return replace(snapshot, readings={**snapshot.readings, **changed})


def test_a_loop_by_pressure_is_not_touched(pod, pod_snapshot, lab, lab_snapshot):
    """Nor is a sidecar, which has a search of its own."""
    assert translation(pod, pod_snapshot) is None
    assert translation(lab, lab_snapshot) is None


@pytest.mark.parametrize("kind", KINDS)
def test_setpoints_come_back_as_they_went_in(snapshots, kind):
    """At every step of the device; between two the one with more flow, and never out of its range."""
    lever = translation(pod_by(kind), snapshots[kind]).levers[POINT[kind]]
    envelope, step_size = lever.envelope, lever.quantum
    first, last = (math.ceil(x / step_size - 1e-6) for x in (envelope.minimum, envelope.maximum))
    for number in range(first, last - 1, 7):
        value = number * step_size
        assert lever.value(lever.pressure_pa(value)) == pytest.approx(value, abs=1e-3 * step_size)
        between_pa = lever.pressure_pa(value) * 1.0002
        assert lever.value(between_pa) > value
    assert lever.value(1e6) == envelope.maximum
    assert lever.value(1e3) == envelope.minimum


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_is_told_in_what_the_devices_take(snapshots, now_s, kind):
    """Every commanded point once, within its range and step, and the sentence in its unit."""
    site = pod_by(kind)
    group = site.groups["tcs-1"]
    result = step(initial_state(), snapshots[kind], (), now_s, site)
    (plan,) = result.plans
    assert sorted(s.point for s in plan.setpoints) == sorted(group.commands.values())
    for setpoint in plan.setpoints:
        envelope = site.envelopes[setpoint.point]
        assert envelope.minimum <= setpoint.value <= envelope.maximum
        assert abs(setpoint.value - setpoint.current) <= envelope.max_step * 1.001
        assert result.state.moves[setpoint.point].value == setpoint.value
    asked = [s for s in plan.setpoints if s.point in group.taken("flow") + group.taken("pump_speed")]
    assert len({s.value for s in asked}) == 1
    assert asked[0].design == group.design["pump_speed" if kind == "speed" else "flow"]
    assert plan.reason.code == ("plan_move_pump_speed" if kind == "speed" else "plan_move_flow")
    assert ("%" if kind == "speed" else "l/min") in plan.reason.text
    assert "kPa" not in plan.reason.text
    assert result.state.plans == result.plans


def test_a_flow_goes_where_a_pressure_would(snapshots, now_s, pod, pod_snapshot):
    """The same plant, the same optimum: the master's flow is what the racks take at the pressure."""
    by_pressure = step(initial_state(), pod_snapshot, (), now_s, pod).plans[0]
    by_flow = step(initial_state(), snapshots["master"], (), now_s, pod_by("master")).plans[0]
    target = {s.point: s.target for p in (by_pressure, by_flow) for s in p.setpoints}
    flow_m3_s = 0.0232 * (target["cdu-1/differential_pressure_setpoint"] / 110e3) ** (1 / 1.85)
    assert target["cdu-1/flow_setpoint"] == pytest.approx(flow_m3_s, rel=0.03)
    assert by_flow.predicted_cooling_w == pytest.approx(by_pressure.predicted_cooling_w, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_within_its_dwell_a_setpoint_is_asked_again_to_the_digit(snapshots, now_s, kind):
    """Also where the flow that a speed gives is seen a little differently: no move restarts the clock."""
    site, point = pod_by(kind), POINT[kind]
    first = step(initial_state(), snapshots[kind], (), now_s, site)
    value = first.state.moves[point].value
    effective = point.replace("/", "/effective_")
    flows = {f"cdu_{n}__tcs_flow": snapshots[kind].value(f"cdu-{n}/tcs_flow") * 1.004 for n in (1, 2)}
    later = told(snapshots[kind], **flows)
    later = replace(later, readings={**later.readings, effective: replace(later.readings[effective], value=value)})
    again = step(first.state, later, (), now_s + 60.0, site)
    assert again.state.moves[point] == first.state.moves[point]


def test_who_makes_up_for_a_lost_cdu(pod):
    """A master holds the loop's flow, pumps of one speed run out along their curve, each its own flow keeps half."""
    found = {}
    for kind in WhenLost:
        design = replace(loop_design(pod, pod.groups["tcs-1"]), when_lost=kind)
        gpu_w = CASE_TOLERANCE * design.index_rack.gpu_power_w
        load = Load(heat_w=design.liquid_heat_w, it_w=design.rack_power_w, gpu_w=gpu_w, air=Outdoor(20.0))
        at = (np.array([x]) for x in (32.0, 110e3, 27.0))
        found[kind] = float(lost_cdu_case_c(design, load, *at)[0])
    assert found[WhenLost.MAKES_UP] + 0.3 < found[WhenLost.KEEPS_SPEED] < found[WhenLost.KEEPS_FLOW] - 1.0
    assert [pod_by(k).groups["tcs-1"].when_lost for k in KINDS] == list(WhenLost)


@pytest.mark.parametrize("kind", KINDS)
def test_the_chosen_point_survives_the_loss_of_a_cdu(snapshots, kind):
    """At full load, where the optimiser wants to be: the twin's largest CDU stops, and no case meets its limit."""
    site = pod_by(kind)
    by_flow = translation(site, snapshots[kind])
    group = by_flow.site.groups["tcs-1"]
    ahead = step(initial_state(), snapshots[kind], (), snapshots[kind].at_s, site).forecast
    heat = next(h for h in ahead.heats if h.subject == "tcs-1")
    problem = build_problem(by_flow.site, by_flow.snapshot, group, heat, ())
    gpu_w = CASE_TOLERANCE * problem.design.index_rack.gpu_power_w
    full = Load(heat_w=problem.design.liquid_heat_w, it_w=problem.design.rack_power_w, gpu_w=gpu_w, air=Outdoor(28.0))
    choice = search(replace(problem, upper=full, median=full))
    assert choice.feasible
    supply_c, dp_pa, facility_c = choice.target
    sky = Weather(dry_bulb_c=20.0, dew_point_c=8.0, wet_bulb_c=13.0, relative_humidity=0.46)
    plant = SimulatedPlant(site, 0.0, sky=lambda _: sky, work=lambda *_: 1.0)
    asked = dict.fromkeys(site.groups["tcs-1"].taken("flow") + site.groups["tcs-1"].taken("pump_speed"), dp_pa)
    asked = {point: by_flow.levers[POINT[kind]].value(dp_pa) for point in asked}
    asked |= {"cdu-1/supply_temperature_setpoint": supply_c, "dry-coolers/leaving_temperature_setpoint": facility_c}
    before_m3_s = after_m3_s = 0.0
    for minute in range(120):
        for number, point in enumerate(asked):
            device = point.partition("/")[0]
            plant.command(f"{device}/remote_enable", 1.0)
            plant.command(f"{device}/heartbeat", float(minute * 10 + number))
            plant.command(point, asked[point])
        for _ in range(60 if 59 < minute < 65 else 1):  # pumps speed up within seconds
            plant.step(1.0 if 59 < minute < 65 else 60.0)
        if minute == 59:
            before_m3_s, plant.faults.stopped = plant.groups[0].loop.bank.total_flow_m3_s, {"cdu-2"}
            plant.ledger = Ledger(site.limits)
    after_m3_s = plant.groups[0].loop.bank.total_flow_m3_s
    assert plant.ledger.highest_case_c < LIMIT_C
    kept = {"master": (0.62, 1.01), "each": (0.49, 0.51), "speed": (0.52, 0.75)}[kind]
    assert kept[0] < after_m3_s / before_m3_s < kept[1]


def test_what_racks_are_seen_to_take_leaves_a_commanded_flow_as_it_is(pod):
    """Whether their valves are open or half shut, they share what is sent: only the shares are news."""
    site = pod_by("master")
    group = site.groups["tcs-1"]
    sure = Estimate(log=-0.2, variance=1e-6, count=500, since_s=0.0, at_s=1e6)
    known = Known(estimates={key_of(f"rack-0{n}", RACK_FLOW.name): sure for n in range(1, 9)})
    told_design = loop_design(site, group)
    found = applied(told_design, site, group, known)
    at_pa = np.array([60e3, 110e3])
    clogged = applied(told_design, pod, pod.groups["tcs-1"], known)
    assert (loop_flow(clogged, at_pa) < 0.9 * loop_flow(told_design, at_pa)).all(), "by pressure it is news"
    np.testing.assert_allclose(loop_flow(found, at_pa), loop_flow(told_design, at_pa), rtol=1e-9)


def test_a_limit_of_pressure_bounds_the_flow_as_the_loop_shows_it(snapshots):
    """Racks of more resistance than designed come to the limit at less flow."""
    site, snapshot = pod_by("master"), snapshots["master"]
    limit = Limit(id="dp", quantity="tcs_differential_pressure", minimum=None, maximum=130e3, source="hoses")
    site = replace(site, limits={**site.limits, "dp": limit})
    dp_pa = snapshot.value("cdu-1/tcs_differential_pressure")
    clogged = told(snapshot, cdu_1__tcs_differential_pressure=1.2 * dp_pa)
    tops = [translation(site, s).site.envelopes["cdu-1/flow_setpoint"].maximum for s in (snapshot, clogged)]
    assert tops[0] == pytest.approx(130e3, rel=0.04)
    assert tops[1] == pytest.approx(tops[0] / 1.2, rel=1e-3)


def test_a_rack_without_a_figure_costs_the_plan_and_says_so(snapshots, now_s):
    """Nothing is asked of its pumps meanwhile."""
    site = pod_by("master")
    rack = site.equipment["rack-01"]
    less = replace(rack, design={k: v for k, v in rack.design.items() if k != "dp_pa"})
    site = replace(site, equipment={**site.equipment, "rack-01": less})
    result = step(initial_state(), snapshots["master"], (), now_s, site)
    assert result.plans == ()
    assert [(c.code, c.subject) for c in result.conditions] == [("design_incomplete", "tcs-1")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_pump_is_answered_with_all_the_flow_there_is(snapshots, now_s, kind, monkeypatch):
    """Where what is left does not carry the heat: of every CDU, a step towards the most that may be written."""
    monkeypatch.setattr("controller.answering.carries", lambda *_: False)
    site = pod_by(kind)
    gone = told(snapshots[kind], cdu_2__tcs_flow=0.0, cdu_2__status=2.0, cdu_2__alarms=2.0)
    result = step(initial_state(), gone, (), now_s, site)
    assert any(c.code == "pump_tripped" for c in result.conditions)
    (plan,) = result.plans
    taken = site.groups["tcs-1"].taken("flow") + site.groups["tcs-1"].taken("pump_speed")
    asked = [s for s in plan.setpoints if s.point in taken]
    assert len(asked) == len(taken)
    for setpoint in asked:
        assert setpoint.target == pytest.approx(site.envelopes[setpoint.point].maximum, rel=2e-3)
        assert setpoint.value > setpoint.current


def test_reserve_is_judged_by_who_makes_up(snapshots):
    """At the same setpoints a master's loop keeps more than one whose CDUs hold their own."""
    margins = [ReserveWatch(pod_by(kind)).margin_k(snapshots[kind]) for kind in ("master", "speed", "each")]
    assert margins == sorted(margins, reverse=True)
    assert margins[0] - margins[-1] > 2.0


def test_the_sites_own_rule_moves_every_cdu(snapshots, now_s):
    """Trim and respond in the flow of each, to more than two digits."""
    site = pod_by("each")
    group = site.groups["tcs-1"]
    state = RuleState(values={"flow": 0.0116}, next_s=now_s - 1.0)
    asked = {s.point: s.value for s in ruled(site, snapshots["each"], group, state, now_s).setpoints}
    assert asked["cdu-1/flow_setpoint"] == asked["cdu-2/flow_setpoint"] == pytest.approx(0.0114, abs=1e-6)


def test_a_sidecars_flow_is_not_rounded_away(lab, now_s):
    """Setpoints in cubic metres a second need more than two digits."""
    group = lab.groups["air-assisted"]
    current, goal = {"supply_temperature": 36.0, "flow": 0.0007}, {"supply_temperature": 36.0, "flow": 0.0012}
    values, _ = one_step(lab, group, current, goal, {}, now_s)
    assert values["flow"] == pytest.approx(0.0008)

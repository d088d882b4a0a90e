"""What silent instruments are replaced by: near the truth within what is said of it, and reserves that grow with it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from controller.design import loop_design
from controller.forecasting.widening import widened
from controller.heats import cdu_heats
from controller.hunting import hunting, watched
from controller.identification.observing import observed, plates
from controller.identification.parameters import EFFICIENCY
from controller.inputs import outdoor, supply
from controller.optimise import judge
from controller.problems import STAND_IN_K, build_problem
from controller.step import initial_state, step
from plant.live import Snapshot


def without(snapshot, *starts):
    """A snapshot without points that begin so; setpoints in force are still told."""
    left = {p: r for p, r in snapshot.readings.items() if not p.startswith(starts) or p.endswith("_setpoint")}
    return Snapshot(at_s=snapshot.at_s, readings=left)


WAYS = {
    "by facility water": ("cdu-2/tcs",),
    "its flow by racks": ("cdu-2/tcs_flow", "cdu-2/fws"),
    "one rack tells no flow": ("cdu-2/tcs_flow", "cdu-2/fws", "rack-03/liquid_flow"),
    "its supply by the other CDU": ("cdu-2/tcs_supply", "cdu-2/fws"),
    "its return by the other CDU": ("cdu-2/tcs_return", "cdu-2/fws"),
    "its return by racks": ("cdu-2/tcs_return", "cdu-2/fws", "cdu-1/tcs_return"),
    "by racks' power": ("cdu-2/tcs", "cdu-2/fws", "rack-03/liquid_flow", "rack-04/power"),
    "a rack by its GPUs": ("cdu-2/tcs", "cdu-2/fws", "rack-03/power", "rack-03/liquid"),
    "a rack by its siblings": ("cdu-2/tcs", "cdu-2/fws", "rack-03"),
}


@pytest.mark.parametrize("gone", WAYS.values(), ids=WAYS)
def test_a_members_heat_is_inferred_within_what_is_said_of_it(pod, pod_snapshot, gone):
    """Each way alone: marked as a substitute, with a deviation that its error keeps to."""
    group = pod.groups["tcs-1"]
    true_w = cdu_heats(pod, pod_snapshot, group)["cdu-2"].heat_w
    heat = cdu_heats(pod, without(pod_snapshot, *gone), group)["cdu-2"]
    assert heat.substitute
    assert heat.detail.startswith("cdu-2/tcs_")
    assert 0.0 < heat.sd_w < 0.15 * pod.equipment["cdu-2"].design["heat_w"]
    assert abs(heat.heat_w - true_w) < 2 * heat.sd_w


def test_the_less_is_told_the_less_sure_it_is(pod, pod_snapshot):
    """Facility water is surer than racks, racks that tell surer than siblings; with nothing left nothing is known."""
    group = pod.groups["tcs-1"]
    order = ("by facility water", "by racks' power", "a rack by its siblings")
    sds = [cdu_heats(pod, without(pod_snapshot, *WAYS[way]), group)["cdu-2"].sd_w for way in order]
    assert sds == sorted(sds)
    nothing = cdu_heats(pod, without(pod_snapshot, "cdu-2", "rack-"), group)["cdu-2"]
    assert not nothing.known
    assert not nothing.substitute


def test_a_substitutes_error_is_in_the_forecast_and_in_the_plan(pod, pod_snapshot, now_s):
    """Bands grow by it, both ways, the middle stays; the plan keeps more to the limit and says why."""
    sure = step(initial_state(), pod_snapshot, (), now_s, pod)
    unsure = step(initial_state(), without(pod_snapshot, *WAYS["a rack by its siblings"]), (), now_s, pod)
    (told,) = (c for c in unsure.conditions if c.code == "heat_substituted")
    assert told.cause.params["sd_kw"] > 10.0
    low, middle, high = (
        next(h for h in unsure.forecast.heats if h.subject == "tcs-1").at(q) for q in (0.05, 0.5, 0.95)
    )
    known = next(h for h in sure.forecast.heats if h.subject == "tcs-1")
    assert high[0] - middle[0] > 1.6 * 1e3 * told.cause.params["sd_kw"]
    assert high[0] - low[0] > known.at(0.95)[0] - known.at(0.05)[0]
    assert unsure.plans


def test_widening_adds_independent_errors(pod, pod_snapshot, now_s):
    """sqrt(band² + (1.645 sd)²) at 95 %; subjects without a substitute, and forecasts without any, stay."""
    ahead = step(initial_state(), pod_snapshot, (), now_s, pod).forecast
    assert widened(ahead, {"tcs-1": 0.0}) is ahead
    wider = widened(ahead, {"tcs-1": 5e4})
    old, new = (next(h for h in f.heats if h.subject == "tcs-1") for f in (ahead, wider))
    assert new.at(0.5) == old.at(0.5)
    band_w = old.at(0.95)[7] - old.at(0.5)[7]
    assert new.at(0.95)[7] - new.at(0.5)[7] == pytest.approx(math.hypot(band_w, 1.6449 * 5e4), rel=1e-4)
    assert [h for h in wider.heats if h.subject != "tcs-1"] == [h for h in ahead.heats if h.subject != "tcs-1"]


def test_outdoor_air_comes_from_the_coolers_water(pod, pod_snapshot, now_s):
    """Warmer than it is by some kelvins at most, never below; with the CDUs' water, too; with none there is no plan."""
    group, true_c = pod.groups["tcs-1"], pod_snapshot.get("dry-coolers/outdoor_dry_bulb")
    water = ("dry-coolers/entering", "dry-coolers/leaving", "dry-coolers/flow")
    for more in ((), water, (*water, "fws-pumps/flow"), (*water, "cdu-1/fws_flow"), ("dry-coolers/fan_speed",)):
        silent = without(pod_snapshot, "dry-coolers/outdoor", *more)
        air = outdoor(pod, silent, group)
        assert true_c <= air.dry_bulb_c <= pod_snapshot.get("dry-coolers/leaving_temperature")
        assert air.dry_bulb_c < true_c + 4.0 or more == ("dry-coolers/fan_speed",)
        assert air.detail == "dry-coolers"
        result = step(initial_state(), silent, (), now_s, pod)
        assert result.plans
        assert [c.code for c in result.conditions] == ["outdoor_inferred"]
    unknown = step(initial_state(), without(pod_snapshot, "dry-coolers", "cdu-1/fws", "cdu-2/fws"), (), now_s, pod)
    assert not unknown.plans
    assert "inputs_missing" in {c.code for c in unknown.conditions}


def test_a_standing_pump_that_tells_no_pressure_tells_nothing(pod, pod_snapshot):
    """What is told beside the silent instrument is zero: no division, no observation."""
    readings = {
        p: replace(r, value=0.0) if p == "fws-pumps/active_power" else r for p, r in pod_snapshot.readings.items()
    }
    silent = without(Snapshot(at_s=pod_snapshot.at_s, readings=readings), "fws-pumps/differential", "meter-fws-pumps")
    group = pod.groups["tcs-1"]
    found = {(e, p.name): o for e, p, o in observed(pod, silent, group, loop_design(pod, group))}
    assert found["fws-pumps", EFFICIENCY.name] is None


def test_the_masters_supply_is_told_by_its_neighbours(pod, pod_snapshot, now_s):
    """The plan goes on with half a kelvin more to the limit, and says so; one neighbour is not enough."""
    group = pod.groups["tcs-1"]
    silent = without(pod_snapshot, "cdu-1/tcs_supply")
    assert supply(pod, silent, group) == pytest.approx(supply(pod, pod_snapshot, group), abs=0.3)
    told, result = (step(initial_state(), s, (), now_s, pod) for s in (pod_snapshot, silent))
    assert {c.code for c in result.conditions} == {"heat_substituted", "supply_inferred"}
    assert not result.let_go
    asked, unsure = (r.plans[0].setpoints[0].target for r in (told, result))
    assert unsure <= asked
    one = step(initial_state(), without(pod_snapshot, "cdu-1/tcs_supply", "rack-"), (), now_s, pod)
    assert one.let_go == {"tcs-1": "supply_sensor_lost"}


def test_a_loop_hunts_by_its_neighbours_too(pod, pod_snapshot):
    """Without the master's sensor the neighbours' mean swings around the setpoint."""
    silent, swings = without(pod_snapshot, "cdu-1/tcs_supply"), {}
    names = {p for p in silent.readings if p.endswith(("tcs_supply_temperature", "liquid_supply_temperature"))}
    for minute in range(16):
        off_k = 2.0 if minute % 2 else -2.0
        readings = {p: replace(r, value=r.value + off_k * (p in names)) for p, r in silent.readings.items()}
        swings = watched(swings, pod, Snapshot(at_s=60.0 * minute, readings=readings), 60.0 * minute)
    assert hunting(swings, pod.groups["tcs-1"]) == "cdu-1/supply_temperature_setpoint"


def test_a_rack_without_a_flow_meter_shows_its_plates_by_its_siblings(pod, pod_snapshot):
    """Though a CDU's flow meter is silent, too: nearly the same look, less sure."""
    group, design = pod.groups["tcs-1"], loop_design(pod, pod.groups["tcs-1"])
    gpus = [f"rack-03/gpu-{i:02d}" for i in range(8)]
    case, power = (replace(pod_snapshot.readings["rack-03/power"], value=v) for v in (62.0, 1200.0))
    shown = {f"{g}/temperature": case for g in gpus} | {f"{g}/power": power for g in gpus}
    whole = Snapshot(at_s=pod_snapshot.at_s, readings={**pod_snapshot.readings, **shown})
    silent = without(whole, "cdu-1/tcs_flow", "rack-03/liquid_flow")
    told, inferred = ({r: look for r, _, look in plates(pod, s, group, design)}["rack-03"] for s in (whole, silent))
    assert inferred.log == pytest.approx(told.log, abs=0.02)
    assert inferred.bias > told.bias


def test_an_unsure_supply_tightens_plans_but_not_the_limit_that_cases_are_seen_against(pod, pod_snapshot, now_s):
    """Half a kelvin in every margin that hangs on supply; the case limit itself stays."""
    group = pod.groups["tcs-1"]
    heat = next(h for h in step(initial_state(), pod_snapshot, (), now_s, pod).forecast.heats if h.subject == "tcs-1")
    snapshots = pod_snapshot, without(pod_snapshot, "cdu-1/tcs_supply")
    sure, unsure = (build_problem(pod, s, group, heat, ()) for s in snapshots)
    assert unsure.bounds.case_c == sure.bounds.case_c
    point = np.array([sure.current])
    for name in ("case_temperature", "worst_case", "dew_point"):
        more, less = (judge(p, point).margins[name][0] for p in (sure, unsure))
        assert more - less == pytest.approx(STAND_IN_K), name

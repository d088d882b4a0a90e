"""What identification promises: true parameters within their intervals, caution in plans, no finding without a change."""

from __future__ import annotations

import math
import pickle
import random
from dataclasses import replace

import numpy as np
import pytest

from controller.asking import setpoints_to_ask
from controller.design import loop_design
from controller.heats import Heat
from controller.identification.applied import applied
from controller.identification.cycle import known_of_all
from controller.identification.dynamics import USUAL_S, response
from controller.identification.estimates import BOUND, Estimate, Observation, updated
from controller.identification.exchangers import Exchanger, ua_of
from controller.identification.excitation import probed
from controller.identification.findings import LASTS_S, findings
from controller.identification.known import Baseline, Change, Known, kept, recalled
from controller.identification.observing import observed, plates
from controller.identification.parameters import CASE, RACK_FLOW, UA
from controller.model import case_resistance, rack_flow
from controller.plates import Plate
from controller.step import initial_state, step
from plant.intents import Mode, ModeState
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

DAY_S = 86400.0


@pytest.fixture(scope="module")
def loop(pod):
    """The pod's loop and its design by the site file."""
    return pod.groups["tcs-1"], loop_design(pod, pod.groups["tcs-1"])


def _shown(design, cdu, ratio, hot_share, cold_share, supply_c=34.0, load=None):
    """What a CDU whose exchanger has `ratio` of its UA shows: four temperatures, both flows, pump power."""
    flow, water = hot_share * cdu.flow_m3_s, cold_share * cdu.facility_flow_m3_s
    hot_w_k, cold_w_k = flow * design.coolant.heat_j_m3_k, water * design.water.heat_j_m3_k
    plate = Plate(
        ua_w_k=ratio * cdu.ua_w_k,
        hot_w_k=cdu.flow_m3_s * design.coolant.heat_j_m3_k,
        cold_w_k=cdu.facility_flow_m3_s * design.water.heat_j_m3_k,
        most_w_k=1.0,
    )
    heat_w, pump_w = 4e5 * (hot_share if load is None else load), 5e3
    warm_c = supply_c + (heat_w - pump_w) / hot_w_k
    cold_c = warm_c - heat_w / float(plate.per_kelvin(np.array(hot_w_k), np.array(cold_w_k)))
    return supply_c, warm_c, cold_c, cold_c + heat_w / cold_w_k, flow, water, pump_w


def test_ua_is_the_inverse_of_effectiveness():
    """UA of an exchanger's heat is the UA that it was made with, equal streams included."""
    for hot, cold in ((5e4, 6e4), (6e4, 2e4), (5e4, 5e4)):
        plate = Plate(ua_w_k=9e4, hot_w_k=hot, cold_w_k=cold, most_w_k=1.0)
        assert ua_of(float(plate.per_kelvin(np.array(hot), np.array(cold))), hot, cold) == pytest.approx(9e4, rel=1e-3)
    assert math.isnan(ua_of(4.99e4, 5e4, 6e4))


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.2])
@pytest.mark.parametrize("flows", [(0.5, 0.3), (0.7, 0.7), (1.0, 0.9)])
def test_fouling_is_told_from_flow(loop, ratio, flows):
    """At any flows the same ratio to the design's UA comes out."""
    _, design = loop
    cdu = design.cdus[0]
    exchanger = Exchanger(cdu=cdu, coolant=design.coolant, water=design.water)
    assert exchanger.log_ratio(*_shown(design, cdu, ratio, *flows)) == pytest.approx(math.log(ratio), abs=1e-3)


def test_heat_that_does_not_balance_tells_nothing_of_an_exchanger(loop):
    """A water flow that reads half makes no fouling out of nothing."""
    _, design = loop
    exchanger = Exchanger(cdu=design.cdus[0], coolant=design.coolant, water=design.water)
    shown = list(_shown(design, design.cdus[0], 1.0, 0.7, 0.7))
    shown[5] *= 0.5
    assert math.isnan(exchanger.log_ratio(*shown))


def test_no_sensor_misleads_far_and_no_average_hides_its_bias():
    """However often a wild reading comes, the estimate stays in bounds and its interval keeps the instrument's error."""
    estimate = Estimate()
    for look in range(1000):
        estimate = updated(estimate, Observation(math.log(10.0), 0.01, 0.05**2), 0.03, 300.0 * look)
    assert abs(estimate.log) <= BOUND
    assert estimate.sd >= 0.05
    assert estimate.variance < 0.03**2


def test_good_news_waits_and_bad_news_does_not():
    """A worse value counts when it is sure, a better one when confirmed, and then only by its cautious end."""
    early = Estimate(log=math.log(0.8), variance=1e-4, bias=0.05**2, count=12)
    assert early.cautious(less_is_worse=True) == pytest.approx(0.8)
    assert early.cautious(less_is_worse=False) == 1.0
    late = replace(early, count=72)
    assert late.cautious(less_is_worse=False) == pytest.approx(late.interval[1])
    assert 0.8 < late.interval[1] < 1.0
    doubtful = replace(late, bias=0.2**2)
    assert doubtful.cautious(less_is_worse=True) == doubtful.cautious(less_is_worse=False) == 1.0
    first = replace(early, count=2)
    assert 0.8 < first.cautious(less_is_worse=True) == first.interval[1] < 1.0
    assert replace(early, count=1).cautious(less_is_worse=True) == 1.0


def test_plans_use_worse_exchangers_plates_and_flows(pod, loop):
    """What was identified reaches the model: UA by CDU, the worst plate, the least flow."""
    group, design = loop
    sure = {"variance": 1e-4, "bias": 1e-4, "count": 100}
    known = Known(
        estimates={
            "cdu-1/ua": Estimate(log=math.log(0.8), **sure),
            "rack-03/case_resistance": Estimate(log=math.log(1.2), **sure),
            "rack-05/rack_flow": Estimate(log=math.log(0.9), **sure),
        }
    )
    fitted = applied(design, pod, group, known)
    assert fitted.cdu_ua_w_k == pytest.approx(0.9 * design.cdu_ua_w_k)
    kind = fitted.racks[0][0]
    assert kind.case_resistance_k_w == pytest.approx(1.2 * design.racks[0][0].case_resistance_k_w)
    least = fitted.least_flow_share * float(rack_flow(kind, np.array(1e5)))
    assert least == pytest.approx(0.9 * float(rack_flow(design.racks[0][0], np.array(1e5))), rel=1e-6)
    assert applied(design, pod, group, Known()) == design


def test_only_good_readings_are_looked_at(pod, pod_snapshot, loop):
    """A stale temperature takes its exchanger out, and nothing else."""
    group, design = loop
    point = "cdu-1/fws_return_temperature"
    bad = replace(pod_snapshot.readings[point], quality=Quality.BAD, reason=Reason.STALE)
    doubtful = Snapshot(at_s=pod_snapshot.at_s, readings={**pod_snapshot.readings, point: bad})
    before, after = ({(e, p.name): s for e, p, s in observed(pod, s, group, design)} for s in (pod_snapshot, doubtful))
    assert before["cdu-1", UA.name] is not None
    assert after["cdu-1", UA.name] is None
    assert {k for k in before if before[k] is None} | {("cdu-1", UA.name), ("cdu-1", "heat_balance")} == {
        k for k in after if after[k] is None
    }


def test_a_plant_like_its_site_file_looks_like_it(pod, pod_snapshot, loop):
    """On the undisturbed twin exchangers and rack flows come out within a tenth of the site file's."""
    group, design = loop
    seen = {(e, p): s for e, p, s in observed(pod, pod_snapshot, group, design) if s is not None}
    for name in ("cdu-1", "cdu-2"):
        assert abs(seen[name, UA].log) < 0.1
    flows = [s.log for (_, p), s in seen.items() if p is RACK_FLOW]
    assert len(flows) == 8
    assert max(map(abs, flows)) < 0.05


def test_plates_are_read_from_busy_gpus_and_a_wrong_sensor_does_not_matter(pod, pod_snapshot, loop):
    """The median of a rack's busy GPUs gives its resistance though three of them show nonsense; idle ones tell nothing."""
    group, design = loop
    kind, flow = design.racks[0][0], 0.0024

    def look(power_w):
        rise_k = 1.2 * float(case_resistance(kind, np.array(flow), design.coolant.heat_j_m3_k)) * power_w
        values = {"rack-01/liquid_supply_temperature": 35.0, "rack-01/liquid_flow": flow}
        for gpu in range(pod.gpus_per_rack):
            name = f"rack-01/gpu-{gpu:02d}"
            values |= {f"{name}/power": power_w, f"{name}/temperature": 35.0 + (90.0 if gpu < 3 else rise_k)}
        shown = {p: Reading(v, 0.0, 0.0, Quality.GOOD, Reason.NONE) for p, v in values.items()}
        others = {p: r for p, r in pod_snapshot.readings.items() if not p.startswith("rack-01/")}
        snapshot = Snapshot(at_s=pod_snapshot.at_s, readings={**others, **shown})
        return next(s for e, p, s in plates(pod, snapshot, group, design) if (e, p) == ("rack-01", CASE))

    assert look(1300.0).log == pytest.approx(math.log(1.2), abs=1e-3)
    assert look(700.0).bias > 4 * look(1300.0).bias
    assert look(100.0) is None


def test_plates_are_known_though_setpoints_move_all_the_time(pod, pod_snapshot, loop):
    """In ten looks, each with another pressure than the last, plates become known and exchangers do not."""
    kind, flow, heat_j_m3_k = loop[1].racks[0][0], 0.0024, loop[1].coolant.heat_j_m3_k
    case_c = 35.0 + 1.25 * float(case_resistance(kind, np.array(flow), heat_j_m3_k)) * 1200.0
    values = {"rack-01/liquid_supply_temperature": 35.0, "rack-01/liquid_flow": flow, "rack-01/power": 110e3}
    for gpu in range(4):  # a few that tell are enough
        values |= {f"rack-01/gpu-{gpu:02d}/power": 1200.0, f"rack-01/gpu-{gpu:02d}/temperature": case_c}
    others = {p: r for p, r in pod_snapshot.readings.items() if "/gpu-" not in p and "liquid_return" not in p}
    known = {}
    for look in range(10):
        values["cdu-1/effective_differential_pressure_setpoint"] = 1e5 + 1e3 * look
        shown = {p: Reading(v, 0.0, 0.0, Quality.GOOD, Reason.NONE) for p, v in values.items()}
        snapshot = Snapshot(at_s=pod_snapshot.at_s + 600.0 * look, readings={**others, **shown})
        known = known_of_all(known, pod, snapshot, {"tcs-1": Heat(6e5)})
    estimates = known["tcs-1"].estimates
    assert {key for key in estimates if not key.endswith("time_constant")} == {"rack-01/case_resistance"}
    assert estimates["rack-01/case_resistance"].ratio == pytest.approx(1.25, rel=0.01)
    assert estimates["rack-01/case_resistance"].cautious(less_is_worse=False) > 1.1


def _in_auto(plan):
    mode = ModeState(loop=plan.loop, mode=Mode.AUTO, since_s=0.0, actor="", reason="")
    point = "cdu-1/differential_pressure_setpoint"
    asked = {s.point: s.value for s in setpoints_to_ask(plan, mode)}
    calm = {s.point: s.value for s in setpoints_to_ask(plan, replace(mode, mode=Mode.LIMITED))}
    return asked[point], calm[point]


def test_probing_is_small_upward_comes_back_and_ends_when_all_is_known(pod, pod_snapshot, now_s):
    """Asked for, in auto and with margin, a loop at rest gets 5 % more pressure for a quarter of an hour and no more."""
    (plan,) = step(initial_state(), pod_snapshot, (), now_s, pod).plans
    still = replace(plan, reason=replace(plan.reason, code="plan_stay"), worst_case_margin_k=6.0)
    still = replace(still, setpoints=tuple(replace(s, value=s.current) for s in still.setpoints))
    group = replace(pod.groups["tcs-1"], excitation="small")
    base_pa = next(s.current for s in still.setpoints if "pressure" in s.point)
    due, later = (replace(still, made_s=7200.0 * 1000 + after_s) for after_s in (60.0, 960.0))

    assert not probed(due, pod, pod.groups["tcs-1"], Known())[0].probe
    asked, known = probed(due, pod, group, Known())
    assert _in_auto(asked) == pytest.approx((1.05 * base_pa, base_pa), rel=0.1)
    assert _in_auto(asked)[0] == pytest.approx(base_pa + 0.05 * group.design["differential_pressure"])

    moved = tuple(replace(s, current=s.current + 5500.0) if "pressure" in s.point else s for s in later.setpoints)
    back, known = probed(replace(later, setpoints=moved), pod, group, known)
    assert _in_auto(back)[0] == pytest.approx(base_pa)
    done, known = probed(later, pod, group, known)
    assert not done.probe
    assert known.probe_base_pa is None

    assert not probed(replace(due, worst_case_margin_k=4.0), pod, group, Known())[0].probe
    moving = replace(due, reason=replace(plan.reason, code="plan_move"))
    assert not probed(moving, pod, group, known)[0].probe
    sure = Estimate(variance=1e-4, bias=1e-4, count=100)
    wanted = [f"{m}/ua" for m in group.members]
    wanted += [f"{r}/{p}" for r in group.racks for p in ("case_resistance", "rack_flow")]
    assert not probed(due, pod, group, Known(estimates=dict.fromkeys(wanted, sure)))[0].probe


class Days:
    """Days of a pod whose exchanger fouls: CDU readings with noise, everything else as in one snapshot."""

    def __init__(self, pod, snapshot, loop, fouling_per_day=0.0, *, offsets_k=(0.0,) * 4, idle_from=math.inf):
        self.pod, (self.group, self.design), self.fouling_per_day = pod, loop, fouling_per_day
        self.offsets_k, self.idle_from = offsets_k, idle_from
        self.readings = {k: r for k, r in snapshot.readings.items() if "/gpu-" not in k}
        self.rng, self.known, self.start_s = random.Random(5), {}, snapshot.at_s

    def pass_by(self, days, from_day=0.0):
        """Every five minutes; the flows swing with the load by day."""
        told = []
        for look in range(round(from_day * 288), round((from_day + days) * 288)):
            share = 0.7 + 0.2 * math.sin(2 * math.pi * look / 288)
            load = share if look / 288 < self.idle_from else 0.3
            ratio = math.exp(-self.fouling_per_day * max(look / 288 - 2.0, 0.0))
            now_s = self.start_s + 300.0 * look
            heats = {self.group.id: Heat(6e5)}
            self.known = known_of_all(self.known, self.pod, self._snapshot(ratio, share, load, now_s), heats)
            told.append((look / 288, findings(self.known, self.pod, now_s)))
        return told

    def _snapshot(self, ratio, share, load, now_s):
        cdu = self.design.cdus[0]
        names = ("tcs_supply", "tcs_return", "fws_supply", "fws_return")
        values = list(_shown(self.design, cdu, ratio, share, 0.9 * min(share, 1.5 * load), load=load))
        for index, offset_k in enumerate(self.offsets_k):
            values[index] += self.rng.gauss(offset_k, 0.05)
        values[4] *= 1 + self.rng.gauss(0.0, 0.005)
        points = [f"cdu-1/{n}_temperature" for n in names] + ["cdu-1/tcs_flow", "cdu-1/fws_flow"]
        shown = {p: Reading(v, now_s, 0.0, Quality.GOOD, Reason.NONE) for p, v in zip(points, values, strict=False)}
        return Snapshot(at_s=now_s, readings=self.readings | shown)


def test_a_quiet_week_finds_nothing(pod, pod_snapshot, loop):
    """Noise and a load that swings by day make no finding in a week."""
    told = Days(pod, pod_snapshot, loop).pass_by(7)
    assert not [conditions for _, conditions in told if conditions]


@pytest.mark.parametrize("offsets_k", [(0.2, -0.2, 0.2, -0.2), (-0.2, 0.2, -0.2, 0.2)])
def test_thermometers_a_little_off_are_no_finding_when_the_load_goes(pod, pod_snapshot, loop, offsets_k):
    """Offsets as installed sensors have them weigh more where temperatures lie closer: that is no wear and no drift."""
    days = Days(pod, pod_snapshot, loop, offsets_k=offsets_k, idle_from=1.1)
    assert not [conditions for _, conditions in days.pass_by(1.8) if conditions]


def test_fouling_is_found_with_size_and_cost_and_survives_a_restart(pod, pod_snapshot, loop):
    """An exchanger that loses 5 % a day from the third day on is told within five days, with kWh and since when."""
    days = Days(pod, pod_snapshot, loop, fouling_per_day=0.05)
    told = [(day, c) for day, conditions in days.pass_by(6) for c in conditions]
    assert {(c.code, c.subject) for _, c in told} == {("fouling", "cdu-1")}
    first_day, first = told[0]
    assert 2.0 + 0.12 / 0.05 <= first_day <= 6.0
    assert first.cause.params["change_pct"] >= 12
    assert told[-1][1].cause.params["change_pct"] > first.cause.params["change_pct"]
    assert first.remedy.params["kwh"] > 0
    assert "EUR" in first.remedy.params["cost"]
    days.known = {loop_id: recalled(kept(k)) for loop_id, k in days.known.items()}
    assert findings(days.known, pod, days.start_s + 6 * DAY_S + LASTS_S)
    assert pickle.loads(pickle.dumps(days.known)) == days.known


def test_sensors_that_drift_are_told_before_the_fouling_that_they_make(pod):
    """While both sides of a CDU disagree about its heat nobody knows its exchanger; another CDU's is told all the same."""
    moved, still = Estimate(log=-0.3, variance=1e-4, count=200), Baseline(log=0.0, variance=1e-4, at_s=0.0)
    names = ("cdu-1/ua", "cdu-1/heat_balance", "cdu-2/ua")
    every = {name: Change(since_s=0.0) for name in names}
    known = Known(estimates=dict.fromkeys(names, moved), baselines=dict.fromkeys(names, still), changes=every)
    told = {(c.code, c.subject) for c in findings({"tcs-1": known}, pod, 2 * LASTS_S)}
    assert told == {("sensor_drift", "cdu-1"), ("fouling", "cdu-2")}


def test_a_loops_time_constant_is_read_from_its_moves():
    """What is left of a move after a minute gives the time constant; small moves and finished ones give none."""
    assert response(1.0, math.exp(-60.0 / 90.0), 60.0).log == pytest.approx(math.log(90.0 / USUAL_S))
    assert response(-0.8, -0.8 * math.exp(-0.5), 30.0).log == pytest.approx(0.0)
    assert response(0.2, 0.1, 60.0) is None
    assert response(1.0, 0.01, 60.0) is None
    assert response(1.0, 0.5, 300.0) is None


def test_a_moving_loop_is_not_looked_at(pod, pod_snapshot, loop):
    """While setpoints move there are no looks; four minutes after the last move there are."""
    group, _ = loop
    point = "cdu-1/effective_supply_temperature_setpoint"

    def look(known, after_s, setpoint_c):
        reading = replace(pod_snapshot.readings[point], value=setpoint_c)
        snapshot = Snapshot(at_s=pod_snapshot.at_s + after_s, readings={**pod_snapshot.readings, point: reading})
        return known_of_all(known, pod, snapshot, {group.id: Heat(6e5)})

    known = {}
    for minute in range(10):
        known = look(known, 60.0 * minute, 30.0 + minute)
    assert set(known[group.id].estimates) <= {"cdu-1/time_constant"}
    known = look(known, 60.0 * 9 + 240.0, 39.0)
    assert known[group.id].estimates["cdu-1/ua"].count == 1

"""What plans keep for cold plates that may be worse than their figures, and how evidence shrinks it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from controller.design import loop_design
from controller.hottest import stands_for_w
from controller.identification.applied import applied
from controller.identification.cold_plates import beside_gpus
from controller.identification.estimates import Estimate, Observation, tells_more, updated
from controller.identification.known import Known
from controller.identification.observing import plates
from controller.identification.plate_reserve import SEEN_COUNT, SIBLINGS_SD, kind_of, of_kind, trusted, unseen
from controller.identification.sensing import CASE, of_gpus
from controller.model import case_resistance, full_load_case_c
from controller.step import initial_state, step
from plant.live import Reading, Snapshot
from plant.samples import Quality, Reason

UNSEEN = 1.25
GOOD = Observation(log=0.0, noise=1e-4, bias=4e-4)


def looked(ratio, times, load=1.0, place=0.0):
    """An estimate after so many looks."""
    estimate = Estimate()
    for look in range(times):
        seen = replace(GOOD, log=math.log(ratio), load=load, place=place)
        estimate = updated(estimate, seen, 0.015, 300.0 * look)
    return estimate


def test_what_nobody_has_seen_counts_as_bad_as_the_site_file_allows(unproven_pod):
    """A fifth of the design figure, or what the site states; nothing where it vouches for its plates."""
    rack = unproven_pod.equipment["rack-01"]
    assert unseen(rack) == pytest.approx(UNSEEN)
    assert unseen(replace(rack, design={**rack.design, "design_tolerance": 0.05})) == pytest.approx(1 / 0.95)
    group = replace(unproven_pod.groups["tcs-1"], reserve="none")  # which its design setpoints carry, but for N+1
    design = loop_design(unproven_pod, group)
    kept = applied(design, unproven_pod, group, Known()).racks[0][0].case_resistance_k_w
    assert kept == pytest.approx(UNSEEN * design.racks[0][0].case_resistance_k_w)


def test_a_thousandth_of_noise_does_not_cost_a_whole_step(unproven_pod):
    """Steps serve the tables; plates a tenth of a step above their figure count as it."""
    group = unproven_pod.groups["tcs-1"]
    design = loop_design(unproven_pod, group)

    def kept(ratio):
        seen = {f"{rack}/case_resistance": looked(ratio, 200) for rack in group.racks}
        found = applied(design, unproven_pod, group, Known(estimates=seen)).racks[0][0]
        return found.case_resistance_k_w / design.racks[0][0].case_resistance_k_w

    assert kept(1.0005) == pytest.approx(1.0)
    assert kept(1.096) == pytest.approx(1.095)
    assert kept(0.9) > 0.9 * math.exp(0.04)


def test_the_reserve_shrinks_as_looks_agree_and_never_below_what_plates_are():
    """From the tolerance at no look to the figure itself; plates that are worse are planned as at least as bad."""
    kept = [trusted(looked(1.0, n), UNSEEN) for n in (0, 1, SEEN_COUNT, 40)]
    assert kept[0] == UNSEEN
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == pytest.approx(1.0, abs=0.01)
    assert all(
        trusted(looked(ratio, n), UNSEEN) > 0.998 * ratio for ratio in (1.1, 1.25, 1.5) for n in (SEEN_COUNT, 100)
    )
    assert trusted(looked(0.8, 20), UNSEEN) == 1.0
    assert 0.8 < trusted(looked(0.8, 40), UNSEEN) < 0.9
    assert trusted(looked(0.96, 40), UNSEEN) == 1.0


def test_gpus_above_their_rating_have_used_the_tolerance_that_covers_plates():
    """The same evidence of worse plates keeps more where their GPUs were seen to draw a tenth more than rated."""
    rated, above = (trusted(looked(1.1, 40, load=load), UNSEEN) for load in (1.0, 1.1))
    assert rated == pytest.approx(1.1, abs=0.005)
    assert above > 1.02 * rated


def test_a_wild_look_proves_nothing():
    """Looks that may be off by a third keep the whole tolerance, whichever way they point."""
    wild = replace(looked(0.8, SEEN_COUNT), variance=0.3**2)
    assert trusted(wild, UNSEEN) == pytest.approx(UNSEEN)


def test_part_load_shows_less_than_full_load_did():
    """After a look at full load those at a third are passed over, until days have gone by; a fuller one counts anew."""
    estimate = looked(1.0, 20, load=0.95)
    low = replace(GOOD, log=0.2, load=0.35)
    assert not tells_more(estimate, low, estimate.at_s + 3600.0, 0.15)
    assert tells_more(estimate, replace(low, load=0.85), estimate.at_s + 3600.0, 0.15)
    assert tells_more(estimate, low, estimate.at_s + 7 * 86400.0, 0.15)
    at_part = looked(1.0, 20, load=0.5)
    full = updated(at_part, replace(GOOD, log=math.log(1.2)), 0.015, at_part.at_s + 300.0)
    assert full.ratio > 1.15


def test_another_flow_is_learned_anew():
    """What twenty looks at design flow said yields at once to one at half of it."""
    estimate = looked(1.0, 20)
    seen = replace(GOOD, log=math.log(1.15), place=math.log(0.5))
    there = updated(estimate, seen, 0.015, estimate.at_s + 300.0)
    here = updated(estimate, replace(seen, place=0.0), 0.015, estimate.at_s + 300.0)
    assert there.ratio > 1.13
    assert here.ratio < 1.08


def test_a_rack_that_shows_little_goes_by_its_siblings():
    """Hidden ones, and one at part load whose look may be off by much, count as those that are busy, a little worse."""
    racks = {f"rack-{n:02d}": UNSEEN for n in range(1, 9)}
    seen = {f"rack-{n:02d}/case_resistance": looked(1.05, 40) for n in range(1, 4)}
    vague = replace(looked(1.15, 40, load=0.35), bias=0.1**2)
    assert trusted(vague, UNSEEN) > 1.2
    kept = of_kind(racks, Known(estimates={**seen, "rack-04/case_resistance": vague}))
    assert all(1.05 < kept[rack] < 1.08 for rack in racks)
    assert set(of_kind(racks, Known()).values()) == {UNSEEN}


def test_racks_that_agree_make_those_that_showed_nothing_surer():
    """The more of them showed the same, the less a hidden one is expected to differ; one alone, or vague ones, nothing.

    Where they differ by more than siblings are expected to, that counts, however many they are.
    """
    spreads = [kind_of([looked(1.02, 40)] * count).between for count in (1, 3, 8, 40)]
    assert spreads[0] == pytest.approx(SIBLINGS_SD**2)
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 0.2 * spreads[0]
    assert kind_of([looked(1.02, 40)] + [replace(looked(1.02, 1), bias=0.1**2)] * 40).between > 0.95 * spreads[0]
    assert kind_of([looked(ratio, 40) for ratio in (0.96, 1.0, 1.04) * 10]).between > 0.03**2


def test_a_rack_whose_plates_are_worse_is_not_lost_among_its_siblings():
    """What a rack itself has shown stays, and makes those that showed nothing count as less sure."""
    racks = {f"rack-{n:02d}": UNSEEN for n in range(1, 9)}
    good = {f"rack-{n:02d}/case_resistance": looked(1.0, 40) for n in range(1, 7)}
    kept = of_kind(racks, Known(estimates={**good, "rack-07/case_resistance": looked(1.15, 40)}))
    assert kept["rack-07"] > 1.13
    assert kept["rack-01"] == pytest.approx(1.0, abs=0.01)
    assert kept["rack-08"] > of_kind(racks, Known(estimates=good))["rack-08"] + 0.02


def test_what_misleads_all_racks_alike_is_not_averaged_away():
    """Noise shrinks with the number of racks, the bias of their instruments does not; one rack alone is what it was."""
    many, one = kind_of([looked(1.02, 10)] * 100), looked(1.02, 10)
    assert many.rack(one).bias == one.bias
    assert many.variance < 0.1 * kind_of([one]).variance
    alone = kind_of([one]).rack(one)
    assert (alone.log, alone.sd) == (pytest.approx(one.log), pytest.approx(one.sd))


def test_whole_degrees_average_out_where_gpus_differ_by_more_and_an_offset_counts_at_part_load():
    """A thousand readings of 6 K within a fifth of a kelvin are all rounded alike, of 30 K they are not."""
    idle, full = of_gpus(1000, 6.0, 0.2), of_gpus(1000, 30.0, 1.0)
    rng = np.random.default_rng(1)
    off = [_rounding(rng, 6.0), _rounding(rng, 30.0)]
    assert idle.noise == pytest.approx(math.hypot(CASE.noise, off[0]), rel=0.1)
    assert full.noise == pytest.approx(math.hypot(CASE.noise, off[1]), rel=0.1)
    assert full.bias < 0.1
    assert idle.bias > 0.35


def _rounding(rng, rise_k):
    """RMS error of the mean of a thousand readings in whole degrees [K], over many rises."""
    means = rise_k + rng.uniform(0.0, 1.0, 2000)
    cases = means[:, None] * rng.normal(1.0, 0.03, (2000, 1000))
    return float(np.sqrt(np.mean((np.round(cases).mean(axis=1) - cases.mean(axis=1)) ** 2)))


def test_what_else_lies_on_a_plate_is_between_nothing_and_its_share(unproven_pod):
    """At full load a GPU's own power says it all; at part load the rest of the rack has fallen less."""
    kind = loop_design(unproven_pod, unproven_pod.groups["tcs-1"]).racks[0][0]
    assert beside_gpus(kind, kind.gpu_power_w, kind.power_w) == 0.0
    assert beside_gpus(kind, 0.5 * kind.gpu_power_w, 0.6 * kind.power_w) == pytest.approx(0.5 * math.log(1.2))
    assert beside_gpus(kind, 0.5 * kind.gpu_power_w, math.nan) == 0.0


def test_one_gpu_of_each_rack_is_enough_where_the_site_names_no_more(unproven_pod, pod_snapshot):
    """A rack that should tell of two and tells of one is not believed; with one it is as sure as one sensor is."""
    group, design = unproven_pod.groups["tcs-1"], loop_design(unproven_pod, unproven_pod.groups["tcs-1"])
    others = {p for p in unproven_pod.points if "/gpu-" in p and "/gpu-00/" not in p}
    busy = {**pod_snapshot.readings, **_busy(unproven_pod, pod_snapshot)}
    shown = Snapshot(at_s=pod_snapshot.at_s, readings={p: r for p, r in busy.items() if p not in others})
    told = [seen for _, _, seen in plates(unproven_pod, shown, group, design)]
    assert told == [None] * len(group.racks)
    one = replace(unproven_pod, points={n: p for n, p in unproven_pod.points.items() if n not in others})
    told = [seen for _, _, seen in plates(one, shown, group, design)]
    assert all(seen is not None and abs(seen.log) < 0.2 for seen in told)


def test_power_that_swings_faster_than_cases_is_not_believed(unproven_pod, pod_snapshot):
    """GPUs at their peak while the coolant carries half of that: the cases are those of the mean; after the peak none."""
    group = unproven_pod.groups["tcs-1"]
    design, busy = loop_design(unproven_pod, group), _busy(unproven_pod, pod_snapshot)
    kind, rack = design.racks[0][0], "rack-01"
    flow, supply_c = (pod_snapshot.get(f"{rack}/liquid_{name}") for name in ("flow", "supply_temperature"))

    def look(share):
        rise_k = share * kind.power_w * kind.liquid_fraction / (flow * design.coolant.heat_j_m3_k)
        values = {f"{rack}/power": 0.9 * kind.power_w, f"{rack}/liquid_return_temperature": supply_c + rise_k}
        shown = {p: Reading(v, 0.0, 0.0, Quality.GOOD, Reason.NONE) for p, v in values.items()}
        snapshot = Snapshot(at_s=pod_snapshot.at_s, readings={**pod_snapshot.readings, **busy, **shown})
        return next(seen for name, _, seen in plates(unproven_pod, snapshot, group, design) if name == rack)

    assert look(0.88).log == pytest.approx(0.0, abs=0.01)
    assert look(0.6).log == pytest.approx(math.log(0.9 / 0.6), abs=0.01)
    assert look(1.2) is None


def test_a_loop_without_gpu_telemetry_plans_colder_than_one_whose_plates_are_known(unproven_pod, pod_snapshot, now_s):
    """The same ten minutes: with cases shown the supply may rise, without them the plan keeps the tolerance."""
    hidden = {p: r for p, r in pod_snapshot.readings.items() if "/gpu-" not in p}
    shown = {**pod_snapshot.readings, **_busy(unproven_pod, pod_snapshot)}
    plans = [_plan_after(10, readings, unproven_pod, now_s) for readings in (shown, hidden)]
    assert plans[0].setpoints[0].target > plans[1].setpoints[0].target + 1.0
    assert all(plan.predicted_case_c <= plan.case_limit_c for plan in plans)


def _busy(site, snapshot):
    """Every GPU at nine tenths of its power, on plates as the site file has them."""
    design = loop_design(site, site.groups["tcs-1"])
    kind, watts = design.racks[0][0], 0.9 * design.racks[0][0].gpu_power_w
    values = {}
    for rack in site.groups["tcs-1"].racks:
        flow = np.array(snapshot.get(f"{rack}/liquid_flow"))
        rise_k = float(case_resistance(kind, flow, design.coolant.heat_j_m3_k)) * watts
        case_c = snapshot.get(f"{rack}/liquid_supply_temperature") + rise_k
        for gpu in range(site.gpus_per_rack):
            values |= {f"{rack}/gpu-{gpu:02d}/power": watts, f"{rack}/gpu-{gpu:02d}/temperature": case_c}
    return {point: Reading(value, 0.0, 0.0, Quality.GOOD, Reason.NONE) for point, value in values.items()}


def _plan_after(minutes, readings, site, now_s):
    state = initial_state()
    for minute in range(minutes):
        result = step(state, Snapshot(at_s=now_s + 60.0 * minute, readings=readings), (), now_s + 60.0 * minute, site)
        state = result.state
    return result.plans[0]


def test_an_unseen_plate_is_no_hot_case(unproven_pod, pod_snapshot):
    """A case as a design with its reserve expects it stands for the nameplate, not for more."""
    group = unproven_pod.groups["tcs-1"]
    design = applied(loop_design(unproven_pod, group), unproven_pod, group, Known())
    supply_c, dp_pa = (
        f(pod_snapshot.get(f"{m}/tcs_{name}") for m in group.members)
        for f, name in ((max, "supply_temperature"), (min, "differential_pressure"))
    )
    hot_c = float(full_load_case_c(design, np.array([supply_c]), np.array([dp_pa]), 1350.0)[0])
    assert stands_for_w(design, pod_snapshot, group, hot_c, math.nan) == pytest.approx(1350.0)

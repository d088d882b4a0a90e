"""What a site's forecasts promise in each cycle."""

from __future__ import annotations

import numpy as np
import pytest

from controller.fluids import wet_bulb
from controller.step import initial_state, step
from plant.records import Forecast, JobOutlook


def lived(site, snapshot, now_s, cycles, outlook=()):
    """The last result after some cycles of the same measurements."""
    state = initial_state()
    for cycle in range(cycles):
        result = step(state, snapshot, outlook, now_s + 60.0 * cycle, site)
        state = result.state
    return result


def middles(forecast: Forecast):
    """Subject -> median trajectory [W]."""
    return {h.subject: np.array(h.at(0.5)) for h in forecast.heats}


def test_racks_cdus_and_groups_agree(pod, pod_snapshot, now_s):
    """Members sum to the group at every minute, racks at every horizon that they have."""
    ahead = lived(pod, pod_snapshot, now_s, 5).forecast
    found = middles(ahead)
    np.testing.assert_allclose(found["cdu-1"] + found["cdu-2"], found["tcs-1"], atol=2.0)
    racks = np.sum([r.at(0.5) for r in ahead.racks], axis=0)
    assert {r.subject for r in ahead.racks} == set(pod.groups["tcs-1"].racks)
    minutes = ((np.array(ahead.racks[0].times_s) - ahead.heats[0].times_s[0]) / 60).astype(int)
    assert minutes.tolist() == [0, 4, 14, 59, 119]
    np.testing.assert_allclose(racks, found["tcs-1"][minutes], atol=5.0)


def test_a_site_of_several_groups_has_a_sum(lab, lab_snapshot, now_s):
    """Where a site has two groups, its own heat is forecast under its id, and is their sum."""
    found = middles(lived(lab, lab_snapshot, now_s, 3).forecast)
    np.testing.assert_allclose(sum(found[g] for g in lab.groups), found[lab.id], atol=3.0)


def test_outdoor_air_is_forecast_as_quantiles(pod, pod_snapshot, now_s):
    """Dry bulb as measured and wet bulb from humidity, in order, the wet below the dry."""
    airs = {a.subject: a for a in lived(pod, pod_snapshot, now_s, 3).forecast.airs}
    dry, wet = airs["dry-coolers/outdoor_dry_bulb"], airs["dry-coolers/outdoor_wet_bulb"]
    assert dry.at(0.5)[0] == pytest.approx(pod_snapshot.value("dry-coolers/outdoor_dry_bulb"), abs=0.1)
    assert wet.at(0.5)[0] < dry.at(0.5)[0]
    for air in (dry, wet):
        assert (np.diff(np.array(air.celsius), axis=0) >= 0).all()
        assert np.ptp(np.array(air.celsius)[:, -1]) > np.ptp(np.array(air.celsius)[:, 0])


def test_wet_bulb_follows_the_tables():
    """25 °C at 50 % has a wet bulb of 17.9 °C (ASHRAE Fundamentals); nonsense has none."""
    assert wet_bulb(25.0, 0.5) == pytest.approx(17.9, abs=0.1)
    assert np.isnan(wet_bulb(25.0, 1.4))
    assert np.isnan(wet_bulb(np.nan, 0.5))


def test_an_announced_job_raises_group_cdus_and_its_rack(pod, pod_snapshot, now_s):
    """A job that starts in half an hour shows in the forecast of everything that carries its heat, and only then."""
    (*_, rack) = pod.groups["tcs-1"].racks
    start_s = now_s + 1800.0
    job = JobOutlook(job="j", racks=(rack,), start_s=start_s, end_s=start_s + 9e4, power_w=6e4, power_sd_w=6e3)
    plain, told = (lived(pod, pod_snapshot, now_s, 2, outlook).forecast for outlook in ((), (job,)))
    before, after = middles(plain), middles(told)
    for subject in ("tcs-1", "cdu-1", "cdu-2"):
        rise = after[subject] - before[subject]
        assert abs(rise[20]) < 0.02 * before[subject][20]
        assert rise[60] > 3e3
    assert after["tcs-1"][60] - before["tcs-1"][60] > 2e4
    (own,) = (r for r in told.racks if r.subject == rack)
    assert own.at(0.5)[3] > own.at(0.5)[1] + 1e4


def test_revise_puts_another_forecast_in_its_place(pod, pod_snapshot, now_s):
    """A study's own forecast is what the plan uses and what the result tells."""
    seen = []

    def nothing(ahead):
        seen.append(ahead)
        return Forecast(made_s=ahead.made_s, heats=(), note=ahead.note)

    result = step(initial_state(), pod_snapshot, (), now_s, pod, revise=nothing)
    assert len(seen) == 1
    assert result.plans == ()
    assert result.forecast.heats == ()


def test_a_study_that_reads_no_rooms_gets_the_same_plans(pod, pod_snapshot, now_s):
    """Headroom and ride-through are left out; nothing else of the result depends on them."""
    whole, without = (step(initial_state(), pod_snapshot, (), now_s, pod, rooms=rooms) for rooms in (True, False))
    assert whole.plans
    assert without.plans == whole.plans
    assert without.conditions == whole.conditions
    assert whole.headrooms
    assert whole.ride_throughs
    assert (without.headrooms, without.ride_throughs) == ((), ())

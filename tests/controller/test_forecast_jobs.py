"""What job knowledge promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.forecasting import bank as banks
from controller.forecasting.ahead import look, promise
from controller.forecasting.bank import learn, new_bank
from controller.forecasting.jobs import job_heat, no_jobs, retold_w, running_chance
from controller.forecasting.telling import by_minute
from controller.step import initial_state, step
from plant.records import JobOutlook
from plant.topology import Workload
from simulator.load import JobMix, announced

QUEUED = JobOutlook(job="q", racks=("r", "s"), start_s=1800, end_s=90000, power_w=1e5, power_sd_w=1.5e4)
RUNNING = JobOutlook(job="a", racks=("r",), start_s=-600, end_s=2400, power_w=5e4, power_sd_w=5e3)


def test_a_queued_job_starts_when_announced():
    """Its heat is nothing before, everything after, and its power is uncertain only once it runs."""
    found = job_heat((QUEUED,), [{"r": 0.8, "s": 0.4}], 0.0)
    assert found.now_w[0] == 0
    assert found.ahead_w[0, 24] == pytest.approx(0, abs=1)
    assert found.ahead_w[0, 36] == pytest.approx(6e4)
    assert found.variance_w2[0, 24] == pytest.approx(0, abs=1)
    assert np.sqrt(found.variance_w2[0, 36]) == pytest.approx(0.6 * 1.5e4)


def test_a_running_job_ends_when_announced():
    """Its heat is in the present and leaves at the end; only then its power's error matters."""
    found = job_heat((RUNNING,), [{"r": 1.0}, {"other": 1.0}], 0.0)
    assert found.now_w.tolist() == [5e4, 0]
    assert found.change_w[0, 30] == pytest.approx(0, abs=1)
    assert found.change_w[0, 50] == pytest.approx(-5e4)
    assert found.variance_w2[0, 30] == pytest.approx(0, abs=1)
    assert not found.ahead_w[1].any()


def test_failures_thin_out_and_an_overdue_job_is_not_forgotten():
    """A failing job's chance falls exponentially; one past its wall time ends soon, but not at once."""
    failing = replace(RUNNING, end_s=1e6, failures_per_s=1 / 3600)
    assert running_chance((failing,), 0.0)[0, 59] == pytest.approx(np.exp(-1))
    overdue = replace(RUNNING, end_s=-3600.0, end_sd_s=300.0)
    chance = running_chance((overdue,), 0.0)[0]
    assert 0.3 < chance[0] < 1
    assert chance[60] < 0.01
    assert (np.diff(chance) <= 1e-12).all()


def test_chances_are_chances():
    """Whatever the times and their exactness, a chance lies between 0 and 1."""
    rng = np.random.default_rng(1)
    jobs = [
        JobOutlook(job=str(i), racks=("r",), start_s=a, end_s=a + b, power_w=1, power_sd_w=0, start_sd_s=c, end_sd_s=d)
        for i, (a, b, c, d) in enumerate(rng.uniform([-9e4, -1e3, 0, 0], [9e4, 9e4, 9e3, 9e3], size=(300, 4)))
    ]
    chance = running_chance(jobs, 0.0)
    assert np.isfinite(chance).all()
    assert chance.min() >= 0
    assert chance.max() <= 1


def test_no_jobs_say_nothing():
    """An empty outlook adds neither heat nor doubt."""
    found = job_heat((), [{"r": 1.0}], 0.0)
    assert not found.change_w.any()
    assert not found.variance_w2.any()


def test_only_what_is_told_otherwise_moves_the_past():
    """A job told of late, a corrected power and a lost list shift the present; starts, ends and renewals do not."""
    shares, old = [{"r": 1.0}], RUNNING
    corrected = replace(old, power_w=6e4)
    assert retold_w((), (old,), shares, 0.0) == pytest.approx([5e4])
    assert retold_w((old,), (corrected,), shares, 0.0) == pytest.approx([1e4])
    assert retold_w((old,), (), shares, 0.0) == pytest.approx([-5e4])
    assert retold_w((old,), (old,), shares, 60.0) == pytest.approx([0.0])
    begun = replace(old, job="b", start_s=-30.0)
    assert retold_w((old,), (old, begun), shares, 0.0) == pytest.approx([0.0])
    assert retold_w((old, begun), (begun,), shares, 0.0) == pytest.approx([0.0])
    assert retold_w((old,), (), shares, 2400.0) == pytest.approx([0.0])


def test_a_scheduler_heard_for_the_first_time_does_not_teach_that_jobs_bring_no_heat(pod, pod_snapshot, now_s):
    """The gain stays when an outlook appears, and when it is lost again: no heat comes or goes with words."""
    (*_, rack) = pod.groups["tcs-1"].racks
    job = JobOutlook(job="j", racks=(rack,), start_s=now_s - 9e3, end_s=now_s + 9e4, power_w=6e4, power_sd_w=6e3)
    state = initial_state()
    for cycle in range(30):
        outlook = (job,) if 10 <= cycle < 20 else ()
        state = step(state, pod_snapshot, outlook, now_s + 60.0 * cycle, pod).state
    assert banks.gain(state.memory.heats) == pytest.approx(1.0)


def test_jobs_told_before_any_heat_is_known_spoil_nothing():
    """A scheduler is often heard first: the gain stays 1, and the first heat makes a forecast."""
    bank, shares = new_bank(("pair",), np.array([3e3]), np.zeros(1), np.array([2e5]), banks.COARSE), [{"r": 1.0}]
    for minute in range(10):
        known = job_heat((replace(RUNNING, end_s=9e4),) if minute % 2 else (), shares, 60.0 * minute)
        heat = np.array([np.nan if minute < 6 else 8e4])
        bank = learn(bank, minute, heat, known.now_w)
    assert banks.gain(bank) == pytest.approx(1.0, abs=0.5)
    assert np.isfinite(look(bank, known).middle).all()


def mix_run(*, told, minutes=2 * 1440):
    """A training pair of racks under the job mix: heat, and forecasts 15 minutes ahead."""
    racks = {"rack-1": "training", "rack-2": "training"}
    mix = JobMix(Workload(seed=5, racks=racks), dict.fromkeys(racks, 132e3))
    jobs = mix.jobs(0.0, minutes * 60.0 + 7200.0)
    bank = new_bank(("pair",), np.array([3e3]), np.zeros(1), np.array([2.8e5]), banks.COARSE)
    heat, middle = np.empty(minutes), np.empty(minutes)
    for minute in range(minutes):
        now_s = 60.0 * minute
        heat[minute] = 132e3 * sum(mix.utilisation(r, now_s) for r in racks)
        near = [announced(j, 5, now_s) for j in jobs if j.start_s < now_s + 7200 and j.end_s > now_s] if told else []
        known = job_heat(near, [{"rack-1": 1.0, "rack-2": 1.0}], now_s)
        bank = learn(bank, minute, heat[minute : minute + 1], known.now_w)
        ahead = look(bank, known)
        bank = promise(bank, ahead)
        middle[minute] = ahead.middle[0, banks.COARSE.index(15)]
    return bank, heat, middle


def test_job_knowledge_halves_the_error_on_steps():
    """With jobs announced 15 % wrong in power, a tenth of them failing, RMSE at 15 min is less than half persistence's."""
    bank, heat, middle = mix_run(told=True)
    late = slice(360, -15)
    naive = np.sqrt(np.mean((heat[360:-15] - heat[375:]) ** 2))
    assert np.sqrt(np.mean((middle[late] - heat[375:]) ** 2)) < 0.5 * naive
    assert 0.75 < banks.gain(bank)[0] < 1.05  # the racks' idle power is no job's
    _, _, blind = mix_run(told=False, minutes=1440)
    blindly = np.sqrt(np.mean((blind[late] - heat[375:1440]) ** 2))
    assert blindly > 0.7 * np.sqrt(np.mean((heat[360:1425] - heat[375:1440]) ** 2))


def test_an_outlook_that_never_comes_true_is_believed_less_and_less():
    """Jobs that bring no heat lose their weight."""
    bank = new_bank(("one",), np.array([1e3]), np.zeros(1), np.array([2e5]), banks.COARSE)
    rng = np.random.default_rng(2)
    for minute in range(1500):
        wrong = replace(QUEUED, racks=("r",), start_s=3600.0 * (minute // 60 + 1), end_s=3600.0 * (minute // 60 + 1.5))
        ran = replace(wrong, start_s=3600.0 * (minute // 60), end_s=3600.0 * (minute // 60 + 0.5))
        told = [j for j in (ran, wrong) if j.end_s > 60.0 * minute]
        known = job_heat(told, [{"r": 1.0}], 60.0 * minute)
        bank = learn(bank, minute, 1e5 + 1e3 * rng.normal(size=1), known.now_w)
        bank = promise(bank, look(bank, known))
    assert banks.gain(bank)[0] < 0.2


def test_steps_stay_sharp_between_horizons():
    """A start between two horizons moves its own minute, not a ramp between them."""
    bank = new_bank(("one",), np.array([1e3]), np.zeros(1), np.array([2e5]))
    for minute in range(30):
        bank = learn(bank, minute, np.array([5e4]), np.zeros(1))
    start_s = 29 * 60.0 + 26 * 60.0
    known = job_heat((replace(QUEUED, racks=("r",), start_s=start_s, power_w=1e5),), [{"r": 1.0}], 29 * 60.0)
    middle, band = by_minute(bank, look(bank, known), known)
    assert middle[0, 22] == pytest.approx(5e4, rel=0.02)
    assert middle[0, 28] - middle[0, 22] > 8e4
    assert np.ptp(band[:, 0, 28]) > np.ptp(band[:, 0, 22])
    assert no_jobs(1).change_w.shape == (1, 120)

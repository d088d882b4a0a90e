"""Weather and load: functions of time and seed, within physical bounds."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.topology import Climate, Workload
from simulator.chance import hashed, hashed_all, seed_number
from simulator.load import CHECKPOINT, IDLE, JobMix
from simulator.weather import weather, wet_bulb_c

CLIMATE = Climate(mean_c=11, annual_amplitude_k=10, daily_amplitude_k=5, dew_point_depression_k=6, seed=7)
RACKS = {"rack-01": "training", "rack-02": "training", "rack-03": "inference", "rack-04": "idle"}
START_S = 1_783_900_800.0


def mix(seed: int = 11) -> JobMix:
    """A fresh job mix."""
    return JobMix(Workload(seed=seed, racks=RACKS), dict.fromkeys(RACKS, 132e3))


@settings(deadline=None)
@given(st.floats(1.6e9, 1.9e9))
def test_air_is_always_physical(time_s):
    """Dew point <= wet bulb <= dry bulb, humidity in (0, 1], whenever."""
    found = weather(CLIMATE, time_s)
    assert found.dew_point_c <= found.wet_bulb_c <= found.dry_bulb_c
    assert 0.0 < found.relative_humidity <= 1.0
    assert -25.0 < found.dry_bulb_c < 45.0


def test_summer_is_warmer_than_winter():
    """A week of July is about twice the annual amplitude warmer than a week of January."""
    summer, winter = (
        statistics.mean(weather(CLIMATE, s + h * 3600.0).dry_bulb_c for h in range(168))
        for s in (1_783_900_800.0, 1_768_000_000.0)
    )
    assert 14.0 < summer - winter < 26.0


def test_stull_reference_point():
    """Stull's own example: 20 °C at 50 % has a wet bulb of 13.7 °C."""
    assert wet_bulb_c(20.0, 0.5) == pytest.approx(13.7, abs=0.05)


@settings(deadline=None)
@given(st.floats(1.6e9, 1.9e9), st.sampled_from(sorted(RACKS)))
def test_utilisation_stays_in_bounds_and_needs_no_memory(time_s, rack):
    """Utilisation lies between idle and full, and a new job mix of the same seed says the same."""
    value = mix().utilisation(rack, time_s)
    assert IDLE <= value <= 1.0
    assert value == mix().utilisation(rack, time_s)


def test_training_is_plateaus_with_checkpoint_dips():
    """During a job a rack is at 0.88 or more except in checkpoints, which come every 30 to 45 minutes."""
    jobs = mix().jobs(START_S, START_S + 86400.0)
    job = max(jobs, key=lambda j: j.end_s - j.start_s)
    seen = [mix_one.utilisation("rack-01", job.start_s + 60.0 + t) for mix_one in [mix()] for t in range(0, 7200, 5)]
    dips = [value for value in seen if value < 0.88]
    assert set(dips) == {CHECKPOINT}
    assert 2 * 60 / 5 <= len(dips) <= 4 * 90 / 5
    assert 1800.0 <= job.checkpoint_period_s <= 2700.0


def test_jobs_tell_the_power_that_comes():
    """A job's expected power is its level times the full power of its racks, and jobs of one team never overlap."""
    jobs = mix().jobs(START_S, START_S + 7 * 86400.0)
    assert len(jobs) > 10
    for job in jobs:
        assert job.racks == ("rack-01", "rack-02")
        assert job.power_w == pytest.approx(job.level * 264e3)
    for one, next_one in itertools.pairwise(jobs):
        assert one.end_s <= next_one.start_s


def test_idle_between_jobs_and_other_seeds_differ():
    """Between jobs a training rack idles; another seed makes another week."""
    jobs = mix().jobs(START_S, START_S + 86400.0)
    assert mix().utilisation("rack-01", jobs[0].end_s + 1.0) == IDLE
    assert [j.start_s for j in jobs] != [j.start_s for j in mix(12).jobs(START_S, START_S + 86400.0)]


def test_inference_follows_the_day():
    """Inference at mid-afternoon clearly exceeds inference before dawn."""
    night, day = (mix().utilisation("rack-03", START_S + h * 3600.0) for h in (4, 16))
    assert day > night + 0.25


def test_chance_of_many_is_that_of_each():
    """Columns of seeds give what each seed gives alone, late in time, too."""
    seeds = [0, 1, 7, 2**31 - 1, *(seed_number("site", i) for i in range(200))]
    for index in (0, 12, 3_400_000_000, 7_000_000_001):
        assert hashed_all(np.array(seeds, dtype=np.uint64), index).tolist() == [hashed(s, index) for s in seeds]

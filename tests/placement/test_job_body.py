"""Outlooks as the list that the API takes."""

from __future__ import annotations

from placement.job_body import LEAST_LEFT_S, job_body
from placement.job_list import MOST_JOBS, JobListForm
from plant.records import JobOutlook

NOW_S = 1_795_000_000.0


def outlook(job: str, start_s: float = NOW_S - 60, end_s: float = NOW_S + 600, **more) -> JobOutlook:
    """Five kilowatts on one rack."""
    given = {"racks": ("r1",), "power_w": 5e3, "power_sd_w": 500.0}
    return JobOutlook(job=job, start_s=start_s, end_s=end_s, **(given | more))


def test_times_are_shifted_to_the_sites_clock():
    """And the list is one that the API's own form accepts."""
    body = job_body([outlook("1", end_sd_s=60.0)], "slurm", NOW_S, 300.0, shift_s=100.0)
    form = JobListForm.model_validate(body)
    assert form.valid_until_s == NOW_S + 400.0
    assert (form.jobs[0].start_s, form.jobs[0].end_s) == (NOW_S + 40.0, NOW_S + 700.0)
    assert (form.jobs[0].power_kw, form.jobs[0].power_sd_kw) == (5.0, 0.5)


def test_a_job_past_its_limit_still_runs():
    """It counts on, or the form would refuse the whole list."""
    (job,) = job_body([outlook("1", end_s=NOW_S - 5)], "slurm", NOW_S, 300.0)["jobs"]
    assert job["end_s"] == NOW_S + LEAST_LEFT_S


def test_what_draws_nothing_or_stands_nowhere_is_left_out():
    """One such job must not cost the others."""
    found = [outlook("1", power_w=0.0), outlook("2", racks=()), outlook("3")]
    assert [job["id"] for job in job_body(found, "slurm", NOW_S, 300.0)["jobs"]] == ["3"]


def test_running_and_soonest_first_where_not_all_has_room():
    """At most what the API takes, and within its bytes."""
    waiting = [outlook(f"w{i}", start_s=NOW_S + i) for i in range(MOST_JOBS + 5, 0, -1)]
    jobs = job_body([*waiting, outlook("runs")], "slurm", NOW_S, 300.0)["jobs"]
    assert len(jobs) == MOST_JOBS
    assert [job["id"] for job in jobs[:3]] == ["runs", "w1", "w2"]
    wide = [outlook(f"w{i}", racks=("r",) * 2000) for i in range(200)]
    assert len(job_body(wide, "slurm", NOW_S, 300.0)["jobs"]) == 100

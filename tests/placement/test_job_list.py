"""What a scheduler's job list promises to become, and what is said of a wrong one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from placement.job_list import MOST_JOBS, job_list, parsed_list
from placement.job_lists import believed, list_conditions, same_jobs
from plant.errors import ConfigError
from plant.hostlist import MOST_HOSTS, hosts
from plant.job_knowledge import JobKnowledge
from plant.records import JobList
from sites import load_site

NOW_S = 1e9
JOB = {"id": "train-7", "racks": ["rack-01"], "start_s": NOW_S + 600, "end_s": NOW_S + 9000, "power_kw": 60}


@pytest.fixture(scope="module")
def site():
    """The demo pod, with nodes and a GPU type."""
    pod = load_site(Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml")
    known = {n: f"rack-0{i}" for i in (1, 2) for n in hosts(f"gpu{i}[01-18]")}
    names = {"k8s": {"gpu201": "ip-10-0-0-1"}}
    return replace(pod, jobs=JobKnowledge(rack_of_node=known, names=names, gpu_power_w={"gb200": 1700.0}))


def told(site, *jobs, **more) -> JobList:
    """A list of these jobs, as the edge gets it."""
    text = json.dumps({"jobs": list(jobs), "valid_until_s": NOW_S + 900, **more})
    return job_list(parsed_list(text.encode(), "file"), site, "slurm", NOW_S)


def without(name: str, **more):
    """The job with one field left out, and others in its place."""
    return {k: v for k, v in JOB.items() if k != name} | more


def test_a_job_in_kilowatts_on_racks(site):
    """Power in watts, 15 % uncertain where nothing is said, chance of failure per second."""
    (job,) = told(site, JOB | {"failures_per_h": 0.036}).jobs
    assert (job.job, job.racks, job.power_w, job.power_sd_w) == ("train-7", ("rack-01",), 60e3, 9e3)
    assert job.failures_per_s == pytest.approx(1e-5)


def test_nodes_share_the_power_among_their_racks(site):
    """Three nodes in two racks: each node is one equal share."""
    (job,) = told(site, without("racks", nodes=["gpu1[01-02]", "gpu201"])).jobs
    assert job.racks == ("rack-01", "rack-01", "rack-02")


def test_a_node_by_the_name_that_a_scheduler_has_for_it(site):
    """Is the same node."""
    assert told(site, without("racks", nodes=["ip-10-0-0-[1]"])).jobs[0].racks == ("rack-02",)


def test_gpus_are_worth_their_type_or_a_part_of_the_design(site):
    """By the site's figure for the type; without one, by the racks' design power."""
    typed, plain = told(site, without("power_kw", gpus=36, gpu_type="gb200"), without("power_kw", id="b", gpus=36)).jobs
    assert typed.power_w == 36 * 1700.0
    assert plain.power_w == pytest.approx(36 * 132_000 / 72)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (without("start_s"), "job 'train-7'.start_s: field required"),
        (JOB | {"end_s": "noon"}, "job 'train-7'.end_s: "),
        (JOB | {"end_s": NOW_S}, "job 'train-7': end_s 1000000000 must come after start_s"),
        (JOB | {"power_kw": -1}, "job 'train-7'.power_kw: "),
        (JOB | {"power_kw": float("nan")}, "job 'train-7'.power_kw: "),
        (JOB | {"gpus": 8}, "job 'train-7': give exactly one of power_kw and gpus"),
        (JOB | {"nodes": ["gpu101"]}, "job 'train-7': give exactly one of racks and nodes"),
        (JOB | {"racks": []}, "job 'train-7': give exactly one of racks and nodes"),
        (JOB | {"racks": ["rack-99"]}, "job 'train-7': racks: unknown rack 'rack-99'; racks are rack-01, rack-02"),
        (without("racks", nodes=["gpu999"]), "job 'train-7': nodes: the rack of 'gpu999' is not known"),
        (without("racks", nodes=["gpu[a-b]"]), "job 'train-7': nodes: 'a-b' in 'gpu[a-b]' is no number or range"),
        (without("power_kw", gpus=8, gpu_type="tpu"), "job 'train-7': gpu_type: unknown type 'tpu'; "),
        (JOB | {"colour": "red"}, "job 'train-7'.colour: "),
        (without("id"), "jobs.0.id: field required"),
        ("train", "jobs.0: "),
    ],
)
def test_a_wrong_job_is_named_with_its_field(site, job, said):
    """The first fault, by job and field."""
    with pytest.raises(ConfigError) as caught:
        told(site, job)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"jobs": 3, "valid_until_s": 1}', b"\xff", b"null"])
def test_what_is_no_list_says_so(text):
    """Never another exception."""
    with pytest.raises(ConfigError):
        parsed_list(text, "file")


def test_a_list_has_an_end_no_job_twice_and_a_bound(site):
    """valid_until_s is needed; an id stands once; thousands are enough."""
    with pytest.raises(ConfigError, match="valid_until_s: field required"):
        parsed_list(b'{"jobs": []}', "file")
    with pytest.raises(ConfigError, match="job 'train-7' stands twice"):
        told(site, JOB, JOB)
    with pytest.raises(ConfigError, match="jobs: "):
        told(site, *[JOB] * (MOST_JOBS + 1))


def test_only_valid_lists_are_believed_and_the_newer_word_counts(site):
    """Two sources add up; a job of both is as the newer one says; far starts and expired lists say nothing."""
    one = told(site, JOB, JOB | {"id": "far", "start_s": NOW_S + 8000}, source="a")
    two = replace(told(site, JOB | {"power_kw": 70}, source="b"), at_s=NOW_S + 10, valid_until_s=NOW_S + 100)
    assert [(j.job, j.power_w) for j in believed([two, one], NOW_S + 20)] == [("train-7", 70e3)]
    assert [(j.job, j.power_w) for j in believed([two, one], NOW_S + 200)] == [("train-7", 60e3)]
    assert believed([two, one], NOW_S + 900) == ()


def test_a_list_that_ran_out_is_a_condition_an_empty_one_is_not(site):
    """outlook_stale with cause and remedy since its end; a source that has no jobs left may fall silent."""
    full, empty = told(site, JOB, source="slurm"), told(site, source="none")
    assert list_conditions([full, empty], {}, NOW_S + 899) == []
    (found,) = list_conditions([full, empty], {"file": ("not JSON", NOW_S)}, NOW_S + 1000)[:1]
    assert (found.code, found.subject, found.since_s) == ("outlook_stale", "slurm", NOW_S + 900)
    assert "slurm" in found.cause.text
    assert "send" in found.remedy.text
    (_, bad) = list_conditions([full], {"file": ("not JSON", NOW_S)}, NOW_S + 1000)
    assert (bad.code, bad.subject) == ("outlook_unreadable", "file")


def test_a_renewal_is_told_from_a_change(site):
    """Only other jobs, places or powers are news for the audit."""
    one = told(site, JOB)
    assert same_jobs(one, replace(one, at_s=NOW_S + 60, valid_until_s=NOW_S + 960))
    assert not same_jobs(one, told(site, JOB | {"power_kw": 61}))
    assert not same_jobs(None, one)


def test_host_lists_are_read_as_slurm_writes_them():
    """Ranges keep their zeros; several brackets multiply; nonsense and floods are refused."""
    assert hosts("gpu[001-003,7]") == ("gpu001", "gpu002", "gpu003", "gpu7")
    assert hosts("r[1-2]n[01-02]") == ("r1n01", "r1n02", "r2n01", "r2n02")
    assert hosts("login") == ("login",)
    for wrong in ("a[", "a]b", "a,b", "a[1-]", f"a[0-{MOST_HOSTS}]", "a[0-999]b[0-999]", "a[0-99999999999]"):
        with pytest.raises(ConfigError):
            hosts(wrong)

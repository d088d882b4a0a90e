"""Job lists over HTTP."""

from __future__ import annotations

import pytest

from plant.intents import Answer
from plant.records import JobList, JobOutlook


def document(now_s: float, **more):
    """A list of one job that starts in ten minutes."""
    job = {"id": "train-7", "racks": ["rack-01"], "start_s": now_s + 600, "end_s": now_s + 9000, "power_kw": 60}
    return {"source": "slurm", "valid_until_s": now_s + 900, "jobs": [job | more]}


async def test_a_list_reaches_the_edge(edge, informed, bearer):
    """The edge gets jobs in SI, dated by the site's clock, with who sent them."""
    body = document(edge.clock.now())
    got = await informed.put("/v1/jobs", json=body, headers=bearer, params={"actor": "slurm@login"})
    assert (got.status_code, got.json()["accepted"]) == (200, True)
    (told,) = edge.told
    assert (told.source, told.actor, told.valid_until_s) == ("slurm", "slurm@login", body["valid_until_s"])
    assert (told.jobs[0].job, told.jobs[0].power_w, told.jobs[0].power_sd_w) == ("train-7", 60e3, 9e3)
    assert abs(told.at_s - edge.clock.now()) < 5 * edge.clock.speed


async def test_a_list_needs_the_token(edge, client):
    """Like every other command."""
    assert (await client.put("/v1/jobs", json=document(edge.clock.now()))).status_code == 401
    assert edge.told == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"end_s": "noon"}, "job 'train-7'.end_s: "),
        ({"power_kw": None}, "job 'train-7': give exactly one of power_kw and gpus"),
        ({"racks": ["rack-99"]}, "job 'train-7': racks: unknown rack 'rack-99'"),
        ({"gpus": 4, "power_kw": None, "gpu_type": "tpu"}, "job 'train-7': gpu_type: unknown type 'tpu'"),
    ],
)
async def test_a_wrong_job_is_named_with_its_field(edge, client, bearer, change, said):
    """422 with job and field; nothing reaches the edge."""
    got = await client.put("/v1/jobs", json=document(edge.clock.now(), **change), headers=bearer)
    assert got.status_code == 422
    assert said in got.json()["error"]
    assert edge.told == []


async def test_a_refusal_and_a_silent_edge_say_so(edge, client, bearer):
    """409 in the edge's words; 503 when nobody answers."""
    edge.answer = Answer(accepted=False, text="valid_until_s lies 5 s in the past of the site's clock")
    got = await client.put("/v1/jobs", json=document(edge.clock.now()), headers=bearer)
    assert (got.status_code, got.json()["error"]) == (409, edge.answer.text)
    await edge.stop()
    got = await client.put("/v1/jobs", json=document(edge.clock.now()), headers=bearer)
    assert got.status_code == 503


async def test_thousands_of_jobs_fit(edge, client, bearer):
    """A list of two thousand jobs is larger than other bodies may be, and passes."""
    body = document(edge.clock.now())
    body["jobs"] = [body["jobs"][0] | {"id": f"job-{i}"} for i in range(2000)]
    assert (await client.put("/v1/jobs", json=body, headers=bearer)).status_code == 200
    assert len(edge.told[0].jobs) == 2000


async def test_known_jobs_are_shown_with_their_age(edge, client, app, until):
    """Source, age, what is left, and whether it is still believed; metrics likewise."""
    now_s = edge.clock.now()
    job = JobOutlook(job="j", racks=("rack-01",), start_s=now_s, end_s=now_s + 9e3, power_w=6e4, power_sd_w=6e3)
    lists = [
        JobList(source=name, actor="mei", at_s=now_s - 300, valid_until_s=now_s + left_s, jobs=(job,))
        for name, left_s in (("fresh", 9e3), ("old", -60.0))
    ]
    await edge.say("jobs", lists)
    await until(lambda: app.state.service.mirror.jobs)
    shown = {row["source"]: row for row in (await client.get("/v1/jobs")).json()["lists"]}
    assert shown["fresh"]["age_s"] >= 300
    assert shown["fresh"]["stale"] is False
    assert shown["old"]["stale"] is True
    assert shown["fresh"]["jobs"][0]["power_w"] == 6e4
    page = (await client.get("/metrics")).text
    assert 'coldplate_jobs{source="fresh"} 1.0' in page
    assert 'coldplate_job_list_valid{source="old"} 0.0' in page

"""From a loop's wish and the job lists to a plan: jobs that run there now, in lists that are still valid."""

from __future__ import annotations

import pytest

from placement.shed.answer import IDLE_SHARE, shed_plans
from plant.records import JobList, JobOutlook, Message, RideThrough, ShedRequest
from sites import load_site

NOW_S = 1e9
WHY = Message(code="shed_load", text="x", params={})


def request(power_w: float, it_w: float = 900e3, bearable_w: float = 0.0) -> ShedRequest:
    """Of the demo pod's loop."""
    racks = tuple(f"rack-{i:02d}" for i in range(1, 9))
    return ShedRequest(
        loop="tcs-1",
        at_s=NOW_S,
        expires_s=NOW_S + 180.0,
        power_w=power_w,
        it_w=it_w,
        bearable_w=bearable_w,
        racks=racks,
        reason=WHY,
    )


def outlook(name: str, *racks: str, power_w: float = 132e3, start_s: float = -3600.0, stop: bool = False) -> JobOutlook:
    """A job that began an hour ago."""
    return JobOutlook(
        job=name,
        racks=racks,
        start_s=NOW_S + start_s,
        end_s=NOW_S + 7200.0,
        power_w=power_w,
        power_sd_w=0.0,
        interruptible=stop,
    )


def told(*jobs: JobOutlook, left_s: float = 300.0) -> JobList:
    """By a scheduler."""
    return JobList(source="slurm", actor="x", at_s=NOW_S, valid_until_s=NOW_S + left_s, jobs=jobs)


@pytest.fixture
def site(demo_site_path):
    """The demo pod."""
    return load_site(demo_site_path)


def test_jobs_that_run_there_are_capped_and_their_gpus_counted(site):
    """72 GPUs in a whole rack's job; idle power can't be shed."""
    lists = [told(outlook("whole", "rack-01"), outlook("later", "rack-02", start_s=600.0))]
    (plan,) = shed_plans(site, [request(30e3)], lists, [], NOW_S)
    assert [(step.job, step.action) for step in plan.steps] == [("whole", "cap")]
    assert plan.relief_w == pytest.approx(30e3)
    assert plan.steps[0].share == pytest.approx(1 - 30e3 / ((1 - IDLE_SHARE) * 132e3))
    slower = 1 - plan.steps[0].share ** (1 / 2.5)
    assert plan.lost_gpu_h == pytest.approx(slower * 72 * 4.0)


def test_what_is_held_back_stays_so_as_far_as_the_rest_is_not_borne(site):
    """150 kW held, 750 kW drawn, 800 kW borne: 100 kW stay off, though the forecast would ask for 40 more."""
    lists = [told(*(outlook(f"job-{i}", f"rack-{i:02d}") for i in range(1, 9)))]
    (plan,) = shed_plans(site, [request(40e3, it_w=750e3, bearable_w=800e3)], lists, [], NOW_S, {"tcs-1": 150e3})
    assert plan.relief_w == pytest.approx(100e3)
    (plan,) = shed_plans(site, [request(40e3, it_w=750e3, bearable_w=950e3)], lists, [], NOW_S, {"tcs-1": 150e3})
    assert plan.steps == ()


def test_only_who_is_told_to_be_interruptible_is_requeued(site):
    """Where caps are not enough."""
    lists = [told(outlook("service", "rack-01"), outlook("training", "rack-02", stop=True))]
    (plan,) = shed_plans(site, [request(150e3)], lists, [], NOW_S)
    assert {step.job for step in plan.steps if step.action == "requeue"} == {"training"}
    assert plan.short_w == 0.0
    (plan,) = shed_plans(site, [request(190e3)], lists, [], NOW_S)
    assert plan.short_w > 0.0


def test_the_shortest_ride_through_of_the_loop_is_the_clock(site):
    """One that is for good sets none."""
    rides = [
        RideThrough(cdu="cdu-1", loop="tcs-1", at_s=NOW_S, seconds=5.0, known=True),
        RideThrough(cdu="cdu-2", loop="tcs-1", at_s=NOW_S, seconds=90.0, known=True),
    ]
    lists = [told(outlook("a", "rack-01"))]
    assert not shed_plans(site, [request(10e3)], lists, rides, NOW_S)[0].in_time
    assert shed_plans(site, [request(10e3)], lists, rides[1:], NOW_S)[0].in_time


def test_a_ride_through_that_nobody_knows_is_no_time_to_wait(site):
    """Caps go as deep as they can until requeues act, and nothing is said to come in time."""
    for_good = RideThrough(cdu="cdu-1", loop="tcs-1", at_s=NOW_S, seconds=None, known=True)
    blind = RideThrough(cdu="cdu-2", loop="tcs-1", at_s=NOW_S, seconds=None, known=False, reason="flow lost")
    lists = [told(*(outlook(f"j{i}", f"rack-0{i}", stop=True) for i in range(1, 9)))]
    (calm,) = shed_plans(site, [request(500e3)], lists, [for_good], NOW_S)
    (hurried,) = shed_plans(site, [request(500e3)], lists, [for_good, blind], NOW_S)
    assert (calm.in_time, hurried.in_time, hurried.within_s) == (True, False, None)

    def capped(plan):
        return {step.job: step.share for step in plan.steps if step.action == "cap"}

    gone = {step.job for step in hurried.steps if step.action == "requeue"}
    assert gone
    assert gone.isdisjoint(capped(calm))
    assert gone < capped(hurried).keys()
    assert set(capped(hurried).values()) == {min(capped(hurried).values())}
    elsewhere = RideThrough(cdu="cdu-9", loop="other", at_s=NOW_S, seconds=None, known=False, reason="flow lost")
    assert shed_plans(site, [request(500e3)], lists, [for_good, elsewhere], NOW_S)[0].in_time


def test_without_a_wish_there_is_no_plan_and_without_valid_jobs_all_of_it_is_missing(site):
    """A stale list plans nothing."""
    assert shed_plans(site, [], [told(outlook("a", "rack-01"))], [], NOW_S) == []
    (plan,) = shed_plans(site, [request(10e3)], [told(outlook("a", "rack-01"), left_s=-1.0)], [], NOW_S)
    assert (plan.steps, plan.short_w, plan.in_time) == ((), 10e3, False)

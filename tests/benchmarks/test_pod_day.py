"""An hour of the pod's twin with clusters and controller in one loop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.cluster_week import Budgets, Run
from benchmarks.drive import Day, batch_of
from benchmarks.pod_day import LOAD, SEED, Loop, PodTwin, pod_rows
from benchmarks.study_sites import demo_site
from benchmarks.twin_plant import example_site
from controller.identification.estimates import Estimate
from controller.identification.known import Known
from plant.clock import ManualClock
from plant.live import LiveTable
from simulator.cluster_jobs import HOUR_S

START_S = 1_783_764_000.0


def test_jobs_heat_the_twin_and_the_controllers_headroom_limits_where_they_go() -> None:
    """Both ways, for some minutes."""
    site = example_site("demo-pod.yaml")
    run = Run(demo_site(), "ours", SEED, HOUR_S, LOAD, Budgets(rack_w=110e3, guarded=True))
    twin = PodTwin(site)
    twin.reset(START_S)
    racks = tuple(twin.share)
    clock = ManualClock(epoch_s=START_S)
    live = LiveTable(site.points.values(), clock)
    loop = Loop(twin=twin, run=run, start_s=START_S, told=True, rack_ids=racks)
    for _ in range(6):
        shown = twin.advance({}, 60.0)
        clock.advance(60.0)
        live.update(batch_of(shown, clock.now()))
        loop.decide(live.snapshot(), clock.now())
    wanted_w = run.clusters[0].rack_w() + run.clusters[1].rack_w()
    shown = twin.advance({}, 60.0)
    for rack, watts in zip(racks, wanted_w, strict=True):
        assert shown[f"{rack}/power"] == pytest.approx(max(watts, 28e3), rel=0.15)
    assert run.ours is not None
    assert (run.ours.most[0] <= 110e3).all()
    assert (run.ours.most[0] > 50e3).all()


def test_each_policy_s_second_day_begins_with_what_its_first_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody's with what another's has."""
    begun: list[dict[str, float]] = []

    def a_day(twin: PodTwin, loop: Loop, start_s: float, _: float, *, hours: int) -> Day:
        known = loop.state.known.get("tcs-1", Known())
        begun.append({name: found.log for name, found in known.estimates.items()})
        twin.reset(start_s)
        loop.run.step(2.0 * HOUR_S * hours, 60.0)
        log = 0.1 if loop.told else 0.2
        loop.state = replace(
            loop.state, known={"tcs-1": Known(estimates={"rack-01/case_resistance": Estimate(log=log)})}
        )
        return Day(
            energy_j={"fans": 3.6e6},
            it_j=0.0,
            site_j=0.0,
            violation_s={},
            highest_case_c=50.0,
            least_dew_margin_k=5.0,
            moves=0,
            hourly=(),
        )

    monkeypatch.setattr("benchmarks.pod_day.drive_day", a_day)
    rows = pod_rows(demo_site(), example_site("demo-pod.yaml"), Budgets(row_w=264e3, rack_w=82e3, guarded=True), 1)
    assert [(r["policy"], r["plant"], r["fans_kwh"]) for r in rows] == [
        (policy, plant, 1.0) for policy in ("first-fit", "first-fit+caps", "ours+caps") for plant in ("new", "known")
    ]
    logs = [found.get("rack-01/case_resistance") for found in begun]
    assert logs == [None, 0.2, None, 0.2, None, 0.1], "only coldplate is told of jobs"

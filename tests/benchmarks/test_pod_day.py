"""An hour of the pod's twin with clusters and controller in one loop."""

from __future__ import annotations

import pytest

from benchmarks.cluster_week import Budgets, Run
from benchmarks.drive import batch_of
from benchmarks.pod_day import LOAD, SEED, Loop, PodTwin
from benchmarks.study_sites import demo_site
from benchmarks.twin_plant import example_site
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

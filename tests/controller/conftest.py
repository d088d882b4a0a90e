"""A site and a snapshot of a plant at rest, made in memory."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import sites
from plant.live import LiveTable, Snapshot
from plant.topology import Site
from simulator.memory import MemoryPlant

TRAINS = "coldplate_test_trains"
if TRAINS not in sys.modules:
    spec = importlib.util.spec_from_file_location(TRAINS, Path(__file__).with_name("trains.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[TRAINS] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[TRAINS])

ROOT = Path(__file__).parents[2]
NOON_S = 1_783_764_000.0  # 2026-07-11 12:00 in Berlin


def snapshot_of(plant: MemoryPlant) -> Snapshot:
    """What the plant shows now."""
    live = LiveTable(plant.site.points.values(), plant.clock)
    live.update(plant.batch())
    return live.snapshot()


def as_designed(site: Site) -> Site:
    """The same site, which states that its cold plates are no worse than their figures."""
    racks = {
        e.id: replace(e, design={**e.design, "design_tolerance": 0.0})
        for e in site.equipment.values()
        if e.kind == "rack"
    }
    return replace(site, equipment={**site.equipment, **racks})


@pytest.fixture(scope="session")
def unproven_pod() -> Site:
    """The demo pod, whose cold plates may be worse than their figures."""
    return sites.load_site(ROOT / "site-configs" / "demo-pod.yaml")


@pytest.fixture(scope="session")
def pod(unproven_pod: Site) -> Site:
    """The demo pod, as it was designed."""
    return as_designed(unproven_pod)


@pytest.fixture(scope="session")
def lab() -> Site:
    """The small lab."""
    return sites.load_site(ROOT / "site-configs" / "small-lab.yaml")


@pytest.fixture(scope="session")
def pod_snapshot(pod: Site) -> Snapshot:
    """The demo pod at noon."""
    return snapshot_of(MemoryPlant(pod, NOON_S))


@pytest.fixture(scope="session")
def lab_snapshot(lab: Site) -> Snapshot:
    """The small lab at noon."""
    return snapshot_of(MemoryPlant(lab, NOON_S))


@pytest.fixture(scope="session")
def now_s() -> float:
    """The moment of the snapshots [s since 1970]."""
    return NOON_S

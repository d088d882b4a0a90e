"""The sites of `bench closed-loop`: the demo pod, and two thousand racks made of its design."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.cluster_week import StudySite
from benchmarks.cycle import make_site
from benchmarks.loop_cooling import LoopCooling
from benchmarks.twin_plant import example_site
from placement.balance import Layout
from plant.topology import Site
from simulator.cluster_jobs import Bools, Ints
from simulator.weather import weather

START = (2026, 7, 6)
"""A Monday of summer."""
LARGE_RACKS, LOOP_RACKS, CDU_RACKS = 2000, 20, 10
OVERSUBSCRIBED = 1.4


def demo_site() -> StudySite:
    """Eight racks on one loop, odd and even ones on a feed each, each a block; 5 to 7 serve, as in its site file."""
    site, racks = example_site("demo-pod.yaml"), np.arange(8)
    return _study("demo pod", site, site, racks % 2, racks, np.zeros(8, dtype=np.int64), (racks >= 4) & (racks < 7))


def large_site(racks: int = LARGE_RACKS, stretch: float = 1.0) -> StudySite:
    """Loops of two CDUs, ten racks a CDU (a block) and twenty a row with a feed of their nameplate; 30 % serve.

    stretch: racks on the feed, CDUs and pumps of one.
    """
    a_row = round(LOOP_RACKS * stretch)
    number = np.arange(round(racks * stretch))
    place = number % a_row
    row = number // a_row
    block = 2 * row + (place >= a_row // 2)
    name = f"{racks:,} racks" + (f", {100 * (stretch - 1):.0f} % oversubscribed" if stretch > 1 else "")
    services = (place % (a_row // 2)) >= round(0.7 * (a_row // 2))
    return _study(name, example_site("demo-pod.yaml"), make_site(2, gpus=False), row, block, row, services)


def _study(
    name: str,
    sky: Site,
    plant: Site,
    row: Ints,
    block: Ints,
    loop: Ints,
    services: Bools,
) -> StudySite:
    group = next(iter(plant.groups.values()))
    full_w = float(plant.equipment[group.racks[0]].design["power_w"])
    racks_a_loop = int(np.bincount(loop).max())
    start_s = datetime(*START, tzinfo=ZoneInfo(sky.timezone)).timestamp()
    climate = sky.climate
    assert climate is not None, "the demo pod has one"
    return StudySite(
        name=name,
        layout=Layout(block=block, row=row, full_w=np.full(len(row), full_w)),
        loop=loop,
        services=services,
        cooling=LoopCooling(plant, group, racks_a_loop),
        air_c=lambda since_s: weather(climate, start_s + since_s, 7200.0).dry_bulb_c,
        feed_w=full_w * LOOP_RACKS if len(row) > LOOP_RACKS else full_w * len(row) / 2,
    )

"""Small sites, and a store in memory."""

from __future__ import annotations

import pytest

from devices.profiles import load_profile
from plant.points import Point
from plant.ports import DURABLE_ON_ACK, WriteResult
from plant.topology import Climate, Site, Tariff, Workload


def build_site(links, equipment, *, gpus_per_rack=4):
    """A site made of given links and equipment; its points come from the profiles, as a loaded site's do."""
    points = {}
    for thing in equipment:
        for source in thing.sources:
            profile = load_profile(source.profile)
            names = [f"gpu-{i:02d}/" for i in range(gpus_per_rack)] if profile.per_gpu else [""]
            for prefix in names:
                for p in profile.points:
                    point = Point(
                        id=f"{thing.id}/{prefix}{p.name}",
                        quantity=p.quantity,
                        equipment=thing.id,
                        link=source.link,
                        period_s=p.period_s,
                        minimum=p.bound(p.min),
                        maximum=p.bound(p.max),
                        writable=p.writable,
                        max_age_s=p.max_age_s,
                    )
                    points[point.id] = point
    return Site(
        id="pod", name="Pod", name_zh="", path="", timezone="UTC", coolant="water", glycol_percent=0,
        gpus_per_rack=gpus_per_rack, links={link.id: link for link in links}, equipment={e.id: e for e in equipment},
        points=points, groups={}, drives={}, envelopes={}, limits={},
        tariff=Tariff(currency="EUR", energy_per_kwh=(0.2,) * 24), carbon_kg_per_kwh=0, carbon_source="",
        climate=Climate(mean_c=10, annual_amplitude_k=10, daily_amplitude_k=5, dew_point_depression_k=6),
        workload=Workload(seed=1, racks={}), retention={},
    )  # fmt: skip


@pytest.fixture
def make_site():
    """`make_site(links, equipment)`."""
    return build_site


class MemoryStore:
    """A store that keeps everything by (point, time), and can be told to fail."""

    capabilities = frozenset({DURABLE_ON_ACK})

    def __init__(self):
        self.rows = {}
        self.writes = 0
        self.failing = None
        self.poison = set()

    async def write(self, batch):
        """Upsert, or fail as told."""
        self.writes += 1
        if self.failing:
            raise self.failing
        if self.poison & set(batch.points):
            raise ValueError("no such column")
        columns = zip(batch.points, batch.time_s.tolist(), batch.value.tolist(), batch.code.tolist(), strict=True)
        for point, time_s, value, code in columns:
            self.rows[point, time_s] = (value, code)
        return WriteResult(accepted=len(batch))


@pytest.fixture
def memory_store():
    """A store in memory."""
    return MemoryStore()

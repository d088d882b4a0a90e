"""What is on the bus of `bench mqtt`: a site whose CDUs are known from there only, and the message of each point."""

from __future__ import annotations

from devices import dsx
from devices.profiles import load_profile
from plant.points import Point
from plant.topology import Climate, Equipment, Link, Site, Source, Tariff, Workload

HOST = "127.0.0.1"
LINK = "bms"
PROFILE = "dsx-cdu"
CDUS = 50
POINTS = (
    "bms_fws_supply_temperature",
    "bms_fws_return_temperature",
    "bms_tcs_supply_temperature",
    "bms_tcs_return_temperature",
)
BUS = CDUS * len(POINTS)
"""Points on the bus; message i is of point i mod BUS, measured i // BUS ms after BEGIN [s since 1970]."""


def point_and_ms(number: int) -> tuple[str, int]:
    """Point and source time [ms after the begin] of message `number`."""
    slot = number % BUS
    return f"cdu-{slot // len(POINTS):02d}/{POINTS[slot % len(POINTS)]}", number // BUS


def bench_site(port: int) -> Site:
    """A site whose CDUs are known from the bus only."""
    link = Link(id=LINK, transport="mqtt", host=HOST, port=port, options={"client_id": "bench", "protocol": 5})
    profile = load_profile(PROFILE)
    equipment = [
        Equipment(id=f"cdu-{n:02d}", kind="cdu", sources=(Source(profile=PROFILE, link=LINK),)) for n in range(CDUS)
    ]
    points = [
        Point(id=f"{e.id}/{p.name}", quantity=p.quantity, equipment=e.id, link=LINK, period_s=10, max_age_s=1e9)
        for e in equipment
        for p in profile.points
    ]
    return Site(
        id="bench",
        name="Bench",
        name_zh="",
        path="",
        timezone="UTC",
        coolant="water",
        glycol_percent=0,
        gpus_per_rack=1,
        links={LINK: link},
        equipment={e.id: e for e in equipment},
        points={p.id: p for p in points},
        groups={},
        drives={},
        envelopes={},
        limits={},
        tariff=Tariff(currency="EUR", energy_per_kwh=(0.2,) * 24),
        carbon_kg_per_kwh=0,
        carbon_source="",
        climate=Climate(mean_c=10, annual_amplitude_k=10, daily_amplitude_k=5, dew_point_depression_k=6),
        workload=Workload(seed=1, racks={}),
        retention={},
    )


def bus_topics() -> list[tuple[str, str, bytes]]:
    """Value topic, metadata topic and metadata of each point on the bus."""
    profile = load_profile(PROFILE)
    found = []
    for number in range(BUS):
        name, _, point = point_and_ms(number)[0].partition("/")
        value, metadata = dsx.point_topics(profile.point(point), f"hall/{name}/{point}/feedback/value")
        found.append((str(value), str(metadata), dsx.encode_metadata(profile.point(point), name)))
    return found

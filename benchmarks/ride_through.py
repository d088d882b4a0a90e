"""Ride-through as the controller says it beside what the twin does: a pump trips, and the clock runs to the limit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.twin_plant import example_site
from controller.losses import measured_loop
from controller.ride_through import ride_throughs
from plant.clock import ManualClock
from plant.live import LiveTable, Snapshot
from plant.points import PointId
from plant.records import Forecast, HeatForecast, Message, RideThrough
from plant.samples import SampleBatch
from plant.topology import Site
from simulator.memory import GOOD
from simulator.plant import SimulatedPlant
from simulator.weather import Weather, vapour_pressure_pa, wet_bulb_c

NOON_S = 1_783_764_000.0
SETTLE_S, BEAT_S = 1800.0, 30.0
WATCHED_S, FINE_S, COARSE_S, FINE_FOR_S = 3600.0, 1.0, 5.0, 600.0
QUANTILE_SHARE = 1.03
"""The upper quantile of a load that stays as it is, against now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One pump trip.

    load: of all racks [0..1]; uneven: two racks at full load; setpoints [°C, Pa]; outdoor_c [°C]; fouling_k_w [K/W];
    plate_tau_s: in the site file where above 0 (the twin has 10 s without); alone: the other CDU stands already.
    """

    load: float
    supply_c: float
    dp_pa: float
    facility_c: float
    outdoor_c: float
    lost: str = "cdu-1"
    uneven: bool = False
    fouling_k_w: float = 0.0
    plate_tau_s: float = 10.0
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was said and what came [s], None for never; `begun`: whether the limit held before the trip at all."""

    trip: Trip
    said: RideThrough
    came_s: float | None
    begun: bool

    @property
    def optimistic(self) -> bool:
        """Whether more time was promised than there was."""
        if self.came_s is None or not self.said.known:
            return False
        return self.said.seconds is None or self.said.seconds > self.came_s


def drawn(rng: random.Random) -> Trip:
    """A trip out of everything that the envelopes allow, in frost and heat."""
    return Trip(
        load=rng.choice([0.1, 0.3, 0.5, 0.7, 0.85, 1.0]),
        supply_c=rng.uniform(24.0, 42.0),
        dp_pa=rng.uniform(45e3, 150e3),
        facility_c=rng.uniform(15.0, 37.0),
        outdoor_c=rng.choice([-5.0, 10.0, 20.0, 28.0, 33.0, 38.0]),
        lost=rng.choice(["cdu-1", "cdu-2"]),
        uneven=rng.random() < 0.3,
        fouling_k_w=rng.choice([0.0, 0.0, 1e-6, 2e-6]),
        plate_tau_s=rng.choice([0.0, 2.0, 10.0]),
        alone=rng.random() < 0.2,
    )


def figures(trips: list[Compared]) -> dict[str, float | str]:
    """Counts, and how much of the time that came was promised where both are finite (median, 1 is exact)."""
    told = [c for c in trips if c.begun and c.said.known]
    finite = [(c.said.seconds, c.came_s) for c in told if c.said.seconds is not None and c.came_s]
    never = [c for c in told if c.came_s is None]
    return {
        "ride_through_trips": float(len(told)),
        "ride_through_optimistic": float(sum(c.optimistic for c in told)),
        "ride_through_median_share": median(said / came for said, came in finite) if finite else 1.0,
        "ride_through_limit_met": float(len(finite)),
        "ride_through_never_met": float(len(never)),
        "ride_through_never_said": float(sum(c.said.seconds is None for c in never)),
    }


def compare(trip: Trip) -> Compared:
    """Settle the twin, ask, trip the pump, and wait for the hottest case to meet its limit."""
    site = _site(trip)
    plant, beats = _settled(site, trip), 10_000
    limit_c = min(x.maximum for x in site.limits.values() if x.quantity == "case_temperature" and x.maximum)
    begun = plant.ledger.case_violation_s == 0.0 and _hottest_c(plant) <= limit_c
    snapshot = _snapshot(plant)
    (said,) = (r for r in ride_throughs(site, snapshot, _ahead(plant, snapshot), plant.time_s) if r.cdu == trip.lost)
    plant.faults.command(f"stop {trip.lost}", {})
    at_s = 0.0
    while at_s < WATCHED_S:
        beats += 1
        _beat(plant, beats)
        step_s = FINE_S if at_s < FINE_FOR_S else COARSE_S
        plant.step(step_s)
        at_s += step_s
        if _hottest_c(plant) > limit_c:
            return Compared(trip=trip, said=said, came_s=at_s, begun=begun)
    return Compared(trip=trip, said=said, came_s=None, begun=begun)


def _site(trip: Trip) -> Site:
    site = example_site("demo-pod.yaml")
    more: Mapping[str, Mapping[str, float]] = {
        "cdu": {"fouling_k_w": trip.fouling_k_w},
    }
    equipment = {k: replace(e, design={**e.design, **more.get(e.kind, {})}) for k, e in site.equipment.items()}
    for name in (k for k, e in equipment.items() if e.kind == "rack"):
        known = {k: v for k, v in equipment[name].design.items() if k != "plate_tau_s"}
        told = {"plate_tau_s": trip.plate_tau_s} if trip.plate_tau_s > 0 else {}
        equipment[name] = replace(equipment[name], design=known | told)
    return replace(site, equipment=equipment)


def _settled(site: Site, trip: Trip) -> SimulatedPlant:
    sky, full = _air(trip.outdoor_c), ("rack-01", "rack-02") if trip.uneven else ()
    plant = SimulatedPlant(site, NOON_S, sky=lambda _: sky, work=lambda rack, _: 1.0 if rack in full else trip.load)
    if trip.alone:
        plant.faults.command(f"stop {'cdu-2' if trip.lost == 'cdu-1' else 'cdu-1'}", {})
    for device in ("cdu-1", "dry-coolers"):
        plant.command(f"{device}/remote_enable", 1.0)
    for number in range(round(SETTLE_S / BEAT_S)):
        _beat(plant, number + 1)
        plant.command("cdu-1/supply_temperature_setpoint", trip.supply_c)
        plant.command("cdu-1/differential_pressure_setpoint", trip.dp_pa)
        plant.command("dry-coolers/leaving_temperature_setpoint", trip.facility_c)
        plant.step(BEAT_S)
    plant.ledger.violation_s.clear()
    return plant


def _beat(plant: SimulatedPlant, number: int) -> None:
    for device in ("cdu-1", "dry-coolers"):
        plant.command(f"{device}/heartbeat", float(number))


def _air(dry_bulb_c: float) -> Weather:
    dew_c = min(dry_bulb_c - 5.0, 10.0)
    humidity = vapour_pressure_pa(dew_c) / vapour_pressure_pa(dry_bulb_c)
    wet_c = max(wet_bulb_c(dry_bulb_c, humidity), dew_c)
    return Weather(dry_bulb_c=dry_bulb_c, dew_point_c=dew_c, wet_bulb_c=wet_c, relative_humidity=humidity)


def _hottest_c(plant: SimulatedPlant) -> float:
    return max(entry.loop.bank.hottest_case_c for entry in plant.groups)


def _snapshot(plant: SimulatedPlant) -> Snapshot:
    live = LiveTable(plant.site.points.values(), ManualClock(epoch_s=plant.time_s))
    shown: Mapping[PointId, float] = plant.measured()
    live.update(SampleBatch.of([(p, plant.time_s, plant.time_s, value, GOOD) for p, value in shown.items()]))
    return live.snapshot()


def _ahead(plant: SimulatedPlant, snapshot: Snapshot) -> Forecast:
    """A forecast of a load that stays: what is measured now, and a little more as its upper quantile."""
    site, heats = plant.site, []
    for group in site.groups.values():
        now = measured_loop(site, snapshot, group)
        loop = next(e.loop for e in plant.groups if e.group.id == group.id)
        heats.append(_heat(group.id, now.flow_m3_s * loop.rho_cp * (now.return_c - now.supply_c), plant.time_s))
    racks = [_heat(r, snapshot.value(f"{r}/power") * plant.racks[r].liquid_fraction, plant.time_s) for r in plant.racks]
    return Forecast(
        made_s=plant.time_s, heats=tuple(heats), racks=tuple(racks), note=Message(code="as_now", text="as now")
    )


def _heat(subject: str, heat_w: float, now_s: float) -> HeatForecast:
    return HeatForecast(
        subject=subject,
        times_s=(now_s + 60.0,),
        quantiles=(0.5, 0.975),
        heat_w=((heat_w,), (QUANTILE_SHARE * heat_w,)),
        model="persistence",
    )

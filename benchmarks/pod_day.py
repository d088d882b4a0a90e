"""A day of the demo pod's twin with its clusters and the real controller in one loop, for `bench closed-loop`.

Jobs heat the twin's racks; the controller sees sensors only. Cooling-blind, it knows nothing of jobs, first-fit places
them. With coldplate, running jobs are told to the forecast, headroom limits where jobs may go, and rows and racks are
held to budgets by caps. Setpoints pass the actuator's guard (`benchmarks.drive`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.cluster_week import Budgets, Run, StudySite
from benchmarks.drive import LEAD_H, drive_day
from benchmarks.plants import PlantTruth
from benchmarks.twin_plant import STEP_S, TwinPlant
from controller.identification.known import Kept, kept, recalled
from controller.state import ControlState
from controller.step import initial_state, step
from plant.live import Snapshot
from plant.points import PointId
from plant.records import JobOutlook
from plant.topology import Site
from simulator.cluster import SimCluster
from simulator.cluster_jobs import HOUR_S
from simulator.plant import SimulatedPlant

START = (2026, 7, 11)
CYCLE_S = 60.0
HOURS = 24
LOAD, SEED = 0.85, 1


class PodTwin(TwinPlant):
    """The twin under its own site's sky, and whatever work its racks are given."""

    def __init__(self, site: Site) -> None:
        super().__init__(None, site)
        self.share = {e.id: 0.0 for e in site.of_kind("rack")}

    def made(self, start_s: float) -> SimulatedPlant:
        """The simulator itself."""
        return SimulatedPlant(self._simulated, start_s, work=lambda rack, _: self.share[rack], inner_step_s=STEP_S)

    def heat(self, rack_w: Mapping[str, float]) -> None:
        """Let racks draw so much [W], by what their utilisation makes of them."""
        for rack in self.running.racks.values():
            idle_w = rack.gpus * rack.gpu_power_w * rack.idle_share
            rest_w = rack.design_power_w - rack.gpus * rack.gpu_power_w
            least_w = idle_w + 0.5 * rest_w
            share = (rack_w[rack.id] - least_w) / (rack.design_power_w - least_w)
            self.share[rack.id] = float(np.clip(share, 0.0, 1.0))


@dataclass(slots=True)
class Loop:
    """The operator of `drive_day`: a cycle of control, a minute of both clusters. told: coldplate is listened to."""

    twin: PodTwin
    run: Run
    start_s: float
    told: bool
    state: ControlState = field(default_factory=initial_state)
    highest_return_c: float = -99.0
    highest_row_w: float = 0.0
    rack_ids: tuple[str, ...] = ()

    def decide(self, snapshot: Snapshot, now_s: float) -> Mapping[PointId, float]:
        """Setpoints of this cycle; jobs move on."""
        rack_w = self.run.step(now_s - self.start_s, CYCLE_S)
        self.twin.heat(dict(zip(self.rack_ids, rack_w.tolist(), strict=True)))
        if now_s - self.start_s > LEAD_H * HOUR_S:
            returns = [snapshot.get(f"{rack}/liquid_return_temperature", -99.0) for rack in self.rack_ids]
            self.highest_return_c = max(self.highest_return_c, *returns)
            row_w = np.bincount(self.run.site.layout.row, rack_w)
            self.highest_row_w = max(self.highest_row_w, float(row_w.max()))
        result = step(self.state, snapshot, self._outlook(now_s) if self.told else (), now_s, self.twin.site)
        self.state = result.state
        if self.told and self.run.ours is not None:
            rooms = {h.rack: min(h.power_w, h.cooling_w) for h in result.headrooms if h.known}
            rack_most_w = rack_w + np.array([rooms.get(rack, 0.0) for rack in self.rack_ids])
            self.run.ours.most = np.minimum(rack_most_w, self.run.budgets.rack_w), self.run.ours.most[1]
        return {s.point: s.value for plan in result.plans for s in plan.setpoints}

    def _outlook(self, now_s: float) -> tuple[JobOutlook, ...]:
        return tuple(o for cluster in self.run.clusters for o in _running(cluster, self, now_s))


def _running(cluster: SimCluster, loop: Loop, now_s: float) -> list[JobOutlook]:
    """Running jobs, by the power that earlier ones of their kind drew."""
    found, ours = [], loop.run.ours
    assert ours is not None
    for job in cluster.running:
        racks, counts = cluster.where(job)
        estimate, nodes = ours.power.estimate(str(int(cluster.jobs.kind[job]))), int(counts.sum())
        begun_s = loop.start_s + float(cluster.begun_s[job])
        found.append(
            JobOutlook(
                job=f"{cluster.jobs.kind[job]}-{job}",
                racks=tuple(loop.rack_ids[r] for r, n in zip(racks, counts, strict=True) for _ in range(int(n))),
                start_s=begun_s,
                end_s=max(begun_s + float(cluster.jobs.asked_s[job]), now_s + CYCLE_S),
                power_w=nodes * estimate.power_w,
                power_sd_w=nodes * estimate.sd_w,
                end_sd_s=0.5 * float(cluster.jobs.asked_s[job]),
                interruptible=bool(cluster.jobs.interruptible[job]),
            )
        )
    return found


def pod_rows(study: StudySite, site: Site, budgets: Budgets, hours: int = HOURS) -> list[dict[str, float | str]]:
    """Rows of a day: cooling-blind, that with budgets for rows and racks, and coldplate with them; of each two.

    One begins knowing nothing of the plant, the next the same day again with what that one found, as after a restart.
    What the first costs more is for cold plates that no rack has shown yet, and racks that are held lower show later.
    """
    rows = []
    for policy, held in (("first-fit", None), ("first-fit+caps", budgets), ("ours+caps", budgets)):
        known: Mapping[str, Kept] = MappingProxyType({})
        for plant in ("new", "known"):
            loop = _loop(study, site, policy, held, hours)
            loop.state = replace(loop.state, known={name: recalled(found) for name, found in known.items()})
            rows.append({"policy": policy, "plant": plant, **_day(loop, hours)})
            known = {name: kept(found) for name, found in loop.state.known.items()}
    return rows


def _loop(study: StudySite, site: Site, policy: str, budgets: Budgets | None, hours: int) -> Loop:
    start_s = datetime(*START, tzinfo=ZoneInfo(site.timezone)).timestamp()
    run = Run(study, policy.removesuffix("+caps"), SEED, (LEAD_H + hours) * HOUR_S, LOAD, budgets)
    racks = tuple(e.id for e in site.of_kind("rack"))
    return Loop(twin=PodTwin(site), run=run, start_s=start_s, told=run.ours is not None, rack_ids=racks)


def _day(loop: Loop, hours: int) -> dict[str, float | str]:
    day = drive_day(loop.twin, loop, loop.start_s, CYCLE_S, hours=hours)
    truth: PlantTruth = loop.twin.truth()
    batch = loop.run.clusters[0].tally
    return {
        "hours": float(hours),
        "cooling_kwh": day.cooling_j / 3.6e6,
        **{f"{component}_kwh": joules / 3.6e6 for component, joules in day.energy_j.items()},
        "it_kwh": day.it_j / 3.6e6,
        "peak_row_kw": loop.highest_row_w / 1e3,
        "highest_return_c": loop.highest_return_c,
        "highest_case_c": truth.highest_case_c,
        "violation_minutes": sum(day.violation_s.values()) / 60.0,
        "least_reserve_margin_k": day.least_reserve_margin_k,
        "lost_gpu_h": 4.0 * batch.lost_node_s / HOUR_S,
        "wait_min": float(np.mean(batch.wait_s)) / 60.0,
    }

"""What happens when cooling fails: the demo pod's twin with the real controller, guard and leases, in memory.

Each scenario starts where the optimiser wants to be after an hour of this plant, its plates known and its setpoints
walked there, so that the reserve is as small as it ever is. Beside it the same fault at design setpoints without
coldplate: what the plant itself makes of it.
"""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from actuator.actuator import Actuator
from benchmarks.fault_scenarios import NOON_S, SCENARIOS, Scenario, nothing
from benchmarks.ride_through import Trip, compare, drawn, figures
from benchmarks.twin_plant import example_site
from controller.asking import leases_to_ask, setpoints_to_ask
from controller.modes import initial_modes
from controller.state import ControlState, StepResult
from controller.step import initial_state, step
from plant.live import LiveTable
from plant.points import PointId
from plant.samples import SampleBatch
from plant.topology import Site
from simulator.memory import GOOD, MemoryPlant
from simulator.plant import SimulatedPlant
from store.audit import AuditLog

CYCLE_S, TICK_S, LEASE_S = 60.0, 20.0, 180.0
CALM_CYCLES = 2
"""Cycles before the fault, in which coldplate takes the plant over as it is."""
WARM_UP_S, PRIME_S, BEAT_S = 600.0, 1800.0, 30.0
QUICK_MOMENTS_S, FULL_MOMENTS_S = (3600.0,), (3600.0, 3720.0, 3780.0, 3900.0)
"""For so long coldplate drives the pod before any fault; setpoints stand after 40 minutes.

Which of them may move next when a fault strikes decides by more than a kelvin, so a full run strikes at several.
"""
QUICK_S, FULL_S = 420.0, 3600.0
QUICK_TRIPS, FULL_TRIPS = 3, 200
OBEYS_S = 60.0
"""From a wish to shed to the power that has come down: caps and requeues take about a minute."""
QUIET = Scenario(name="calm", strike=nothing)
Work = Callable[[str, float], float]
TELLING = ("plan_reserve", "plan_hold", "plan_design", "plan_overload")


@dataclass(slots=True, repr=False)
class Run:
    """One scenario as it goes. seen: what was wrong and planned before the fault; said: what came after it."""

    plant: MemoryPlant
    state: ControlState = field(default_factory=initial_state)
    seen: frozenset[str] = frozenset()
    said: list[str] = field(default_factory=list)
    reacted_s: float = math.nan
    shed_w: float = 0.0
    first: dict[PointId, float] = field(default_factory=dict)
    last: dict[PointId, float] = field(default_factory=dict)
    seq: int = 0


def run(quick: bool, data: Path | None) -> dict[str, float | str | list[dict[str, float | str]]]:  # noqa: ARG001
    """A table of scenarios, and how far ride-through is from what comes. Times [s, min], margins [K]."""
    site, span_s = example_site("demo-pod.yaml"), QUICK_S if quick else FULL_S
    befores = [calm(site, learn_s=moment_s) for moment_s in (QUICK_MOMENTS_S if quick else FULL_MOMENTS_S)]
    rows = [_worst(site, scenario, befores, span_s) for scenario in SCENARIOS]
    rng = random.Random(20262)
    trips = [compare(drawn(rng)) for _ in range(QUICK_TRIPS if quick else FULL_TRIPS)]
    trips += [compare(t) for t in ALONE]
    return {
        "scenarios": float(len(rows)),
        "crossed_with_coldplate": float(sum(float(r["case_violation_minutes"]) > 0 for r in rows)),
        "crossed_where_physics_allows": float(
            sum(float(r["case_violation_minutes"]) > 0 and r["physics_allows"] == "yes" for r in rows)
        ),
        "crossed_at_design": float(sum(float(r["design_violation_minutes"]) > 0 for r in rows)),
        **figures(trips),
        "faults": rows,
    }


ALONE = tuple(
    Trip(load=load, supply_c=32.0, dp_pa=110e3, facility_c=27.0, outdoor_c=20.0, alone=True) for load in (0.5, 1.0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """Where a plant without faults is driven to, and what the controller knows by then."""

    goal: Mapping[PointId, float] = field(default_factory=dict)
    state: ControlState = field(default_factory=initial_state)


def calm(site: Site, quiet: Scenario = QUIET, learn_s: float = QUICK_MOMENTS_S[0]) -> Calm:
    """The pod after learn_s [s] with coldplate; it ends where a scenario's own clock begins."""
    start_s = NOON_S - learn_s - (CALM_CYCLES + 1) * CYCLE_S
    run = asyncio.run(_controlled(site, quiet, Calm(), learn_s, start_s=start_s))
    return Calm(goal=run.last, state=run.state)


def _worst(site: Site, scenario: Scenario, befores: Sequence[Calm], span_s: float) -> dict[str, float | str]:
    """The row of the moment that left least."""
    return min((_row(site, scenario, b, span_s) for b in befores), key=lambda row: float(row["least_margin_k"]))


def _row(site: Site, scenario: Scenario, before: Calm, span_s: float) -> dict[str, float | str]:
    run = asyncio.run(_controlled(site, scenario, before, span_s))
    alone = _uncontrolled(site, scenario, span_s)
    ledger, limit_c = run.plant.plant.ledger, _limit_c(site)
    return {
        "scenario": scenario.name,
        "case_violation_minutes": ledger.case_violation_s / 60,
        "least_margin_k": limit_c - ledger.highest_case_c,
        "physics_allows": "yes" if scenario.possible else "no",
        "reacted_s": run.reacted_s if math.isfinite(run.reacted_s) else "",
        "design_violation_minutes": alone.ledger.case_violation_s / 60,
        "design_least_margin_k": limit_c - alone.ledger.highest_case_c,
        "shed_kw": run.shed_w / 1e3,
        "did": _did(run),
    }


def _limit_c(site: Site) -> float:
    return min(x.maximum for x in site.limits.values() if x.quantity == "case_temperature" and x.maximum is not None)


def _did(run: Run) -> str:
    """Conditions and kinds of plan that came with the fault, and how far setpoints went."""
    names = {"differential_pressure": (1e-3, "kPa"), "temperature": (1.0, "°C")}
    names |= {"pump_speed": (100.0, "%"), "flow": (60000.0, "l/min")}
    moved = []
    for point, before in run.first.items():
        after = run.last.get(point, before)
        factor, unit = next(v for k, v in names.items() if k in point)
        if abs(after - before) * factor > 0.2:
            moved.append(f"{point} {before * factor:.1f} to {after * factor:.1f} {unit}")
    return "; ".join([*run.said, *moved]) or "nothing"


class Load:
    """The jobs' load of a scenario, brought down to what coldplate leaves where the scenario follows it."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._cuts = scenario, list[tuple[float, float]]()

    def work(self, rack: str, time_s: float) -> float:
        """Share of full load [0..1] at a time [s since 1970]."""
        left = min((share for from_s, share in self._cuts if time_s >= from_s), default=1.0)
        return min(self._scenario.work(rack, time_s), left)

    def hear(self, result: StepResult, now_s: float) -> None:
        """Take a wish to shed to heart."""
        if self._scenario.follows_shed:
            for shed in result.shed:
                left = shed.bearable_w / shed.it_w if self._cuts else 1.0 - shed.power_w / shed.it_w
                self._cuts.append((now_s + OBEYS_S, self.work(shed.racks[0], now_s) * min(left, 1.0)))


def _twin(site: Site, scenario: Scenario, work: Work, start_s: float = NOON_S) -> MemoryPlant:
    plant = SimulatedPlant(site, start_s, warm_up_s=WARM_UP_S, sky=scenario.sky, work=work)
    return MemoryPlant(site, start_s, plant=plant)


def _uncontrolled(site: Site, scenario: Scenario, span_s: float) -> SimulatedPlant:
    """The same plant and fault at design setpoints, left to itself."""
    memory = _twin(site, scenario, scenario.work)
    memory.advance(PRIME_S + CALM_CYCLES * CYCLE_S)
    _strike(memory, scenario)
    memory.advance(span_s)
    return memory.plant


def _strike(memory: MemoryPlant, scenario: Scenario) -> None:
    scenario.strike(memory.plant)
    memory.plant.ledger.violation_s.clear()
    memory.plant.ledger.highest_case_c = -273.15


def _prime(memory: MemoryPlant, goal: Mapping[PointId, float]) -> None:
    """Take the plant to a goal as a remote master would, so that coldplate finds it there."""
    devices = {point.partition("/")[0] for point in goal}
    for device in devices:
        memory.plant.command(f"{device}/remote_enable", 1.0)
    for beat in range(round(PRIME_S / BEAT_S)):
        for device in devices:
            memory.plant.command(f"{device}/heartbeat", float(beat + 1))
        for point, value in goal.items():
            memory.plant.command(point, value)
        memory.advance(BEAT_S)


async def _controlled(
    site: Site,
    scenario: Scenario,
    before: Calm,
    span_s: float,
    watch: Callable[[StepResult, float], None] | None = None,
    start_s: float = NOON_S,
) -> Run:
    """watch: told what each cycle after the fault came to, and the time [s since 1970]."""
    load = Load(scenario)
    run = Run(plant=_twin(site, scenario, load.work, start_s), state=before.state)
    _prime(run.plant, before.goal)
    driven = frozenset(site.drives)
    with tempfile.TemporaryDirectory() as folder:
        clock = run.plant.clock
        audit, live = AuditLog(Path(folder), "actuator", clock), LiveTable(site.points.values(), clock)
        devices = {equipment: run.plant.device(equipment) for equipment in driven}
        actuator = Actuator(site, devices, live, clock, audit, 1, driven)
        for _ in range(CALM_CYCLES):
            result = await _cycle(run, actuator, live)
            await _pass(run.plant, actuator, live, CYCLE_S)
        run.seen, run.first = _signs(result), dict(run.last)
        _strike(run.plant, scenario)
        fault_s = clock.now()
        await _pass(run.plant, actuator, live, CYCLE_S / 2)  # a fault comes between two cycles
        while clock.now() - fault_s < span_s:
            result = await _cycle(run, actuator, live)
            _note(run, result, clock.now() - fault_s)
            if watch is not None:
                watch(result, clock.now())
            load.hear(result, clock.now())
            await _pass(run.plant, actuator, live, CYCLE_S)
        audit.close()
    return run


async def _cycle(run: Run, actuator: Actuator, live: LiveTable) -> StepResult:
    """One cycle as the control process has it."""
    plant, site = run.plant, run.plant.site
    live.update(plant.batch(gpus=True))
    result = step(run.state, live.snapshot(), (), plant.clock.now(), site)
    run.state, modes = result.state, initial_modes(site, auto=True)
    for loop in result.let_go:
        await actuator.relinquish(tuple(site.groups[loop].commands.values()), "coldplate", result.let_go[loop])
    for plan in result.plans:
        asked = setpoints_to_ask(plan, modes[plan.loop])
        for lease in leases_to_ask(asked, modes[plan.loop], plant.clock, epoch=1, first_seq=run.seq, ttl_s=LEASE_S):
            await actuator.request(lease)
        run.seq += len(asked)
        run.last |= {s.point: s.current for s in plan.setpoints}
    return result


async def _pass(plant: MemoryPlant, actuator: Actuator, live: LiveTable, seconds: float) -> None:
    """Let time pass while leases are renewed, watched and hearts beat."""
    left_s = seconds
    while left_s > 1e-9:
        plant.advance(min(TICK_S, left_s))
        left_s -= TICK_S
        live.update(_registers(plant))
        await actuator.tick()


def _registers(plant: MemoryPlant) -> SampleBatch:
    now_s = plant.clock.now()
    talking = [device for device in plant.site.drives if device not in plant.plant.faults.silent]
    shown = plant.plant.measured(talking)
    return SampleBatch.of([(p, now_s, now_s, v, GOOD) for p, v in shown.items() if not math.isnan(v)])


def _signs(result: StepResult) -> frozenset[str]:
    """What a cycle says: conditions, telling kinds of plan, loops let go."""
    plans = (p.reason.code for p in result.plans if p.reason.code in TELLING)
    gone: Callable[[str], str] = "let go: {}".format
    return frozenset((*(c.code for c in result.conditions), *plans, *map(gone, result.let_go.values())))


def _note(run: Run, result: StepResult, since_s: float) -> None:
    new = [s for s in sorted(_signs(result) - run.seen) if s not in run.said]
    if new and math.isnan(run.reacted_s):
        run.reacted_s = since_s
    run.said += new
    run.shed_w = max(run.shed_w, sum(s.power_w for s in result.shed))

"""The actuator on the simulator's own devices, whose heartbeat semantics were written apart from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from actuator.actuator import Actuator
from plant.leases import Lease
from plant.live import LiveTable
from plant.samples import SampleBatch
from simulator.memory import MemoryPlant
from sites import load_site

SITE = Path(__file__).parents[2] / "site-configs" / "demo-pod.yaml"
START_S = 1_767_225_600.0


class _Bench:
    """A simulated plant, an actuator, and time that passes in steps of ten seconds."""

    def __init__(self, audit) -> None:
        self.site = load_site(SITE)
        self.plant = MemoryPlant(self.site, START_S)
        self.clock = self.plant.clock
        self.live = LiveTable(self.site.points.values(), self.clock)
        devices = {name: self.plant.device(name) for name in self.site.drives}
        self.actuator = Actuator(self.site, devices, self.live, self.clock, audit, 3, frozenset(devices))
        self.seq = 0

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 10)):
            self.plant.advance(10)
            now_s = self.clock.now()
            shown = self.plant.plant.measured(self.site.drives)
            self.live.update(SampleBatch.of([(p, now_s, now_s, v, 0) for p, v in shown.items()]))
            await self.actuator.tick()

    async def ask(self, point: str, value: float):
        self.seq += 1
        lease = Lease(
            point=point, value=value, epoch=3, seq=self.seq, issued_s=self.clock.now(),
            issued_mono_s=self.clock.monotonic(), ttl_s=180,
        )  # fmt: skip
        return await self.actuator.request(lease)

    def shown(self, name: str) -> float:
        return self.live.snapshot().value(f"cdu-1/{name}")


@pytest.fixture
def bench():
    """A simulated demo pod with an actuator."""

    class _Audit:
        def append(self, at_s, actor, action, subject, detail):
            return None

    return _Bench(_Audit())


async def test_driven_by_leases_and_back_by_itself(bench):
    """A CDU follows leased setpoints while they are renewed, and is at its default by its own ramp after they end."""
    await bench.pass_time(30)
    before = bench.shown("effective_supply_temperature_setpoint")
    for _ in range(6):
        answer = await bench.ask("cdu-1/supply_temperature_setpoint", before + 0.8)
        assert answer.accepted, answer.text
        answer = await bench.ask("cdu-1/differential_pressure_setpoint", 100000.0)
        assert answer.accepted, answer.text
        await bench.pass_time(60)
        assert bench.shown("control_source") == 1
    assert bench.shown("effective_supply_temperature_setpoint") == pytest.approx(before + 0.8, abs=0.02)
    assert bench.shown("effective_differential_pressure_setpoint") == pytest.approx(100000, abs=200)
    assert bench.actuator.conditions() == []
    assert bench.actuator.state().accepted_commands == 2
    await bench.pass_time(180)
    assert bench.shown("control_source") != 1
    await bench.pass_time(900)
    assert bench.shown("effective_supply_temperature_setpoint") == pytest.approx(before, abs=0.02)
    assert bench.actuator.conditions() == []


async def test_all_to_default_returns_every_device(bench):
    """Every driven device of the pod leaves remote when everything is let go."""
    await bench.pass_time(30)
    assert (await bench.ask("cdu-1/supply_temperature_setpoint", 32.5)).accepted
    assert (await bench.ask("dry-coolers/leaving_temperature_setpoint", 27.5)).accepted
    await bench.pass_time(30)
    assert (await bench.actuator.relinquish(None, "operator:ann", "test")).accepted
    await bench.pass_time(20)
    snapshot = bench.live.snapshot()
    assert all(snapshot.value(f"{d}/control_source") != 1 for d in bench.site.drives)

"""A device in memory with the heartbeat semantics of the generic profiles, and a rig around it."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actuator.actuator import Actuator
from plant.clock import ManualClock
from plant.errors import RefusedError, SilentError
from plant.leases import Envelope, Lease
from plant.live import LiveTable
from plant.points import Point
from plant.ports import any_frame
from plant.quantities import Quantity
from plant.samples import SampleBatch
from plant.topology import Climate, CoolingGroup, Drive, Equipment, Site, Tariff, Workload

TIMEOUT_S = 60.0
DEFAULTS = {"supply": 32.0, "pressure": 110000.0}


@dataclass
class FakeDevice:
    """Registers, a heartbeat timeout and defaults; only the wire is missing."""

    id: str
    clock: ManualClock
    registers: dict[str, float] = field(default_factory=lambda: {
        "heartbeat": 7.0, "remote_enable": 0.0, "owner_epoch": 0.0,
        "supply_setpoint": 32.0, "pressure_setpoint": 110000.0,
    })  # fmt: skip
    beat_mono_s: float = -math.inf
    log: list[tuple[float, str, float]] = field(default_factory=list)
    fault: str = ""
    stuck: bool = False
    scale_error: float = 0.0

    async def write(self, point: str, value: float, check=any_frame) -> float:
        """Write a register, in SI, if `check` allows what the frame says."""
        await self._wire()
        check(value + self.scale_error)
        name = point.rpartition("/")[2]
        if name == "heartbeat" and value != self.registers[name]:
            self.beat_mono_s = self.clock.monotonic()
        self.registers[name] = value
        self.log.append((self.clock.monotonic(), name, value))
        return value + self.scale_error

    async def read_back(self, point: str) -> float:
        """Read a register."""
        await self._wire()
        return self.registers[point.rpartition("/")[2]]

    async def _wire(self) -> None:
        await asyncio.sleep(0)
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "silent":
            raise SilentError(f"{self.id}: no answer")
        if self.fault == "refuse":
            raise RefusedError(f"{self.id}: exception 2, illegal data address")
        if self.fault == "bug":
            raise ZeroDivisionError("a bug")

    @property
    def remote(self) -> bool:
        """Whether it follows remote setpoints now."""
        alive = self.clock.monotonic() < self.beat_mono_s + TIMEOUT_S
        return alive and self.registers["remote_enable"] == 1.0

    def effective(self, name: str) -> float:
        """The setpoint that it follows."""
        return self.registers[f"{name}_setpoint"] if self.remote and not self.stuck else DEFAULTS[name]

    def poll(self) -> dict[str, float]:
        """What a poll of it gives."""
        return {
            "control_source": 1.0 if self.remote else 0.0,
            "effective_supply_setpoint": self.effective("supply"),
            "effective_pressure_setpoint": self.effective("pressure"),
            "supply_setpoint": self.registers["supply_setpoint"],
            "pressure_setpoint": self.registers["pressure_setpoint"],
            "dew_point": 12.0,
        }


class ListAudit:
    """Keeps entries in memory; can be told to fail as a full disk does."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, dict]] = []
        self.full = False

    def append(self, at_s, actor, action, subject, detail):
        """Keep an entry."""
        if self.full:
            raise OSError(28, "No space left on device")
        self.entries.append((actor, action, subject, detail))

    def actions(self) -> list[str]:
        """The actions kept, in order."""
        return [entry[1] for entry in self.entries]


def _envelopes(device: str) -> dict[str, Envelope]:
    supply, pressure = f"{device}/supply_setpoint", f"{device}/pressure_setpoint"
    dew = (f"{device}/dew_point",)
    return {
        supply: Envelope(
            point=supply, minimum=22, maximum=42, max_step=1.0, min_dwell_s=300, dew_point_margin_k=3.0,
            dew_point_points=dew, inputs=dew,
        ),
        pressure: Envelope(point=pressure, minimum=45000, maximum=150000, max_step=15000, min_dwell_s=300),
    }  # fmt: skip


def _points(device: str) -> dict[str, Point]:
    names = {
        "supply_setpoint": Quantity.TEMPERATURE, "pressure_setpoint": Quantity.DIFFERENTIAL_PRESSURE,
        "effective_supply_setpoint": Quantity.TEMPERATURE,
        "effective_pressure_setpoint": Quantity.DIFFERENTIAL_PRESSURE,
        "control_source": Quantity.STATE, "dew_point": Quantity.TEMPERATURE,
    }  # fmt: skip
    return {
        f"{device}/{n}": Point(id=f"{device}/{n}", quantity=q, equipment=device, link=device, period_s=10)
        for n, q in names.items()
    }


def _site(devices: tuple[str, ...]) -> Site:
    drives = {
        d: Drive(
            equipment=d, kind="native_heartbeat", heartbeat=f"{d}/heartbeat", timeout_s=TIMEOUT_S,
            enable=f"{d}/remote_enable", owner=f"{d}/owner_epoch",
        )
        for d in devices
    }  # fmt: skip
    drives["sidecar"] = Drive(equipment="sidecar", kind="none")
    envelopes = {p: e for d in devices for p, e in _envelopes(d).items()}
    envelopes["sidecar/supply_setpoint"] = Envelope(
        point="sidecar/supply_setpoint", minimum=20, maximum=40, max_step=1, min_dwell_s=0
    )
    return Site(
        id="t", name="t", name_zh="t", path="", timezone="UTC", coolant="water", glycol_percent=0, gpus_per_rack=1,
        links={}, equipment={d: Equipment(id=d, kind="cdu") for d in devices},
        points={p: v for d in devices for p, v in _points(d).items()},
        groups={"g": CoolingGroup(id="g", members=devices, master=devices[0], racks=(), commands={}, design={}, drivable=True)},
        drives=drives, envelopes=envelopes, limits={}, tariff=Tariff(currency="EUR", energy_per_kwh=(0.2,) * 24),
        carbon_kg_per_kwh=0.3, carbon_source="", climate=Climate(
            mean_c=10, annual_amplitude_k=10, daily_amplitude_k=5, dew_point_depression_k=5),
        workload=Workload(seed=1, racks={}), retention={},
    )  # fmt: skip


class Rig:
    """Devices, live table, audit and actuator on one clock driven by hand."""

    def __init__(self, devices: tuple[str, ...] = ("cdu-1",), epoch: int = 5, **options: float) -> None:
        self.clock = ManualClock()
        self.site = _site(devices)
        self.devices = {d: FakeDevice(d, self.clock) for d in devices}
        self.live = LiveTable(self.site.points.values(), self.clock)
        self.audit = ListAudit()
        self.options = {"call_timeout_s": 0.2, "release_timeout_s": 0.5, **options}
        self.seq = 0
        self.start(epoch)
        self.poll()

    def start(self, epoch: int, writable: frozenset[str] | None = None) -> None:
        """A new process on the same devices."""
        self.epoch = epoch
        allowed = frozenset(self.devices) if writable is None else writable
        self.actuator = Actuator(
            self.site, self.devices, self.live, self.clock, self.audit, epoch, allowed, **self.options
        )

    @property
    def device(self) -> FakeDevice:
        """The first device."""
        return next(iter(self.devices.values()))

    def poll(self, *, without: str = "") -> None:
        """Poll every device into the live table."""
        now_s = self.clock.now()
        rows = [
            (f"{d.id}/{name}", now_s, now_s, value, 0)
            for d in self.devices.values()
            for name, value in d.poll().items()
            if name != without
        ]
        self.live.update(SampleBatch.of(rows))

    def lease(self, value: float, ttl_s: float = 180.0, holder: str = "controller", **changes) -> Lease:
        """A lease of the next sequence number."""
        self.seq += 1
        known = {
            "point": "cdu-1/supply_setpoint", "epoch": self.epoch, "seq": self.seq, "issued_s": self.clock.now(),
            "issued_mono_s": self.clock.monotonic(), "reason": "test",
        }  # fmt: skip
        return Lease(value=value, ttl_s=ttl_s, holder=holder, **{**known, **changes})

    async def ask(self, value: float, **changes):
        """Ask for a lease."""
        return await self.actuator.request(self.lease(value, **changes))

    async def pass_time(self, seconds: float, step_s: float = 5.0) -> None:
        """Advance, poll and tick in small steps."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.poll()
            await self.actuator.tick()

    def codes(self) -> list[str]:
        """Codes of the conditions."""
        return [c.code for c in self.actuator.conditions()]


def _beside(name: str):
    """A module of this folder: test folders are no packages."""
    spec = importlib.util.spec_from_file_location(f"coldplate_test_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def guard_cases():
    """What the guard must say."""
    return _beside("guard_cases")


@pytest.fixture(scope="session")
def mutants():
    """Maker of mutants."""
    return _beside("mutants")


@pytest.fixture
def audit() -> ListAudit:
    """Entries in memory."""
    return ListAudit()


@pytest.fixture(scope="session")
def commission_rigs():
    """Simulated devices over real sockets, sound or faulty."""
    return _beside("commission_rig")


@pytest.fixture(scope="session")
def make_rig() -> Callable[..., Rig]:
    """Rigs on demand."""
    return Rig


@pytest.fixture
def rig() -> Rig:
    """A rig with one device."""
    return Rig()

"""A simulated plant without sockets, for studies: time moves by hand, samples and commands pass in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.decode import decode_words
from devices.encode import encode_words
from devices.profiles import ProfilePoint
from plant.clock import ManualClock
from plant.errors import RefusedError, SilentError
from plant.points import PointId
from plant.ports import FrameCheck, any_frame
from plant.samples import Quality, Reason, SampleBatch, quality_code
from plant.topology import Site
from simulator.faults import Faults
from simulator.loops import modbus_profiles
from simulator.plant import SimulatedPlant

GOOD = quality_code(Quality.GOOD)
NOT_A_NUMBER = quality_code(Quality.BAD, Reason.NOT_A_NUMBER)
STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class MemoryDevice:
    """One device's hands, as `plant.ports.DeviceLink`: values pass through the profile's own registers."""

    plant: SimulatedPlant
    equipment: str
    points: dict[PointId, ProfilePoint]

    async def write(self, point: PointId, value: float, check: FrameCheck = any_frame) -> float:
        """Write one value [SI]; returns it as the register holds it, `check` hears it first.

        Raises:
            RefusedError: not a register of this device, or the device said no.
            SilentError: the device is silent.
        """
        register = self._register(point)
        sent = decode_words(register, encode_words(register, value))
        check(sent)
        self.plant.command(point, sent)
        return sent

    async def read_back(self, point: PointId) -> float:
        """One register now [SI]. Raises: RefusedError, SilentError."""
        register = self._register(point)
        return decode_words(register, encode_words(register, self.plant.measured((self.equipment,))[point]))

    def _register(self, point: PointId) -> ProfilePoint:
        if self.equipment in self.plant.faults.silent:
            raise SilentError(f"{self.equipment}: no answer")
        register = self.points.get(point)
        if register is None or not register.writable:
            raise RefusedError(f"{point}: not a writable register of {self.equipment}")
        return register


class MemoryPlant:
    """A plant and its clock, moved together. `clock.now()` has to be `start_s` at the start."""

    def __init__(
        self,
        site: Site,
        start_s: float,
        clock: ManualClock | None = None,
        faults: Faults | None = None,
        *,
        plant: SimulatedPlant | None = None,
    ) -> None:
        """plant: one with weather or work of its own, at start_s, in place of the site's."""
        self.site, self.clock = site, clock or ManualClock(epoch_s=start_s)
        self.plant = plant or SimulatedPlant(site, start_s, faults=faults)
        self._registers: dict[str, dict[PointId, ProfilePoint]] = {}
        for equipment in site.equipment.values():
            for profile, _, _ in modbus_profiles(equipment):
                own = {f"{equipment.id}/{p.name}": p for p in profile.points}
                self._registers.setdefault(equipment.id, {}).update(own)
        self._racks = [e.id for e in site.of_kind("rack")]

    def advance(self, seconds: float) -> None:
        """Let `seconds` [s] pass, for plant and clock alike."""
        left_s = seconds
        while left_s > 1e-9:
            step_s = min(left_s, STEP_S)
            self.plant.step(step_s)
            self.clock.advance(step_s)
            left_s -= step_s

    def device(self, equipment: str) -> MemoryDevice:
        """The hands on one device."""
        return MemoryDevice(self.plant, equipment, self._registers[equipment])

    def batch(self, *, gpus: bool = False) -> SampleBatch:
        """Everything as a collector would have it now; `gpus` adds every GPU's points. Silent devices are absent."""
        time_s = self.clock.now()
        silent = self.plant.faults.silent
        wanted = [name for name in (*self._registers, *self._racks) if name not in silent]
        rows = []
        for point, value in self.plant.measured(wanted).items():
            if gpus or "/gpu-" not in point:
                seen = self._quantised(point, value)
                rows.append((point, time_s, time_s, seen, GOOD if not math.isnan(seen) else NOT_A_NUMBER))
        return SampleBatch.of(rows)

    def _quantised(self, point: PointId, value: float) -> float:
        register = self._registers.get(point.partition("/")[0], {}).get(point)
        if register is None or register.type.startswith("f") or math.isnan(value):
            return value
        return round((value - register.offset) / register.factor) * register.factor + register.offset

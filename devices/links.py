"""A device's hands for the actuator."""

from __future__ import annotations

from devices.decode import decode_words, encode_words
from devices.modbus import ModbusEndpoint
from devices.profiles import Profile, ProfilePoint
from plant.errors import RefusedError
from plant.points import PointId


class ModbusDevice:
    """One Modbus unit as `plant.ports.DeviceLink`: points by full id, values in SI."""

    def __init__(self, endpoint: ModbusEndpoint, equipment: str, profile: Profile, unit: int) -> None:
        self.endpoint, self.equipment, self.profile, self.unit = endpoint, equipment, profile, unit
        self._points: dict[PointId, ProfilePoint] = {f"{equipment}/{p.name}": p for p in profile.points}

    async def write(self, point: PointId, value: float) -> float:
        """Write one value; returns what the words that left mean [SI].

        Raises:
            RefusedError: not writable, does not fit, or the device said no.
            SilentError: no answer in time; the write may or may not have happened.
        """
        register = self._writable(point)
        words = encode_words(register, value)
        sent = decode_words(register, words)
        await self.endpoint.write(self.unit, register.address or 0, words)
        return sent

    async def read_back(self, point: PointId) -> float:
        """One writable point's register now [SI]; NaN if the device says that there is no value.

        Raises:
            RefusedError: not writable, or the device said no.
            SilentError: no answer in time.
        """
        register = self._writable(point)
        words = await self.endpoint.read(self.unit, "holding", register.address or 0, register.words)
        return decode_words(register, words)

    def _writable(self, point: PointId) -> ProfilePoint:
        register = self._points.get(point)
        if register is None or not register.writable or register.table != "holding" or register.address is None:
            raise RefusedError(f"{point}: not a writable register of profile {self.profile.profile}")
        return register

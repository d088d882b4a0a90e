"""A device's hands for the actuator."""

from __future__ import annotations

from devices.decode import MAX_EXPONENT, decode_words
from devices.encode import encode_words
from devices.modbus import ModbusEndpoint
from devices.modbus_frames import write_request
from devices.profiles import Profile, ProfilePoint
from devices.second_opinion import said_by
from devices.sunspec import find_model
from plant.errors import RefusedError
from plant.points import PointId
from plant.ports import FrameCheck, any_frame


class ModbusDevice:
    """One Modbus unit as `plant.ports.DeviceLink`: points by full id, values in SI."""

    def __init__(self, endpoint: ModbusEndpoint, equipment: str, profile: Profile, unit: int) -> None:
        self.endpoint, self.equipment, self.profile, self.unit = endpoint, equipment, profile, unit
        self._base: int | None = None if profile.sunspec_models else 0
        self._points: dict[PointId, ProfilePoint] = {f"{equipment}/{p.name}": p for p in profile.points}

    async def write(self, point: PointId, value: float, check: FrameCheck = any_frame) -> float:
        """Write one value; returns what the frame says [SI], by `devices.second_opinion`; `check` hears it first.

        Raises:
            RefusedError: not writable, does not fit, or the device said no.
            SilentError: no answer in time; the write may or may not have happened.
        """
        register = self._writable(point)
        exponent, address = await self._exponent(register), await self._address(register)
        request = write_request(self.unit, address, encode_words(register, value, exponent=exponent))
        said = said_by(request.pdu, register, address, exponent=exponent)
        check(said)
        await self.endpoint.send(request)
        return said

    async def read_back(self, point: PointId) -> float:
        """One writable point's register now [SI]; NaN if the device says that there is no value.

        Raises:
            RefusedError: not writable, or the device said no.
            SilentError: no answer in time.
        """
        register = self._writable(point)
        exponent = await self._exponent(register)
        words = await self.endpoint.read(self.unit, "holding", await self._address(register), register.words)
        return decode_words(register, words, exponent=exponent, sunspec=bool(self.profile.sunspec_models))

    async def look(self, point: PointId) -> float:
        """Any numeric point of the profile now [SI], for commissioning; NaN if the device gives none.

        Raises:
            RefusedError: no register of this profile, or the device said no.
            SilentError: no answer in time.
        """
        register = self._points.get(point)
        if register is None or register.table is None or register.address is None:
            raise RefusedError(f"{point}: not a register of profile {self.profile.profile}")
        exponent = await self._exponent(register)
        words = await self.endpoint.read(self.unit, register.table, await self._address(register), register.words)
        return decode_words(register, words, exponent=exponent, sunspec=bool(self.profile.sunspec_models))

    def fall_silent(self) -> None:
        """A device on Modbus hears only what is written, so there is nothing to stop."""

    async def _address(self, register: ProfilePoint) -> int:
        if self._base is None:
            self._base = await find_model(self.endpoint, self.unit, self.profile.sunspec_models)
        return self._base + (register.address or 0)

    async def _exponent(self, register: ProfilePoint) -> int:
        """The device's own power of ten for a register, read anew: it may depend on the device's range."""
        if not register.scale_from:
            return 0
        factor = self.profile.point(register.scale_from)
        address = await self._address(factor)
        words = await self.endpoint.read(self.unit, factor.table or "holding", address, factor.words)
        exponent = decode_words(factor, words, sunspec=True)
        if not abs(exponent) <= MAX_EXPONENT:
            raise RefusedError(f"{self.equipment}/{register.name}: its scale factor {factor.name} has no value")
        return int(exponent)

    def _writable(self, point: PointId) -> ProfilePoint:
        register = self._points.get(point)
        if register is None or not register.writable or register.table != "holding" or register.address is None:
            raise RefusedError(f"{point}: not a writable register of profile {self.profile.profile}")
        return register

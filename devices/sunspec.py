"""Where a SunSpec device keeps a model: its map begins with "SunS", then models follow one another.

Source: SunSpec Device Information Model Specification 1.1, section 6 (base registers, model headers).
"""

from __future__ import annotations

from collections.abc import Sequence

from devices.modbus import ModbusEndpoint, ModbusRefusedError
from plant.errors import RefusedError

BASES = (40_000, 0, 50_000)
MARK = [0x5375, 0x6E53]
END_MODEL = 0xFFFF
MOST_MODELS = 100


async def find_model(endpoint: ModbusEndpoint, unit: int, models: Sequence[int]) -> int:
    """Address of the header of the first model of the device that is one of `models`.

    Raises:
        SilentError: no answer.
        RefusedError: no SunSpec device, or one without these models.
    """
    wanted, where = " or ".join(map(str, models)), f"{endpoint.name} unit {unit}"
    address, found = await _base(endpoint, unit), []
    for _ in range(MOST_MODELS):
        model, length = await endpoint.read(unit, "holding", address, 2)
        if model in models:
            return address
        if model == END_MODEL:
            break
        found.append(str(model))
        address += 2 + length
    has = ", ".join(found) or "none"
    raise RefusedError(f"{where}: no SunSpec model {wanted}; it has {has}, choose the profile that fits it")


async def _base(endpoint: ModbusEndpoint, unit: int) -> int:
    for base in BASES:
        try:
            if await endpoint.read(unit, "holding", base, 2) == MARK:
                return base + 2
        except ModbusRefusedError:
            continue
    bases = ", ".join(map(str, BASES))
    raise RefusedError(f"{endpoint.name} unit {unit}: no SunSpec device, 'SunS' is at none of {bases}")

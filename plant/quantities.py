"""Quantities, their SI units, and the engineering units that devices speak."""

from __future__ import annotations

from enum import StrEnum

from plant.errors import ConfigError


class Quantity(StrEnum):
    """What a point measures; the value is its name in site files and profiles."""

    TEMPERATURE = "temperature"
    VOLUME_FLOW = "volume_flow"
    PRESSURE = "pressure"
    DIFFERENTIAL_PRESSURE = "differential_pressure"
    POWER = "power"
    APPARENT_POWER = "apparent_power"
    ENERGY = "energy"
    FRACTION = "fraction"
    FREQUENCY = "frequency"
    SPEED = "speed"
    CURRENT = "current"
    VOLTAGE = "voltage"
    HUMIDITY = "humidity"
    DURATION = "duration"
    COUNT = "count"
    STATE = "state"
    LEVEL = "level"


SWITCHED = frozenset({Quantity.STATE, Quantity.COUNT, Quantity.FRACTION})
"""What may be told by true and false: what can be on or off."""

UNIT: dict[Quantity, str] = {
    Quantity.TEMPERATURE: "°C",
    Quantity.VOLUME_FLOW: "m³/s",
    Quantity.PRESSURE: "Pa",
    Quantity.DIFFERENTIAL_PRESSURE: "Pa",
    Quantity.POWER: "W",
    Quantity.APPARENT_POWER: "VA",
    Quantity.ENERGY: "J",
    Quantity.FRACTION: "1",
    Quantity.FREQUENCY: "Hz",
    Quantity.SPEED: "1/s",
    Quantity.CURRENT: "A",
    Quantity.VOLTAGE: "V",
    Quantity.HUMIDITY: "1",
    Quantity.DURATION: "s",
    Quantity.COUNT: "1",
    Quantity.STATE: "code",
    Quantity.LEVEL: "dB",
}

# SI unit -> engineering unit -> (factor, offset): si = raw * factor + offset
_UNITS: dict[str, dict[str, tuple[float, float]]] = {
    "1": {
        "": (1.0, 0.0),
        "1": (1.0, 0.0),
        "code": (1.0, 0.0),
        "%": (0.01, 0.0),
        "%RH": (0.01, 0.0),
    },
    "°C": {
        "degC": (1.0, 0.0),
        "°C": (1.0, 0.0),
        "C": (1.0, 0.0),
        "Celsius": (1.0, 0.0),
        "DegC": (1.0, 0.0),
        "deg C": (1.0, 0.0),
        "K": (1.0, -273.15),
        "degF": (5 / 9, -160 / 9),
        "°F": (5 / 9, -160 / 9),
        "F": (5 / 9, -160 / 9),
        "DegF": (5 / 9, -160 / 9),
        "deg F": (5 / 9, -160 / 9),
    },
    "m³/s": {
        "m3/s": (1.0, 0.0),
        "m3/h": (1 / 3600, 0.0),
        "m³/h": (1 / 3600, 0.0),
        "m³/s": (1.0, 0.0),
        "m3/min": (1 / 60, 0.0),
        "CFM": (4.71947443e-4, 0.0),  # cubic foot per minute
        "l/min": (1 / 60000, 0.0),
        "LPM": (1 / 60000, 0.0),
        "lpm": (1 / 60000, 0.0),
        "L/min": (1 / 60000, 0.0),
        "l/s": (1e-3, 0.0),
        "L/s": (1e-3, 0.0),
        "LPS": (1e-3, 0.0),
        "l/h": (1 / 3.6e6, 0.0),
        "L/h": (1 / 3.6e6, 0.0),
        "gpm": (6.30901964e-5, 0.0),  # US gallon per minute
        "GPM": (6.30901964e-5, 0.0),
    },
    "Pa": {
        "Pa": (1.0, 0.0),
        "kPa": (1e3, 0.0),
        "kpa": (1e3, 0.0),
        "KPA": (1e3, 0.0),
        "mbar": (100.0, 0.0),
        "hPa": (100.0, 0.0),
        "bar": (1e5, 0.0),
        "psi": (6894.757, 0.0),
        "PSI": (6894.757, 0.0),
    },
    "W": {
        "W": (1.0, 0.0),
        "kW": (1e3, 0.0),
        "kw": (1e3, 0.0),
        "KW": (1e3, 0.0),
        "BTU/h": (0.29307107, 0.0),
        "Btu/h": (0.29307107, 0.0),
        "BTUH": (0.29307107, 0.0),
        "MW": (1e6, 0.0),
    },
    "VA": {
        "VA": (1.0, 0.0),
        "kVA": (1e3, 0.0),
    },
    "J": {
        "J": (1.0, 0.0),
        "mJ": (1e-3, 0.0),
        "Wh": (3.6e3, 0.0),
        "kWh": (3.6e6, 0.0),
        "MWh": (3.6e9, 0.0),
        "kJ": (1e3, 0.0),
        "MJ": (1e6, 0.0),
        "GJ": (1e9, 0.0),
    },
    "1/s": {
        "Hz": (1.0, 0.0),
        "MHz": (1e6, 0.0),
        "rpm": (1 / 60, 0.0),
        "RPM": (1 / 60, 0.0),
    },
    "A": {
        "A": (1.0, 0.0),
    },
    "V": {
        "V": (1.0, 0.0),
    },
    "s": {
        "s": (1.0, 0.0),
        "min": (60.0, 0.0),
        "h": (3600.0, 0.0),
    },
    "dB": {
        "dB": (1.0, 0.0),
        "dBA": (1.0, 0.0),
    },
}
_TO_SI = {unit: scale for units in _UNITS.values() for unit, scale in units.items()}
_SI = {unit: si for si, units in _UNITS.items() for unit in units}


def to_si(unit: str) -> tuple[float, float]:
    """Factor and offset that turn a value in `unit` into the SI unit of its quantity.

    Raises:
        ConfigError: the unit is unknown.
    """
    try:
        return _TO_SI[unit]
    except KeyError:
        known = ", ".join(sorted(filter(None, _TO_SI)))
        raise ConfigError(f"unknown unit {unit!r}", remedy=f"use one of {known}") from None


def si_unit(unit: str) -> str:
    """The SI unit that `to_si` leads to, alike for all that measures the same: shares, counts and codes are `1`.

    Raises:
        ConfigError: the unit is unknown.
    """
    to_si(unit)
    return _SI[unit]


def measures(unit: str, quantity: Quantity) -> bool:
    """Whether a quantity can be told in a known unit: energy not in watts, temperature not in kilopascals."""
    return _SI[unit] == _SI.get(UNIT[quantity], UNIT[quantity])

"""Many copies of a coolant loop with imperfect sensors, minute by minute; and the errors that are put into them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.balance import Constants, Means
from collector.culprit import Suspect
from collector.fluids import glycol_share, volume_heat

Floats = npt.NDArray[np.float64]
RACKS, UNITS = 8, 2
DAY_MIN, MONTH_MIN = 1440, 30 * 1440
RACK_FLOW, RACK_W, PRIMARY_FLOW = 0.0029, 132e3, 0.0135
GLYCOL = ("propylene-glycol", 25.0)
DRIFT_MIN = 10 * DAY_MIN
LATE = 0.15
FLOW_PERCENT, PAIR_K, POWER_PERCENT, CAPTURE_PERCENT, GLYCOL_POINTS = 5.0, 0.3, 5.0, 6.0, 15.0


@dataclass(frozen=True, slots=True)
class Error:
    """An error to inject: what it is called, whom the balances ought to convict, and what it does to the truth."""

    name: str
    culprit: Callable[[int], Suspect]
    apply: Callable[[dict[str, Floats], tuple[slice | int, ...]], None]


def _scaled(column: str, factor: float) -> Callable[[dict[str, Floats], tuple[slice | int, ...]], None]:
    def apply(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
        columns[column][where] *= factor

    return apply


def _added(column: str, offset: float) -> Callable[[dict[str, Floats], tuple[slice | int, ...]], None]:
    def apply(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
        columns[column][where] += offset

    return apply


def _glycol(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
    """Less heat capacity than assumed: every rise on the coolant's side is larger for the same heat."""
    factor = 1.0 + glycol_share(*GLYCOL, GLYCOL_POINTS)
    columns["rack_rise_true"][where[0], where[1]] *= factor
    columns["unit_rise"][where[0], where[1]] *= factor


def _capture(columns: dict[str, Floats], where: tuple[slice | int, ...]) -> None:
    """Less of one rack's power goes into the liquid, and so less arrives at the units and beyond."""
    rises = columns["rack_rise_true"]
    share = rises[where] / rises[where[0], where[1]].sum(axis=-1)
    rises[where] *= 1 - CAPTURE_PERCENT / 100
    for column in ("unit_rise", "primary_rise"):
        columns[column][where[0], where[1]] *= (1 - CAPTURE_PERCENT / 100 * share)[:, None]


ERRORS = (
    Error("flow", lambda i: Suspect("rack_flow", i), _scaled("rack_flow", 1 + FLOW_PERCENT / 100)),
    Error("temperature", lambda i: Suspect("rack_temperatures", i), _added("rack_rise", PAIR_K)),
    Error("power", lambda i: Suspect("rack_power", i), _scaled("rack_power", 1 + POWER_PERCENT / 100)),
    Error("capture", lambda i: Suspect("rack_power", i), _capture),
    Error("unit_flow", lambda i: Suspect("unit_flow", i % UNITS), _scaled("unit_flow", 1 + FLOW_PERCENT / 100)),
    Error("glycol", lambda _: Suspect("coolant", 0), _glycol),
)


def known() -> Constants:
    """What the balances assume."""
    water = volume_heat("water", 0.0)
    return Constants(coolant=volume_heat(*GLYCOL), water=water, capture=np.full(RACKS, 0.87))


class Plant:
    """Many copies of a loop, in chunks of minutes: true values, and what their sensors say."""

    def __init__(self, copies: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.copies = copies
        rng, racks = self.rng, (copies, RACKS)
        self.flow_error, self.unit_flow_error = (
            rng.uniform(-0.02, 0.02, racks),
            rng.uniform(-0.02, 0.02, (copies, UNITS)),
        )
        self.primary_error = rng.uniform(-0.02, 0.02, (copies, UNITS))
        self.pair_k, self.unit_pair_k = rng.uniform(-0.1, 0.1, racks), rng.uniform(-0.1, 0.1, (copies, UNITS))
        self.primary_pair_k = rng.uniform(-0.1, 0.1, (copies, UNITS))
        self.power_error, self.capture_error = rng.uniform(-0.01, 0.01, racks), rng.uniform(-0.03, 0.03, racks)
        self.heat_error = rng.uniform(-0.0025, 0.0025, (copies, 1))
        self._drift: dict[str, Floats] = {}
        self._level = rng.uniform(0.4, 0.9, racks)
        self._left = np.zeros(racks)
        self._last: Floats | None = None
        self._minute = 0

    def chunk(self, minutes: int) -> dict[str, Floats]:
        """Columns of the next minutes, each (minutes, copies, racks or units), as sensors show them."""
        rng = self.rng
        power = RACK_W * self._load(minutes)
        late = np.concatenate([(power[:1] if self._last is None else self._last[None]), power[:-1]])
        self._last = power[-1]
        capture = 0.87 * (1 + self.capture_error + self._drifting("capture", minutes, RACKS, 0.005))
        heat = capture * ((1 - LATE) * power + LATE * late)
        capacity = known().coolant * (1 + self.heat_error)
        flow = RACK_FLOW * (1 + 0.02 * np.sin(2 * np.pi * np.arange(minutes) / DAY_MIN))[:, None, None]
        flow = np.broadcast_to(flow, heat.shape)
        unit_flow = np.repeat(flow.sum(axis=2, keepdims=True) / UNITS, UNITS, axis=2)
        unit_heat = np.repeat(heat.sum(axis=2, keepdims=True) / UNITS, UNITS, axis=2)
        pump = 5e3
        noisy = {
            "rack_flow": flow * (1 + self.flow_error + self._drifting("flow", minutes, RACKS, 0.004)),
            "unit_flow": unit_flow * (1 + self.unit_flow_error + self._drifting("unit", minutes, UNITS, 0.004)),
            "primary_flow": np.full(unit_flow.shape, PRIMARY_FLOW) * (1 + self.primary_error),
        }
        noisy = {name: column * (1 + rng.normal(0, 0.01, column.shape)) for name, column in noisy.items()}
        pair = self.pair_k + self._drifting("pair", minutes, RACKS, 0.02)
        rises = {
            "rack_rise_true": heat / (capacity * flow),
            "unit_rise": unit_heat / (capacity * unit_flow) + self.unit_pair_k,
            "primary_rise": (unit_heat + pump) / (known().water * PRIMARY_FLOW) + self.primary_pair_k,
        }
        noise = {name: rng.normal(0, 0.03 * math.sqrt(2), column.shape) for name, column in rises.items()}
        rises["unit_rise"] += noise["unit_rise"]
        rises["primary_rise"] += noise["primary_rise"]
        rises["rack_rise"] = pair + noise["rack_rise_true"]
        measured = power * (1 + self.power_error) * (1 + rng.normal(0, 0.005, power.shape))
        return {**noisy, **rises, "rack_power": measured, "pump_power": np.full(unit_heat.shape, pump)}

    def _load(self, minutes: int) -> Floats:
        """Share of full power (minutes, copies, racks): half of the racks train in jobs, half infer by the day."""
        load = np.empty((minutes, self.copies, RACKS))
        rng = self.rng
        for minute in range(minutes):
            over = self._left <= 0
            if over.any():
                idle = rng.random(over.shape) < 0.25
                self._level = np.where(over, np.where(idle, 0.25, rng.uniform(0.6, 1.0, over.shape)), self._level)
                self._left = np.where(over, rng.exponential(360, over.shape) + 20, self._left)
            self._left -= 1
            load[minute] = self._level
        at = self._minute + np.arange(minutes)
        day = 0.55 + 0.25 * np.sin(2 * np.pi * at / DAY_MIN)
        load[:, :, RACKS // 2 :] = day[:, None, None] + rng.normal(0, 0.02, (minutes, self.copies, RACKS // 2))
        self._minute += minutes
        return load

    def _drifting(self, name: str, minutes: int, width: int, spread: float) -> Floats:
        """Ornstein-Uhlenbeck drift, a new value for each chunk and a line between."""
        before = self._drift.get(name, np.zeros((self.copies, width)))
        keep = math.exp(-minutes / DRIFT_MIN)
        after = keep * before + spread * math.sqrt(1 - keep**2) * self.rng.normal(0, 1, before.shape)
        self._drift[name] = after
        along = (np.arange(minutes) / minutes)[:, None, None]
        return before + along * (after - before)


def means_of(columns: dict[str, Floats]) -> Means:
    """What the sensors show, rounded as registers are."""
    return Means(
        rack_flow=_rounded(columns["rack_flow"], 1 / 60000),
        rack_rise=_rounded(columns["rack_rise_true"] + columns["rack_rise"], 0.02),
        rack_power=_rounded(columns["rack_power"], 100.0),
        unit_flow=_rounded(columns["unit_flow"], 1 / 60000),
        unit_rise=_rounded(columns["unit_rise"], 0.02),
        primary_flow=_rounded(columns["primary_flow"], 1 / 60000),
        primary_rise=_rounded(columns["primary_rise"], 0.02),
        pump_power=columns["pump_power"],
        stored_w=np.zeros_like(columns["unit_flow"][..., :1]),
    )


def _rounded(column: Floats, step: float) -> Floats:
    return np.round(column / step) * step

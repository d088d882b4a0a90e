"""Heat to the outdoors: dry coolers, cooling towers, the economiser between tower and facility water."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from CoolProp.HumidAirProp import HAPropsSI

from plant.topology import Equipment
from simulator.exchange import (
    ProportionalIntegral,
    design_ua_w_k,
    effectiveness,
    exchanged_w,
    exchanger_ua_w_k,
    moved,
)

COIL_RESIDENCE_S = 12.0
FAN_STROKE_S = 60.0
LEAST_TOWER_C = 7.0  # a basin is not run colder: ice on the fill
DESIGN_WET_BULB_C = 24.0
FREE_SHARE = 0.125
CYCLES = 5.0  # of concentration
DRIFT_SHARE = 2e-5  # of the circulating water, with usual eliminators
AIR_PRESSURE_PA = 101325.0
TABLE_C = (-25.0, 70.0, 0.5)


class DryCooler:
    """A bank of dry coolers with fans under a PI on leaving temperature. Temperatures [degC], powers [W]."""

    def __init__(self, equipment: Equipment, water_rho_cp: float) -> None:
        design = equipment.design
        self.id, self.water_rho_cp = equipment.id, water_rho_cp
        self.design_flow_m3_s = design["flow_m3_s"]
        self.free_share = design.get("free_convection_fraction", FREE_SHARE)
        self.fan_design_w = design["fan_power_w"]
        self.fouling_k_w = design.get("fouling_k_w", 0.0)
        self.passes_warm_air = bool(design.get("warm_air_bypass", 0.0))
        stream_w_k = water_rho_cp * self.design_flow_m3_s
        rise_k = design["heat_w"] / stream_w_k
        self.air_w_k = 0.8 * stream_w_k  # air warms by 1.25 times the water's range, usual for flat-bed coolers
        self.ua_w_k = design_ua_w_k(design["heat_w"], stream_w_k, self.air_w_k, design["approach_k"] + rise_k)
        self.capacity_j_k = water_rho_cp * COIL_RESIDENCE_S * self.design_flow_m3_s
        self.loop = ProportionalIntegral(0.04, 150.0)
        self.fan, self.leaving_c, self.entering_c, self.flow_m3_s = 0.3, 27.0, 35.0, 0.0
        self.heat_w = self.power_w = self.water_kg_s = 0.0
        self.stopped = False

    def step(self, dt_s: float, setpoint_c: float, entering_c: float, flow_m3_s: float, dry_bulb_c: float) -> None:
        """Advance dt_s [s]. Below its setpoint a bypass keeps the water from being overcooled.

        Air warmer than the water warms it, but where the site says that water is led past the coils then.
        """
        want = 0.0 if self.stopped else self.loop.step(self.leaving_c - setpoint_c, dt_s)
        self.fan = moved(self.fan, want, dt_s / FAN_STROKE_S)
        stream_w_k, air_share = self.water_rho_cp * flow_m3_s, max(self.fan, self.free_share)
        ua_w_k = exchanger_ua_w_k(
            self.ua_w_k, flow_m3_s / self.design_flow_m3_s, air_share, fouling_k_w=self.fouling_k_w
        )
        heat_w = exchanged_w(ua_w_k, stream_w_k, self.air_w_k * air_share, entering_c - dry_bulb_c)
        bypassed_w = stream_w_k * max(entering_c - (setpoint_c - 0.5), 0.0)
        self.heat_w = min(heat_w, bypassed_w)
        if self.passes_warm_air:
            self.heat_w = max(self.heat_w, 0.0)
        self.leaving_c += dt_s * (stream_w_k * (entering_c - self.leaving_c) - self.heat_w) / self.capacity_j_k
        self.power_w = self.fan_design_w * self.fan**3
        self.entering_c, self.flow_m3_s = entering_c, flow_m3_s


class SaturatedAir:
    """Enthalpy [J/kg dry air] and moisture [kg/kg] of saturated air, tabulated from CoolProp once."""

    def __init__(self) -> None:
        low_c, high_c, step_c = TABLE_C
        self._low_c, self._step_c = low_c, step_c
        at = np.arange(low_c, high_c + 0.5 * step_c, step_c)

        def column(key: str) -> list[float]:
            return [float(HAPropsSI(key, "T", c + 273.15, "P", AIR_PRESSURE_PA, "R", 1.0)) for c in at]

        self._enthalpy, self._moisture = column("H"), column("W")
        self._temperatures = at.tolist()

    def _at(self, values: list[float], at_c: float) -> float:
        position = min(max((at_c - self._low_c) / self._step_c, 0.0), len(values) - 1.001)
        index = int(position)
        return values[index] + (values[index + 1] - values[index]) * (position - index)

    def enthalpy(self, at_c: float) -> float:
        """Enthalpy [J/kg dry air] at a temperature [degC]."""
        return self._at(self._enthalpy, at_c)

    def moisture(self, at_c: float) -> float:
        """Moisture [kg/kg dry air] at a temperature [degC]."""
        return self._at(self._moisture, at_c)

    def temperature(self, enthalpy: float) -> float:
        """Temperature [degC] at an enthalpy [J/kg dry air]."""
        return float(np.interp(enthalpy, self._enthalpy, self._temperatures))


@cache
def saturated_air() -> SaturatedAir:
    """The table; made on first use."""
    return SaturatedAir()


class CoolingTower:
    """Tower cells with a basin: effectiveness on enthalpy against wet bulb, fans under a PI, water use.

    Merkel's theory in the form of Braun, Klein and Mitchell (ASHRAE Transactions 95-2, 1989): counterflow effectiveness
    with the saturation heat capacity in place of the water's, NTU = c (water / air)^0.4 relative to design.
    Temperatures [degC], powers [W], water_kg_s: make-up for evaporation, drift and blowdown [kg/s].
    """

    def __init__(self, equipment: Equipment, water_rho_cp: float, density: float) -> None:
        design = equipment.design
        self.id, self.water_rho_cp, self.density = equipment.id, water_rho_cp, density
        self.design_flow_m3_s, self.fan_design_w = design["flow_m3_s"], design["fan_power_w"]
        self.pump_design_w = design.get("pump_power_w", 0.0)
        self.free_share = design.get("free_convection_fraction", FREE_SHARE)
        self.cycles = design.get("cycles_of_concentration", CYCLES)
        self.drift_share = design.get("drift_fraction", DRIFT_SHARE)
        self.air = saturated_air()
        wet_bulb_c, approach_k = design.get("wet_bulb_c", DESIGN_WET_BULB_C), design["approach_k"]
        range_k = design["heat_w"] / (water_rho_cp * self.design_flow_m3_s)
        leaving_c, entering_c = wet_bulb_c + approach_k, wet_bulb_c + approach_k + range_k
        water_kg_s = density * self.design_flow_m3_s
        self.air_kg_s = water_kg_s / design.get("water_to_air", 1.2)
        self.ntu = self._design_ntu(design["heat_w"], entering_c, leaving_c, wet_bulb_c)
        self.capacity_j_k = water_rho_cp * design.get("volume_m3", 60.0 * self.design_flow_m3_s)
        self.loop = ProportionalIntegral(0.04, 150.0)
        self.fan, self.leaving_c, self.entering_c, self.flow_m3_s = 0.3, 22.0, 28.0, 0.0
        self.heat_w = self.power_w = self.water_kg_s = 0.0
        self.stopped, self.open = False, True  # open: condenser water flows through it

    @property
    def stored_j(self) -> float:
        """Heat content of the basin against 0 degC [J]."""
        return self.capacity_j_k * self.leaving_c

    def step(self, dt_s: float, setpoint_c: float, gained_w: float, flow_m3_s: float, wet_bulb_c: float) -> None:
        """Advance dt_s [s] with gained_w [W] put into the water on its way round at flow_m3_s [m3/s]."""
        setpoint_c = max(setpoint_c, LEAST_TOWER_C)
        want = 0.0 if self.stopped else self.loop.step(self.leaving_c - setpoint_c, dt_s)
        self.fan = moved(self.fan, want, dt_s / FAN_STROKE_S)
        stream_w_k = self.water_rho_cp * flow_m3_s
        self.entering_c = self.leaving_c + (gained_w / stream_w_k if stream_w_k > 0.0 else 0.0)
        share = max(self.fan, self.free_share)
        could_w = self.heat_at(share, self.entering_c, flow_m3_s, wet_bulb_c)
        # below its setpoint the water by-passes the fill
        self.heat_w = min(could_w, stream_w_k * max(self.entering_c - (setpoint_c - 0.5), 0.0))
        self.leaving_c += dt_s * (gained_w - self.heat_w) / self.capacity_j_k
        self.power_w = self.fan_design_w * self.fan**3
        self.flow_m3_s = flow_m3_s
        self.water_kg_s = self._water(share, wet_bulb_c)

    def heat_at(self, air_share: float, entering_c: float, flow_m3_s: float, wet_bulb_c: float) -> float:
        """Heat [W] to the air for water that enters at entering_c [degC]."""
        if flow_m3_s <= 0.0 or entering_c <= wet_bulb_c:
            return 0.0
        air, air_kg_s = self.air, self.air_kg_s * air_share
        spare_j_kg = air.enthalpy(entering_c) - air.enthalpy(wet_bulb_c)
        saturation = spare_j_kg / (entering_c - wet_bulb_c)
        ratio = air_kg_s * saturation / (self.water_rho_cp * flow_m3_s)
        ntu = self.ntu * (flow_m3_s / self.design_flow_m3_s / air_share) ** 0.4
        return _either_way(ntu, ratio) * air_kg_s * spare_j_kg

    def _design_ntu(self, heat_w: float, entering_c: float, leaving_c: float, wet_bulb_c: float) -> float:
        """NTU that meets the design point, by bisection; the heat only rises with it."""
        low, high = 0.05, 12.0
        for _ in range(60):
            self.ntu = math.sqrt(low * high)
            if self.heat_at(1.0, entering_c, self.design_flow_m3_s, wet_bulb_c) < heat_w:
                low = self.ntu
            else:
                high = self.ntu
        if high > 11.9:
            from plant.errors import ConfigError  # noqa: PLC0415 - only a wrong site needs it

            problem = f"no tower cools {entering_c:.1f} to {leaving_c:.1f} degC at a wet bulb of {wet_bulb_c:.1f} degC"
            raise ConfigError(problem, where=self.id, remedy="raise flow_m3_s or approach_k, or lower water_to_air")
        return self.ntu

    def _water(self, air_share: float, wet_bulb_c: float) -> float:
        """Make-up water [kg/s]: the air leaves saturated, the rest of the salt goes with blowdown."""
        air_kg_s = self.air_kg_s * air_share
        inlet = self.air.enthalpy(wet_bulb_c)
        outlet_c = self.air.temperature(inlet + self.heat_w / air_kg_s)
        evaporated = max(air_kg_s * (self.air.moisture(outlet_c) - self.air.moisture(wet_bulb_c)), 0.0)
        drift = self.drift_share * self.density * self.flow_m3_s if self.heat_w > 0.0 else 0.0
        return evaporated + drift + max(evaporated / (self.cycles - 1.0) - drift, 0.0)


class Economiser:
    """A plate exchanger that lets tower water take heat out of facility water before the chillers see it."""

    def __init__(self, equipment: Equipment, water_rho_cp: float) -> None:
        design = equipment.design
        self.id, self.water_rho_cp = equipment.id, water_rho_cp
        self.design_flow_m3_s = design["flow_m3_s"]
        stream_w_k = water_rho_cp * self.design_flow_m3_s
        inlet_k = design["approach_k"] + design["heat_w"] / stream_w_k
        self.ua_w_k = design_ua_w_k(design["heat_w"], stream_w_k, stream_w_k, inlet_k)
        self.fouling_k_w = design.get("fouling_k_w", 0.0)
        self.id, self.enabled, self.heat_w, self.flow_m3_s = equipment.id, True, 0.0, 0.0

    def step(self, setpoint_c: float, entering_c: float, flow_m3_s: float, tower_c: float, tower_m3_s: float) -> float:
        """Water that leaves it [degC]; a bypass keeps it from overcooling, and from warming by a warm tower."""
        stream_w_k = self.water_rho_cp * flow_m3_s
        self.heat_w, self.flow_m3_s = 0.0, flow_m3_s
        if not self.enabled or stream_w_k <= 0.0 or tower_c >= entering_c:
            return entering_c
        hot, cold = flow_m3_s / self.design_flow_m3_s, tower_m3_s / self.design_flow_m3_s
        ua_w_k = exchanger_ua_w_k(self.ua_w_k, hot, cold, fouling_k_w=self.fouling_k_w)
        could_w = exchanged_w(ua_w_k, stream_w_k, self.water_rho_cp * tower_m3_s, entering_c - tower_c)
        self.heat_w = min(could_w, stream_w_k * max(entering_c - setpoint_c, 0.0))
        return entering_c - self.heat_w / stream_w_k


def _either_way(ntu: float, ratio: float) -> float:
    """Effectiveness on the air's side [1], also where the water has the smaller capacity rate (ratio above 1)."""
    if ratio <= 1.0:
        return effectiveness(ntu, ratio)
    return effectiveness(ntu * ratio, 1.0 / ratio) / ratio

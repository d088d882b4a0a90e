"""Heat to outdoor air by dry coolers, with a trim chiller behind them. Source: LBNL Buildings DryCooler, HADryCoil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controller.chillers import ChillerDesign, chiller_w
from controller.curves import UNTAUGHT, Curve
from controller.exchange import Array, effectiveness, solved
from controller.fluids import Fluid
from controller.outdoor import Outdoor, Rejected
from plant.topology import Equipment

STILL_W_K = 1.0
"""Water that stands carries no more than this [W/K]."""
AIR_FILM_EXPONENT, WATER_FILM_EXPONENT = 0.8, 0.85
"""hA of a finned coil's two films ~ their flow to this power."""
AIR_FILM_SHARE = 0.6
"""Of a coil's resistance at design: its air's hA, fins included, is usually two thirds of its water's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryCoolers:
    """Coolers that run, as one, at design. ua_w_k; water_w_k, air_w_k: capacity rates, air's at full speed [W/K].

    warms: air warmer than the water that comes warms it, for nothing leads that water past the coils.
    """

    water: Fluid
    ua_w_k: float
    water_w_k: float
    air_w_k: float
    fan_power_w: float
    free_share: float
    chiller: ChillerDesign | None
    warms: bool
    fans: Curve = UNTAUGHT

    @property
    def tower_pump_power_w(self) -> float:
        """None [W]."""
        return 0.0

    @property
    def chiller_power_w(self) -> float:
        """All chillers at their rating point [W]."""
        return self.chiller.power_w if self.chiller else 0.0

    @property
    def alone(self) -> DryCoolers | None:
        """The same while its chillers, which come by themselves, may not start yet; None where they always may."""
        if self.chiller is None or self.chiller.together or self.chiller.min_off_s <= 0:
            return None
        return replace(self, chiller=None)

    def with_air(self, factor: float) -> DryCoolers:
        """The same with fans that must move `factor` times as much air for the same heat."""
        return replace(self, ua_w_k=self.ua_w_k / factor, air_w_k=self.air_w_k / factor)

    def with_fans(self, fans: Curve) -> DryCoolers:
        """The same with fans whose true speed departs from the model's by a curve."""
        return replace(self, fans=fans)

    def with_plates(self, plates: Curve) -> DryCoolers:  # noqa: ARG002 - no economiser here
        """Itself."""
        return self

    def shown_share(self, heat_w: float, flow_m3_s: float, leaving_c: float, air: Outdoor) -> float:
        """Fan speed [1] by the model, without that curve, for heat, flow and leaving water as coolers show them."""
        heat, flow = np.array([heat_w]), np.array([flow_m3_s])
        return float(self._speed(heat, flow, np.array([leaving_c]), air)[0][0])

    def coil_w(self, speed: Array, stream_w_k: Array, difference_k: Array) -> Array:
        """Heat [W] at a fan speed [1] when water [W/K] enters difference_k [K] above outdoor air, negative below."""
        return self._coil_w(speed, stream_w_k, self._water_film(stream_w_k), difference_k)

    def _water_film(self, stream_w_k: Array) -> Array:
        """Resistance of the coil's water side over that of the whole coil at design [1]."""
        return (1 - AIR_FILM_SHARE) * (np.maximum(stream_w_k, STILL_W_K) / self.water_w_k) ** -WATER_FILM_EXPONENT

    def _coil_w(self, speed: Array, stream_w_k: Array, water_film: Array, difference_k: Array) -> Array:
        air = np.maximum(speed, self.free_share)
        air_w_k = air * self.air_w_k
        ntu = self.ua_w_k / (AIR_FILM_SHARE * air**-AIR_FILM_EXPONENT + water_film) / air_w_k
        driving_k = difference_k if self.warms else np.maximum(difference_k, 0.0)
        return effectiveness(ntu, air_w_k / np.maximum(stream_w_k, STILL_W_K)) * air_w_k * driving_k

    def powers(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Rejected:  # noqa: ARG002 - no tower here
        """What it costs to hold setpoint_c [°C] while heat_w [W] comes with flow_m3_s [m³/s]."""
        speed, full_w = self._speed(heat_w, flow_m3_s, setpoint_c, air)
        left_w = np.maximum(heat_w - full_w, 0.0)
        return Rejected(
            fan_w=self.fan_power_w * np.minimum(self.fans.corrected(speed, 1.0), 1.0) ** 3,
            tower_pump_w=np.zeros_like(heat_w),
            chiller_w=self._chiller_w(left_w, setpoint_c, air),
            water_m3_s=np.zeros_like(heat_w),
        )

    def _speed(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, air: Outdoor) -> tuple[Array, Array]:
        """Fan speed [1] by the model, and the heat [W] that the coolers take at full speed."""
        stream_w_k = flow_m3_s * self.water.heat_j_m3_k
        difference_k = setpoint_c + heat_w / stream_w_k - air.dry_bulb_c
        most, film = self.fans.full_at(), self._water_film(stream_w_k)
        speed, full_w = solved(lambda s: self._coil_w(s, stream_w_k, film, difference_k), heat_w, self.free_share, most)
        return np.where(speed <= self.free_share * 1.001, 0.0, speed), full_w

    def _chiller_w(self, left_w: Array, setpoint_c: Array, air: Outdoor) -> Array:
        if self.chiller is None:
            return np.zeros_like(left_w)
        taken_w = np.minimum(left_w, self.chiller.heat_w)
        return chiller_w(self.chiller, taken_w, setpoint_c, np.full_like(left_w, air.dry_bulb_c))

    def unreached_w(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:  # noqa: ARG002 - no tower here
        """Heat [W] that coolers at full speed and chillers together can't take; negative is reserve."""
        stream_w_k = flow_m3_s * self.water.heat_j_m3_k
        difference_k = setpoint_c + heat_w / stream_w_k - air.dry_bulb_c
        full_w = self.coil_w(np.full_like(heat_w, self.fans.full_at()), stream_w_k, difference_k)
        return heat_w - full_w - (self.chiller.heat_w if self.chiller else 0.0)

    def warmest_c(self, heat_w: Array, flow_m3_s: Array, setpoint_c: Array, tower_c: Array, air: Outdoor) -> Array:  # noqa: ARG002 - no tower here
        """Facility water [°C] that coolers at full speed and chillers together hold, no colder than setpoint_c [°C]."""
        stream_w_k = flow_m3_s * self.water.heat_j_m3_k
        per_kelvin_w = self.coil_w(np.full_like(heat_w, self.fans.full_at()), stream_w_k, np.ones_like(heat_w))
        cooled_w = heat_w - (self.chiller.heat_w if self.chiller else 0.0)
        cooled_w = cooled_w if self.warms else np.maximum(cooled_w, 0.0)
        return np.maximum(setpoint_c, air.dry_bulb_c + cooled_w / per_kelvin_w - heat_w / stream_w_k)


def dry_coolers(coolers: Sequence[Equipment], water: Fluid, chiller: ChillerDesign | None) -> DryCoolers:
    """UA that gives design heat at design approach, air and water having equal capacity rates; of coolers in parallel.

    Raises:
        KeyError: a design figure is missing.
    """
    design = coolers[0].design
    water_w_k = sum(c.design["flow_m3_s"] for c in coolers) * water.heat_j_m3_k
    range_k = sum(c.design["heat_w"] for c in coolers) / water_w_k
    share = range_k / (range_k + design["approach_k"])
    return DryCoolers(
        water=water,
        ua_w_k=water_w_k * share / (1 - share),
        water_w_k=water_w_k,
        air_w_k=water_w_k,
        fan_power_w=sum(c.design["fan_power_w"] for c in coolers),
        free_share=design.get("free_convection_fraction", 0.05),
        chiller=chiller,
        warms=not all(c.design.get("warm_air_bypass", 0.0) for c in coolers),
    )

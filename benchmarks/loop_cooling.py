"""What a loop's cooling makes of its racks' powers, quasi-steady: at design setpoints, and at coldplate's choice.

Both are the controller's own equations (`controller.model`) and limits (`controller.constraints`), swept once over heat
and outdoor air and then read off; placement has no part in it, so every policy meets the same cooling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt

from controller import inputs
from controller.constraints import Problem, clipped
from controller.design import LoopDesign, loop_design
from controller.model import Load, case_resistance, exchanged_w, rack_flow
from controller.optimise import Judged, judge
from controller.outdoor import Outdoor
from controller.problems import bounds, full_gpu_w, limit_values
from plant.topology import CoolingGroup, Site

Floats = npt.NDArray[np.float64]

HEATS = np.linspace(0.1, 1.5, 15)
"""Shares of the loop's design heat."""
AIRS_C = np.linspace(0.0, 36.0, 10)
DEW_POINT_C = 13.0
SUPPLIES_C = np.arange(24.0, 43.0, 1.0)
PRESSURES_PA = np.array([45e3, 55e3, 65e3, 80e3, 95e3, 110e3, 130e3, 150e3])
APPROACHES_K = np.array([2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0])


@dataclass(frozen=True, slots=True)
class Weathered:
    """Temperatures [°C], by rack, and electric power [W], by loop, of one moment."""

    return_c: Floats
    rise_k: Floats
    case_c: Floats
    cooling_w: Floats


@dataclass(slots=True)
class LoopCooling:
    """Cooling of loops that are all alike. racks: on each; oversubscription stretches what flows over more of them."""

    site: Site
    group: CoolingGroup
    racks: int
    design: LoopDesign = field(init=False)
    points: dict[str, Floats] = field(init=False)
    power_w: dict[str, Floats] = field(init=False)

    def __post_init__(self) -> None:
        self.design = loop_design(self.site, self.group)
        self.points, self.power_w = {}, {}
        for name in ("design", "coldplate"):
            self.points[name], self.power_w[name] = self._swept(free=name == "coldplate")

    def at(self, control: str, rack_w: Floats, loop_of: npt.NDArray[np.int64], air_c: float) -> Weathered:
        """rack_w, loop_of: power [W] and loop of each rack (r,); control: `design` or `coldplate`."""
        index, fraction = self.design.index_rack, self.design.index_rack.liquid_fraction
        heat_w: Floats = np.asarray(fraction * np.bincount(loop_of, rack_w), dtype=np.float64)
        share = heat_w / self.design.liquid_heat_w
        supply_c, dp_pa, facility_c = (self._read(self.points[control][..., i], share, air_c) for i in range(3))
        flow: Floats = np.minimum(rack_flow(index, dp_pa), self._most_flow / self.racks)
        held_c = self._least_supply_c(heat_w, flow * self.racks, facility_c)
        stream_w_k = flow * self.design.coolant.heat_j_m3_k
        resistance = case_resistance(index, flow, self.design.coolant.heat_j_m3_k)
        supply_c = np.maximum(supply_c, held_c)[loop_of]
        rise_k = fraction * rack_w / stream_w_k[loop_of]
        gpu_w = index.gpu_power_w * rack_w / index.power_w
        return Weathered(
            return_c=supply_c + rise_k,
            rise_k=rise_k,
            case_c=supply_c + resistance[loop_of] * gpu_w,
            cooling_w=self._read(self.power_w[control], share, air_c),
        )

    @property
    def case_limit_c(self) -> float:
        """The site's [°C]."""
        return limit_values(self.site)[0]["case_temperature"]

    @property
    def return_limit_c(self) -> float:
        """The site's [°C]; none is infinite."""
        return limit_values(self.site)[0].get("rack_return_temperature", np.inf)

    @property
    def _most_flow(self) -> float:
        """All CDUs' pumps at full speed [m³/s]."""
        return sum(cdu.most_flow_m3_s for cdu in self.design.cdus)

    def _least_supply_c(self, heat_w: Floats, flow_m3_s: Floats, facility_c: Floats) -> Floats:
        """The supply that the exchangers can hold at most facility flow [°C]."""
        per_kelvin = exchanged_w(
            self.design, flow_m3_s, np.full_like(flow_m3_s, self.design.cdu_facility_flow_m3_s), np.ones_like(flow_m3_s)
        )
        stream = flow_m3_s * self.design.coolant.heat_j_m3_k
        return facility_c + heat_w * (1.0 / per_kelvin - 1.0 / stream)

    def _read(self, table: Floats, share: Floats, air_c: float) -> Floats:
        """Bilinear, held at the table's edges."""
        air = float(np.interp(air_c, AIRS_C, np.arange(len(AIRS_C))))
        low = min(int(air), len(AIRS_C) - 2)
        column = table[:, low] + (air - low) * (table[:, low + 1] - table[:, low])
        return np.interp(share, HEATS, column)

    def _swept(self, *, free: bool) -> tuple[Floats, Floats]:
        """Setpoints and cooling power [W] for every heat and outdoor air."""
        points = np.zeros((len(HEATS), len(AIRS_C), 3))
        power = np.zeros((len(HEATS), len(AIRS_C)))
        for (i, heat), (j, air_c) in product(enumerate(HEATS), enumerate(AIRS_C)):
            problem = self._problem(float(heat), float(air_c))
            judged = judge(problem, _candidates(problem) if free else np.array([problem.design_point]))
            best = _cheapest(judged) if free else 0
            points[i, j], power[i, j] = judged.points[best], judged.outcome.cooling_w[best]
        return points, power

    def _problem(self, heat: float, air_c: float) -> Problem:
        design, group = self.design, self.group
        gpu_w = full_gpu_w([rack.gpu_power_w for rack, _ in design.racks], np.nan)
        load = Load(
            heat_w=heat * design.liquid_heat_w,
            it_w=heat * design.rack_power_w,
            gpu_w=gpu_w,
            air=Outdoor(dry_bulb_c=air_c),
        )
        roles = (inputs.SUPPLY, inputs.DP, inputs.FACILITY)
        point = tuple(inputs.design_value(group, role) for role in roles)
        envelopes = tuple(self.site.envelopes[group.commands[role]] for role in roles)
        return Problem(
            design=design,
            median=load,
            upper=load,
            bounds=bounds(self.site, group, DEW_POINT_C),
            envelopes=envelopes,
            current=point,
            design_point=point,
            target=point,
        )


def _candidates(problem: Problem) -> Floats:
    grid = np.array(list(product(SUPPLIES_C, PRESSURES_PA, APPROACHES_K)))
    grid[:, 2] = grid[:, 0] - grid[:, 2]
    return np.concatenate([clipped(problem, grid), [problem.design_point]])


def _cheapest(judged: Judged) -> int:
    """Within all limits; where none is, the one that breaks them least."""
    if judged.feasible.any():
        return int(np.argmin(np.where(judged.feasible, judged.cost_w, np.inf)))
    broken = np.minimum(np.stack([np.broadcast_to(m, judged.cost_w.shape) for m in judged.margins.values()]), 0.0)
    return int(np.argmax(broken.sum(axis=0)))

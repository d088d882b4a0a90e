"""What a change costs [W]: the model's cooling power as the plant is, less as it would be at its baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.design import CduDesign, LoopDesign
from controller.identification.economiser_plates import plates_cost_w
from controller.identification.parameters import CASE, COIL, COP, EFFICIENCY, FAN, PLATE, RACK_FLOW, UA, Parameter
from controller.inputs import electric_power
from controller.model import FLOW_EXPONENT, Load, Setpoints, evaluate
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How a loop runs now, in the model's terms; design: the site file's, at: one point of setpoints."""

    site: Site
    snapshot: Snapshot
    group: CoolingGroup
    design: LoopDesign
    load: Load
    at: Setpoints

    def cost_w(self, subject: str, parameter: Parameter, now: float, then: float) -> float:
        """Electric power [W] that a parameter's change from `then` to `now`, ratios, costs; NaN where nobody can tell.

        Machines: measured power less what it would be. Economisers: towers' pumps and fans at the heat and water
        measured. Others: the loop evaluated with and without.
        """
        if parameter in {EFFICIENCY, COP}:
            return electric_power(self.site, self.snapshot, subject) * (1 - now / then)
        if parameter is FAN:
            return electric_power(self.site, self.snapshot, subject) * (1 - then / now)
        if parameter in {UA, COIL}:
            worse_w, better_w = (self._cooling_w(self._with(subject, parameter, r), self.at) for r in (now, then))
            return (worse_w - better_w) * (self._fan_share(subject) if parameter is COIL else 1.0)
        if parameter is PLATE:
            return plates_cost_w(self.site, self.snapshot, self.group, subject, self.load.air, (now, then))
        return self._rack_cost_w(parameter, now, then)

    def _rack_cost_w(self, parameter: Parameter, now: float, then: float) -> float:
        """For a rack's part of its loop: a worse plate asks for colder coolant, less flow for more pressure."""
        share = 1.0 / len(self.group.racks)
        if parameter is CASE:
            colder_k = self.design.index_rack.case_resistance_k_w * (now - then) * self.load.gpu_w
            at = replace(self.at, supply_c=self.at.supply_c - colder_k, facility_c=self.at.facility_c - colder_k)
            return share * (self._cooling_w(self.design, at) - self._cooling_w(self.design, self.at))
        if parameter is RACK_FLOW:
            more = math.pow(then / now, 1 / FLOW_EXPONENT) - 1
            return share * more * float(evaluate(self.design, self.load, self.at).tcs_pump_w[0])
        return math.nan

    def _fan_share(self, subject: str) -> float:
        """One tower's or dry cooler's part of all of them [1]."""
        return self.site.equipment[subject].design["fan_power_w"] / self.design.rejection.fan_power_w

    def _with(self, subject: str, parameter: Parameter, ratio: float) -> LoopDesign:
        if parameter is COIL:
            return replace(self.design, rejection=self.design.rejection.with_air(ratio))

        def one(name: str, cdu: CduDesign) -> CduDesign:
            return replace(cdu, ua_w_k=cdu.ua_w_k * ratio) if name == subject else cdu

        cdus = (one(*pair) for pair in zip(self.group.members, self.design.cdus, strict=True))
        return replace(self.design, cdus=tuple(cdus))

    def _cooling_w(self, design: LoopDesign, at: Setpoints) -> float:
        return float(evaluate(design, self.load, at).cooling_w[0])

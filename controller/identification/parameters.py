"""The parameters that are identified: what they are, how well the model's form knows them, when a change matters."""

from __future__ import annotations

from dataclasses import dataclass

from controller.identification.dynamics import USUAL_S
from plant.topology import Equipment


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One kind of parameter.

    name; unit of its figure; form_sd: how far the model's form alone may mislead it [1]; less_is_worse; change: how
    far it may move from its baseline before it is a finding [1]; finding: the condition's code, "" for none; witness:
    parameter of the same equipment that must have moved as well.
    """

    name: str
    unit: str
    form_sd: float
    less_is_worse: bool
    change: float
    finding: str = ""
    witness: str = ""


UA = Parameter(name="ua", unit="W/K", form_sd=0.03, less_is_worse=True, change=0.12, finding="fouling")
EFFICIENCY = Parameter(
    name="pump_efficiency", unit="1", form_sd=0.04, less_is_worse=True, change=0.10, finding="pump_wear"
)
RACK_FLOW = Parameter(name="rack_flow", unit="m3/s", form_sd=0.01, less_is_worse=True, change=0.10, finding="flow_loss")
CASE = Parameter(
    name="case_resistance", unit="K/W", form_sd=0.015, less_is_worse=False, change=0.10, finding="plate_fouling"
)
COIL = Parameter(name="air", unit="1", form_sd=0.06, less_is_worse=False, change=0.25, finding="rejection_worse")
FAN = Parameter(name="fan_power", unit="W", form_sd=0.03, less_is_worse=False, change=0.15, finding="fan_worse")
COP = Parameter(name="cop", unit="1", form_sd=0.06, less_is_worse=True, change=0.15, finding="chiller_worse")
PLATE_FLAT = Parameter(name="plate_ua_flat", unit="W/K", form_sd=0.06, less_is_worse=True, change=0.15)
"""An economiser's UA whatever its flows; `PLATE` is by films. True plates lie between, so both see what is worn."""
PLATE = Parameter(
    name="plate_ua",
    unit="W/K",
    form_sd=0.06,
    less_is_worse=True,
    change=0.15,
    finding="fouling",
    witness=PLATE_FLAT.name,
)
BALANCE = Parameter(
    name="heat_balance", unit="1", form_sd=0.01, less_is_worse=True, change=0.06, finding="sensor_drift"
)
RESPONSE = Parameter(name="time_constant", unit="s", form_sd=0.20, less_is_worse=False, change=1.0)

_FIGURES = {
    ("cdu", "ua"): "ua_w_k",
    ("cdu", "pump_efficiency"): "pump_efficiency",
    ("pump", "pump_efficiency"): "efficiency",
    ("rack", "rack_flow"): "flow_m3_s",
    ("rack", "case_resistance"): "case_resistance_k_w",
    ("dry-cooler", "fan_power"): "fan_power_w",
    ("chiller", "cop"): "cop",
    ("economiser", "plate_ua"): "ua_w_k",
    ("economiser", "plate_ua_flat"): "ua_w_k",
}


def prior_of(equipment: Equipment, parameter: Parameter) -> float:
    """The site file's figure, or 1 where the parameter is a ratio by itself."""
    if parameter is RESPONSE:
        return USUAL_S
    key = _FIGURES.get((equipment.kind, parameter.name), "")
    return float(equipment.design.get(key, 1.0))


PARAMETERS = {
    p.name: p for p in (UA, EFFICIENCY, RACK_FLOW, CASE, COIL, FAN, COP, PLATE, PLATE_FLAT, BALANCE, RESPONSE)
}

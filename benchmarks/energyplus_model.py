"""The EnergyPlus hall as an input file: plant loops only, no zones; sized from the site file's design figures.

racks (a load profile) - TCS loop - CDU heat exchanger - facility loop - water-side economiser and chiller in series -
condenser loop - two-cell variable-speed tower. Setpoints, heat and flow enter through constant schedules that the
running simulation overwrites. Pumps run continuously: an intermittent one stops the facility loop for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.energyplus_objects import (
    COOLANT,
    Objects,
    branch,
    demand_side,
    frame,
    joined,
    manager,
    plant_loop,
    pump,
)

LOAD, FLOW, SUPPLY, FACILITY, TOWER = "IT LOAD", "TCS FLOW", "TCS SETPOINT", "FWS SETPOINT", "TOWER SETPOINT"
TRIM = "CHILLER SETPOINT"
TCS_PUMP, FWS_PUMP, TOWER_PUMP = "TCS PUMP", "FWS PUMP", "TOWER PUMP"
CDU, ECONOMISER, CHILLER, COOLING_TOWER, RACKS = "CDU", "ECONOMISER", "CHILLER", "TOWER", "RACKS"
TCS_OUT, TCS_BACK, FWS_OUT, FWS_BACK, WATER_OUT = "TCS OUT", "TCS BACK", "FWS OUT", "FWS BACK", "TOWER OUT"
STARTING: Mapping[str, float] = {LOAD: -5e5, FLOW: 1.0, SUPPLY: 32.0, FACILITY: 27.0, TOWER: 24.0, TRIM: 27.3}


@dataclass(frozen=True, slots=True, kw_only=True)
class HallDesign:
    """Sizes of the hall. Flows [m³/s], heads [Pa], powers [W], UA [W/K], temperatures [°C]."""

    tcs_flow_m3_s: float
    tcs_head_pa: float
    tcs_efficiency: float
    tcs_volume_m3: float
    fws_flow_m3_s: float
    fws_head_pa: float
    fws_efficiency: float
    fws_volume_m3: float
    cdu_ua_w_k: float
    economiser_ua_w_k: float
    chiller_w: float
    chiller_cop: float
    tower_flow_m3_s: float
    tower_head_pa: float
    tower_efficiency: float
    tower_fan_w: float
    tower_air_m3_s: float
    tower_wet_bulb_c: float
    tower_approach_k: float
    tower_range_k: float


def hall_model(design: HallDesign, begin: tuple[int, int], end: tuple[int, int]) -> Objects:
    """The input (epJSON) for a run from day `begin` to day `end`, each (month, day)."""
    return joined(
        [
            frame(begin, end),
            _schedules(),
            _tcs(design),
            _facility(design),
            _condenser(design),
            _exchangers(design),
            _chiller(design),
            _tower(design),
        ]
    )


def _schedules() -> Objects:
    managers = {SUPPLY: TCS_OUT, TRIM: FWS_OUT, TOWER: WATER_OUT}
    return {
        "Schedule:Constant": {
            **{name: {"hourly_value": value} for name, value in STARTING.items()},
            "ALWAYS": {"hourly_value": 1.0},
        },
        "SetpointManager:Scheduled": {
            **{f"{name} MANAGER": manager(name, node) for name, node in managers.items()},
            "ECONOMISER MANAGER": manager(FACILITY, "ECONOMISER OUT"),
        },
    }


def _tcs(design: HallDesign) -> Objects:
    parts: list[Objects] = [
        pump(TCS_PUMP, TCS_BACK, "CDU IN", design.tcs_flow_m3_s, design.tcs_head_pa, design.tcs_efficiency, 0.0),
        branch("TCS SUPPLY", [("Pump:VariableSpeed", TCS_PUMP, TCS_BACK, "CDU IN"), (_HX, CDU, "CDU IN", TCS_OUT)]),
        branch("TCS DEMAND", [("LoadProfile:Plant", RACKS, "RACKS IN", "RACKS OUT")]),
        {
            "LoadProfile:Plant": {
                RACKS: {
                    "plant_loop_fluid_type": "Water",
                    "inlet_node_name": "RACKS IN",
                    "outlet_node_name": "RACKS OUT",
                    "load_schedule_name": LOAD,
                    "peak_flow_rate": design.tcs_flow_m3_s,
                    "flow_rate_fraction_schedule_name": FLOW,
                }
            }
        },
        plant_loop(
            "TCS",
            (TCS_BACK, TCS_OUT, "RACKS IN", "RACKS OUT"),
            flow_m3_s=design.tcs_flow_m3_s,
            volume_m3=design.tcs_volume_m3,
            equipment=[(_HX, CDU)],
            supply=["TCS SUPPLY"],
            demand=["TCS DEMAND"],
            coolant=COOLANT,
        ),
    ]
    return joined(parts)


def _facility(design: HallDesign) -> Objects:
    supply: list[tuple[str, str, str, str]] = [
        ("Pump:VariableSpeed", FWS_PUMP, FWS_BACK, "ECONOMISER IN"),
        (_HX, ECONOMISER, "ECONOMISER IN", "ECONOMISER OUT"),
        ("Chiller:Electric:EIR", CHILLER, "ECONOMISER OUT", FWS_OUT),
    ]
    flow = design.fws_flow_m3_s
    return joined(
        [
            pump(FWS_PUMP, FWS_BACK, "ECONOMISER IN", flow, design.fws_head_pa, design.fws_efficiency, 0.1),
            branch("FWS SUPPLY", supply),
            *demand_side("FWS", [("CDU WATER", (_HX, CDU, "CDU WATER IN", "CDU WATER OUT"))]),
            plant_loop(
                "FWS",
                (FWS_BACK, FWS_OUT, "FWS DEMAND IN", "FWS DEMAND OUT"),
                flow_m3_s=flow,
                volume_m3=design.fws_volume_m3,
                equipment=[(_HX, ECONOMISER), ("Chiller:Electric:EIR", CHILLER)],
                supply=["FWS SUPPLY"],
                demand=["FWS INLET", "CDU WATER", "FWS BYPASS", "FWS OUTLET"],
                setpoints=(("ECONOMISER IN", "ECONOMISER OUT"), ("ECONOMISER OUT", FWS_OUT)),
            ),
        ]
    )


def _condenser(design: HallDesign) -> Objects:
    flow = design.tower_flow_m3_s
    supply = [
        ("Pump:VariableSpeed", TOWER_PUMP, "TOWER BACK", "TOWER IN"),
        ("CoolingTower:VariableSpeed", COOLING_TOWER, "TOWER IN", WATER_OUT),
    ]
    demand = [
        ("ECONOMISER WATER", (_HX, ECONOMISER, "ECONOMISER WATER IN", "ECONOMISER WATER OUT")),
        ("CHILLER WATER", ("Chiller:Electric:EIR", CHILLER, "CHILLER WATER IN", "CHILLER WATER OUT")),
    ]
    return joined(
        [
            pump(TOWER_PUMP, "TOWER BACK", "TOWER IN", flow, design.tower_head_pa, design.tower_efficiency, 0.5),
            branch("TOWER SUPPLY", supply),
            *demand_side("TOWER", demand),
            plant_loop(
                "TOWER",
                ("TOWER BACK", WATER_OUT, "TOWER DEMAND IN", "TOWER DEMAND OUT"),
                flow_m3_s=flow,
                volume_m3=2.0,
                equipment=[("CoolingTower:VariableSpeed", COOLING_TOWER)],
                supply=["TOWER SUPPLY"],
                demand=["TOWER INLET", "ECONOMISER WATER", "CHILLER WATER", "TOWER BYPASS", "TOWER OUTLET"],
            ),
        ]
    )


def _exchangers(design: HallDesign) -> Objects:
    return {
        _HX: {
            CDU: {
                "loop_demand_side_inlet_node_name": "CDU WATER IN",
                "loop_demand_side_outlet_node_name": "CDU WATER OUT",
                "loop_demand_side_design_flow_rate": design.fws_flow_m3_s,
                "loop_supply_side_inlet_node_name": "CDU IN",
                "loop_supply_side_outlet_node_name": TCS_OUT,
                "loop_supply_side_design_flow_rate": design.tcs_flow_m3_s,
                "heat_exchanger_u_factor_times_area_value": design.cdu_ua_w_k,
                "heat_exchanger_setpoint_node_name": TCS_OUT,
                **_MODULATED,
            },
            ECONOMISER: {
                "loop_demand_side_inlet_node_name": "ECONOMISER WATER IN",
                "loop_demand_side_outlet_node_name": "ECONOMISER WATER OUT",
                "loop_demand_side_design_flow_rate": 0.6 * design.tower_flow_m3_s,
                "loop_supply_side_inlet_node_name": "ECONOMISER IN",
                "loop_supply_side_outlet_node_name": "ECONOMISER OUT",
                "loop_supply_side_design_flow_rate": design.fws_flow_m3_s,
                "heat_exchanger_u_factor_times_area_value": design.economiser_ua_w_k,
                "heat_exchanger_setpoint_node_name": "ECONOMISER OUT",
                **_MODULATED,
            },
        }
    }


def _chiller(design: HallDesign) -> Objects:
    """Capacity and efficiency curves of a centrifugal chiller with a variable-speed drive, written for this hall.

    Capacity falls 0.8 % and power rises 2.2 % per kelvin of condenser water, against 29.4 °C; both move the other way
    with leaving water, against 16 °C. Part load: efficiency best near 60 %.
    """
    temperatures = {
        "minimum_value_of_x": 6.0,
        "maximum_value_of_x": 40.0,
        "minimum_value_of_y": 10.0,
        "maximum_value_of_y": 45.0,
    }
    square = {"coefficient3_x_2": 0.0, "coefficient5_y_2": 0.0, "coefficient6_x_y": 0.0}
    return {
        "Curve:Biquadratic": {
            "CAPACITY": {
                "coefficient1_constant": 0.9392,
                "coefficient2_x": 0.0185,
                "coefficient4_y": -0.008,
                **square,
                **temperatures,
            },
            "POWER": {
                "coefficient1_constant": 0.8092,
                "coefficient2_x": -0.0285,
                "coefficient4_y": 0.022,
                **square,
                **temperatures,
                "minimum_curve_output": 0.15,
            },
        },
        "Curve:Quadratic": {
            "PART LOAD": {
                "coefficient1_constant": 0.13,
                "coefficient2_x": 0.33,
                "coefficient3_x_2": 0.54,
                "minimum_value_of_x": 0.1,
                "maximum_value_of_x": 1.1,
            }
        },
        "Chiller:Electric:EIR": {
            CHILLER: {
                "reference_capacity": design.chiller_w,
                "reference_cop": design.chiller_cop,
                "reference_leaving_chilled_water_temperature": 16.0,
                "reference_entering_condenser_fluid_temperature": 29.4,
                "reference_chilled_water_flow_rate": design.fws_flow_m3_s,
                "reference_condenser_fluid_flow_rate": 0.7 * design.tower_flow_m3_s,
                "cooling_capacity_function_of_temperature_curve_name": "CAPACITY",
                "electric_input_to_cooling_output_ratio_function_of_temperature_curve_name": "POWER",
                "electric_input_to_cooling_output_ratio_function_of_part_load_ratio_curve_name": "PART LOAD",
                "minimum_part_load_ratio": 0.1,
                "maximum_part_load_ratio": 1.0,
                "optimum_part_load_ratio": 0.6,
                "minimum_unloading_ratio": 0.1,
                "chilled_water_inlet_node_name": "ECONOMISER OUT",
                "chilled_water_outlet_node_name": FWS_OUT,
                "condenser_inlet_node_name": "CHILLER WATER IN",
                "condenser_outlet_node_name": "CHILLER WATER OUT",
                "condenser_type": "WaterCooled",
                "leaving_chilled_water_lower_temperature_limit": 5.0,
                "chiller_flow_mode": "NotModulated",
            }
        },
    }


def _tower(design: HallDesign) -> Objects:
    return {
        "CoolingTower:VariableSpeed": {
            COOLING_TOWER: {
                "water_inlet_node_name": "TOWER IN",
                "water_outlet_node_name": WATER_OUT,
                "model_type": "CoolToolsCrossFlow",
                "design_inlet_air_wet_bulb_temperature": design.tower_wet_bulb_c,
                "design_approach_temperature": design.tower_approach_k,
                "design_range_temperature": design.tower_range_k,
                "design_water_flow_rate": design.tower_flow_m3_s,
                "design_air_flow_rate": design.tower_air_m3_s,
                "design_fan_power": design.tower_fan_w,
                "minimum_air_flow_rate_ratio": 0.2,
                "fraction_of_tower_capacity_in_free_convection_regime": 0.125,
                "number_of_cells": 2,
                "cell_control": "MaximalCell",
                "sizing_factor": 1.0,
            }
        }
    }


_HX = "HeatExchanger:FluidToFluid"
_MODULATED = {
    "heat_exchange_model_type": "CounterFlow",
    "control_type": "CoolingSetpointModulated",
    "minimum_temperature_difference_to_activate_heat_exchanger": 0.01,
    "heat_transfer_metering_end_use_type": "FreeCooling",
}

"""Objects of EnergyPlus input (epJSON) that any plant loop is made of: pumps, branches, loops and how they are run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Objects = dict[str, dict[str, dict[str, Any]]]
COOLANT = "PG25"


def manager(schedule: str, node: str) -> dict[str, str]:
    """What holds a node's temperature at a schedule."""
    return {
        "control_variable": "Temperature",
        "schedule_name": schedule,
        "setpoint_node_or_nodelist_name": node,
    }


def joined(parts: Sequence[Objects]) -> Objects:
    """All parts as one input."""
    whole: Objects = {}
    for part in parts:
        for kind, named in part.items():
            whole.setdefault(kind, {}).update(named)
    return whole


def pump(
    name: str, start: str, end: str, flow_m3_s: float, head_pa: float, efficiency: float, least_share: float
) -> Objects:
    """Half of the head is friction of pipes (power ~ flow³), half is held at the consumers (power ~ flow).

    The TCS pump has none of the latter: its differential pressure is reset with the flow.
    """
    held = 0.0 if least_share == 0.0 else 0.5
    return {
        "Pump:VariableSpeed": {
            name: {
                "inlet_node_name": start,
                "outlet_node_name": end,
                "design_maximum_flow_rate": flow_m3_s,
                "design_pump_head": head_pa,
                "design_power_consumption": flow_m3_s * head_pa / efficiency,
                "motor_efficiency": 0.93,
                "fraction_of_motor_inefficiencies_to_fluid_stream": 1.0,
                "coefficient_1_of_the_part_load_performance_curve": 0.0,
                "coefficient_2_of_the_part_load_performance_curve": held,
                "coefficient_3_of_the_part_load_performance_curve": 0.0,
                "coefficient_4_of_the_part_load_performance_curve": 1.0 - held,
                "design_minimum_flow_rate": least_share * flow_m3_s,
                "pump_control_type": "Continuous",
            }
        }
    }


def branch(name: str, components: Sequence[tuple[str, str, str, str]]) -> Objects:
    """A branch of components in series, each (type, name, node in, node out)."""
    rows = [
        {
            "component_object_type": kind,
            "component_name": component,
            "component_inlet_node_name": start,
            "component_outlet_node_name": end,
        }
        for kind, component, start, end in components
    ]
    return {"Branch": {name: {"components": rows}}}


def demand_side(loop: str, consumers: Sequence[tuple[str, tuple[str, str, str, str]]]) -> list[Objects]:
    """Consumers and a bypass in parallel, between an inlet and an outlet pipe."""
    middle = [*(name for name, _ in consumers), f"{loop} BYPASS"]
    return [
        *_pipe(f"{loop} INLET", f"{loop} DEMAND IN", f"{loop} DEMAND SPLIT"),
        *_pipe(f"{loop} BYPASS", f"{loop} BYPASS IN", f"{loop} BYPASS OUT"),
        *_pipe(f"{loop} OUTLET", f"{loop} DEMAND MIX", f"{loop} DEMAND OUT"),
        *(branch(name, [component]) for name, component in consumers),
        {
            "Connector:Splitter": {
                f"{loop} SPLITTER": {
                    "inlet_branch_name": f"{loop} INLET",
                    "branches": [{"outlet_branch_name": b} for b in middle],
                }
            },
            "Connector:Mixer": {
                f"{loop} MIXER": {
                    "outlet_branch_name": f"{loop} OUTLET",
                    "branches": [{"inlet_branch_name": b} for b in middle],
                }
            },
            "ConnectorList": {
                f"{loop} CONNECTORS": {
                    "connector_1_object_type": "Connector:Splitter",
                    "connector_1_name": f"{loop} SPLITTER",
                    "connector_2_object_type": "Connector:Mixer",
                    "connector_2_name": f"{loop} MIXER",
                }
            },
        },
    ]


def plant_loop(
    name: str,
    nodes: tuple[str, str, str, str],
    *,
    flow_m3_s: float,
    volume_m3: float,
    equipment: Sequence[tuple[str, str]],
    supply: Sequence[str],
    demand: Sequence[str],
    setpoints: Sequence[tuple[str, str]] = (),
    coolant: str = "",
) -> Objects:
    """A plant loop. nodes: supply side in and out, demand side in and out; setpoints: (demand node, setpoint node)."""
    connectors = {"demand_side_connector_list_name": f"{name} CONNECTORS"} if len(demand) > 1 else {}
    fluid = (
        {"fluid_type": "UserDefinedFluidType", "user_defined_fluid_type": coolant}
        if coolant
        else {"fluid_type": "Water"}
    )
    return {
        "PlantLoop": {
            name: {
                **fluid,
                "plant_equipment_operation_scheme_name": f"{name} OPERATION",
                "loop_temperature_setpoint_node_name": nodes[1],
                "maximum_loop_temperature": 80.0,
                "minimum_loop_temperature": 2.0,
                "maximum_loop_flow_rate": flow_m3_s,
                "minimum_loop_flow_rate": 0.0,
                "plant_loop_volume": volume_m3,
                "plant_side_inlet_node_name": nodes[0],
                "plant_side_outlet_node_name": nodes[1],
                "plant_side_branch_list_name": f"{name} SUPPLY BRANCHES",
                "demand_side_inlet_node_name": nodes[2],
                "demand_side_outlet_node_name": nodes[3],
                "demand_side_branch_list_name": f"{name} DEMAND BRANCHES",
                "load_distribution_scheme": "SequentialLoad",
                **connectors,
            }
        },
        "BranchList": {
            f"{name} SUPPLY BRANCHES": {"branches": [{"branch_name": b} for b in supply]},
            f"{name} DEMAND BRANCHES": {"branches": [{"branch_name": b} for b in demand]},
        },
        **_operation(name, equipment, setpoints),
    }


def _operation(name: str, equipment: Sequence[tuple[str, str]], setpoints: Sequence[tuple[str, str]]) -> Objects:
    """Machines that follow setpoints of their own, or one that takes the loop's load."""
    kind = f"PlantEquipmentOperation:{'ComponentSetpoint' if setpoints else 'CoolingLoad'}"
    rule: dict[str, Any] = {
        "load_range_1_lower_limit": 0.0,
        "load_range_1_upper_limit": 1e9,
        "range_1_equipment_list_name": f"{name} EQUIPMENT",
    }
    if setpoints:
        rule = {}
        for number, ((machine, label), (before, after)) in enumerate(zip(equipment, setpoints, strict=True), 1):
            rule |= {
                f"equipment_{number}_object_type": machine,
                f"equipment_{number}_name": label,
                f"demand_calculation_{number}_node_name": before,
                f"setpoint_{number}_node_name": after,
                f"component_{number}_flow_rate": "Autosize",
                f"operation_{number}_type": "Cooling",
            }
    rows = [{"equipment_object_type": machine, "equipment_name": label} for machine, label in equipment]
    return {
        kind: {f"{name} RULE": rule},
        "PlantEquipmentList": {f"{name} EQUIPMENT": {"equipment": rows}},
        "PlantEquipmentOperationSchemes": {
            f"{name} OPERATION": {
                "control_scheme_1_object_type": kind,
                "control_scheme_1_name": f"{name} RULE",
                "control_scheme_1_schedule_name": "ALWAYS",
            }
        },
    }


def frame(begin: tuple[int, int], end: tuple[int, int]) -> Objects:
    """Version, time steps, period from day to day, each (month, day), and the coolant: no building, no sizing."""
    off = ("do_zone_sizing_calculation", "do_system_sizing_calculation", "do_plant_sizing_calculation")
    days = {"begin_month": begin[0], "begin_day_of_month": begin[1], "end_month": end[0], "end_day_of_month": end[1]}
    return {
        "Version": {"V": {"version_identifier": "25.2"}},
        "Building": {"HALL": {"minimum_number_of_warmup_days": 1, "maximum_number_of_warmup_days": 2}},
        "GlobalGeometryRules": {
            "G": {
                "starting_vertex_position": "UpperLeftCorner",
                "vertex_entry_direction": "Counterclockwise",
                "coordinate_system": "Relative",
            }
        },
        "SimulationControl": {
            "S": {
                **dict.fromkeys(off, "No"),
                "run_simulation_for_sizing_periods": "No",
                "run_simulation_for_weather_file_run_periods": "Yes",
            }
        },
        "Timestep": {"T": {"number_of_timesteps_per_hour": 60}},
        "RunPeriod": {"R": days},
        "FluidProperties:GlycolConcentration": {
            COOLANT: {"glycol_type": "PropyleneGlycol", "glycol_concentration": 0.25}
        },
    }


def _pipe(name: str, start: str, end: str) -> list[Objects]:
    pipe = f"{name} PIPE"
    ends = {"inlet_node_name": start, "outlet_node_name": end}
    return [{"Pipe:Adiabatic": {pipe: ends}}, branch(name, [("Pipe:Adiabatic", pipe, start, end)])]

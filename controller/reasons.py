"""Every sentence that the controller says: a code, its numbers, and the English text. The page translates by code."""

from __future__ import annotations

from plant.records import Condition, Message, Severity

BINDINGS: dict[str, str] = {
    "none": "nothing, the optimum lies inside",
    "case_temperature": "case temperature",
    "rack_return_temperature": "rack return temperature",
    "rack_flow": "rack minimum flow",
    "dew_point": "dew point",
    "facility_flow": "facility water flow",
    "facility_temperature": "facility water temperature",
    "worst_case": "loss of the largest CDU",
    "unit_lost": "loss of a facility pump or tower",
    "envelope": "writable range",
}

_AHEAD = "heat forecast {heat_low_mw:.2f}-{heat_high_mw:.2f} MW for the next hour"
_SAVES = "saves {saves_kw:.1f} kW ({saves_money:.2f} {currency} an hour at {price:.3f}) against design"
_KEEPS = (
    "binding: {binding_words}; keeps {swing_k:.1f} K for power swings, and {worst_k:.1f} K if the largest CDU stops now"
)

TEMPLATES: dict[str, str] = {
    # plans
    "plan_move": (
        f"{_AHEAD}; outdoor {{outdoor_c:.1f}} °C; supply {{supply_from_c:.1f}} -> {{supply_to_c:.1f}} °C, "
        f"dp {{dp_from_kpa:.0f}} -> {{dp_to_kpa:.0f}} kPa, facility water {{facility_from_c:.1f}} -> "
        f"{{facility_to_c:.1f}} °C; {_SAVES}; {_KEEPS}"
    ),
    "plan_move_tower": (
        f"{_AHEAD}; wet bulb {{outdoor_c:.1f}} °C; supply {{supply_from_c:.1f}} -> {{supply_to_c:.1f}} °C, "
        f"dp {{dp_from_kpa:.0f}} -> {{dp_to_kpa:.0f}} kPa, facility water {{facility_from_c:.1f}} -> "
        f"{{facility_to_c:.1f}} °C, tower {{tower_from_c:.1f}} -> {{tower_to_c:.1f}} °C; {_SAVES}; {_KEEPS}"
    ),
    "plan_air": (
        "air at the rack inlets {air_from_c:.1f} -> {air_to_c:.1f} °C, the warmest that the limits allow; "
        "the air unit saves {air_saves_kw:.1f} kW against design"
    ),
    "plan_air_hot": (
        "air at the rack inlets has come to {hottest_c:.1f} °C, near its limit of {limit_c:.1f} °C: "
        "the air unit goes back to design, {air_to_c:.1f} °C"
    ),
    "plan_stay": (
        f"{_AHEAD}; outdoor {{outdoor_c:.1f}} °C; stays at supply {{supply_from_c:.1f}} °C, "
        f"dp {{dp_from_kpa:.0f}} kPa, facility water {{facility_from_c:.1f}} °C; {_SAVES}; "
        f"a move would save less than {{threshold_kw:.1f}} kW; {_KEEPS}"
    ),
    "plan_stay_tower": (
        f"{_AHEAD}; wet bulb {{outdoor_c:.1f}} °C; stays at supply {{supply_from_c:.1f}} °C, "
        f"dp {{dp_from_kpa:.0f}} kPa, facility water {{facility_from_c:.1f}} °C, tower {{tower_from_c:.1f}} °C; "
        f"{_SAVES}; a move would save less than {{threshold_kw:.1f}} kW; {_KEEPS}"
    ),
    "plan_dwell": (
        f"on the way to supply {{supply_to_c:.1f}} °C, dp {{dp_to_kpa:.0f}} kPa, facility water "
        f"{{facility_to_c:.1f}} °C; waits until the last step has settled; {_SAVES}; {_KEEPS}"
    ),
    "plan_dwell_tower": (
        f"on the way to supply {{supply_to_c:.1f}} °C, dp {{dp_to_kpa:.0f}} kPa, facility water "
        f"{{facility_to_c:.1f}} °C, tower {{tower_to_c:.1f}} °C; waits until the last step has settled; {_SAVES}; "
        f"{_KEEPS}"
    ),
    "plan_unheld": (
        "supply stands {over_k:.1f} K above its setpoint, where its own valves do not hold it: "
        "nothing is made warmer or less until they do, and facility water goes to {facility_to_c:.1f} °C"
    ),
    "plan_design": (
        f"{_AHEAD}; no better setting keeps every reserve, back towards design: supply {{supply_to_c:.1f}} °C, "
        f"dp {{dp_to_kpa:.0f}} kPa, facility water {{facility_to_c:.1f}} °C; binding: {{binding_words}}"
    ),
    "plan_design_tower": (
        f"{_AHEAD}; no better setting keeps every reserve, back towards design: supply {{supply_to_c:.1f}} °C, "
        f"dp {{dp_to_kpa:.0f}} kPa, facility water {{facility_to_c:.1f}} °C, tower {{tower_to_c:.1f}} °C; "
        f"binding: {{binding_words}}"
    ),
    "plan_overload": (
        f"{_AHEAD}; outdoor {{outdoor_c:.1f}} °C: the plant can't hold design, to what it can hold and breaks least: "
        "supply {supply_to_c:.1f} °C, dp {dp_to_kpa:.0f} kPa, facility water {facility_to_c:.1f} °C; "
        "binding: {binding_words}; keeps {worst_k:.1f} K if the largest CDU stops now"
    ),
    "plan_overload_tower": (
        f"{_AHEAD}; wet bulb {{outdoor_c:.1f}} °C: the plant can't hold design, to what it can hold and breaks least: "
        "supply {supply_to_c:.1f} °C, dp {dp_to_kpa:.0f} kPa, facility water {facility_to_c:.1f} °C, "
        "tower {tower_to_c:.1f} °C; binding: {binding_words}; keeps {worst_k:.1f} K if the largest CDU stops now"
    ),
    "plan_sidecar": (
        "heat forecast {heat_low_kw:.1f}-{heat_high_kw:.1f} kW for the next hour; room air {outdoor_c:.1f} °C; "
        "supply {supply_from_c:.1f} -> {supply_to_c:.1f} °C, flow {flow_from_l_min:.0f} -> {flow_to_l_min:.0f} l/min; "
        "saves {saves_kw:.2f} kW against design; binding: {binding_words}"
    ),
    "plan_rule": "switchback: the site's own rule has its turn in block {block:.0f}; {requests:.0f} requests",
    # staging
    "stage_saves": (
        "starts {starts}, stops {stops}: {running}; saves {saves_kw:.1f} kW against staying, "
        "judged over the {minutes:.0f} min that it lasts"
    ),
    "stage_needed": (
        "starts {starts}, stops {stops}: {running}; what runs now does not carry the forecast's "
        "{heat_high_mw:.2f} MW with every reserve"
    ),
    "stage_all": (
        "no choice of units carries the forecast's {heat_high_mw:.2f} MW with every reserve: "
        "all that has not failed may run; {running}"
    ),
    "stage_stays": (
        "stays with {running}; another choice would save {saves_kw:.1f} kW more than its switching costs, "
        "too little to switch"
    ),
    "plan_reserve": (
        "{cause} at {subject}: uses the reserve, as much flow and as cold as the envelope and the dew point allow"
    ),
    "plan_hold": "{cause} at {subject}: everything stays as it is, no more flow and no less cooling",
    "shed_load": "the racks of {subject} draw {it_kw:.0f} kW; what is left of the cooling carries {bearable_kw:.0f} kW",
    "shed_load_remedy": "cap power, or move jobs away from the racks of {subject}, until the cooling is whole again",
    # forecasts
    "forecast_model": (
        "better than persistence for {modelled:.0f} of {subjects:.0f} heats, {jobs:.0f} jobs known, "
        "{minutes:.0f} min of data"
    ),
    "forecast_persistence": "persistence, {minutes:.0f} min of data",
    "forecast_none": "no heat is known yet",
    # conditions
    "heat_unknown": "the heat of {subject} is not known: {detail}",
    "heat_unknown_remedy": "check the link and the sensors of {subject}; no setpoint moves until then",
    "heat_substituted": (
        "the heat of {subject} is inferred from what is told around it, standard deviation {sd_kw:.1f} kW, "
        "because {detail}"
    ),
    "heat_substituted_remedy": "check the link and the sensors of {subject}; plans keep more in reserve meanwhile",
    "inputs_missing": "no plan for {subject}: {detail}",
    "inputs_missing_remedy": "restore the named point; until then the devices stay at, or return to, design setpoints",
    "leak_found": "{subject} reports a leak",
    "leak_found_remedy": "find and isolate it; coldplate gives the loop no more flow, isolation is the plant's own",
    "pump_tripped": "{subject} says that it has a fault, and moves no coolant",
    "pump_tripped_remedy": "look at the pump and its drive; the other CDUs carry the loop meanwhile",
    "cdu_lost": "{subject} is silent, and the racks get no flow from it",
    "cdu_lost_remedy": "look at its power and its pump; the other CDUs carry the loop meanwhile",
    "rejection_lost": "the fans of {subject} have failed",
    "rejection_lost_remedy": "look at drives and power of the fans; facility water warms until they run again",
    "chiller_tripped": "{subject} says that it has a fault",
    "chiller_tripped_remedy": "acknowledge it at the chiller and look for the cause; the rest of the plant carries on",
    "facility_pump_lost": "{subject} stands: no facility water takes the heat away",
    "facility_pump_lost_remedy": "start it or its standby; shed load at once, what is stored lasts minutes",
    "facility_water_unheld": "facility water of {subject} is {detail} above its setpoint, and the supply follows it",
    "facility_water_unheld_remedy": "see why it is not held: a chiller within its shortest time off, "
    "air above design, a fault that no device tells",
    "supply_sensor_lost": "the supply temperature of {subject} can't be used: {detail}",
    "supply_sensor_lost_remedy": "check the sensor; the loop is back at its design setpoints meanwhile",
    "dew_point_lost": "the room's dew point at {subject} can't be used: {detail}",
    "dew_point_lost_remedy": "check the sensor; the loop is back at its design setpoints meanwhile",
    "supply_inferred": "{point} is not good: the supply of {subject} is taken from its neighbours, {supply_c:.1f} °C",
    "supply_inferred_remedy": "check the sensor; with fewer than two neighbours that tell the loop is let go",
    "outdoor_inferred": "outdoor air of {subject} is not told: {air_c:.1f} °C is reckoned with, by {source}",
    "outdoor_inferred_remedy": "restore the outdoor instrument of {subject}; plans expect less of the air meanwhile",
    "wet_bulb_assumed": "no instrument tells the wet bulb of {subject}; {wet_c:.1f} °C is reckoned with",
    "wet_bulb_assumed_remedy": "name humidity or wet bulb at a tower in the site file; fans are learned meanwhile",
    "unit_failed": "{subject} may run, but does not",
    "unit_failed_remedy": "look at its drive, its power and its local switch; another unit takes its share meanwhile",
    "hunting": "{subject} hunts: {detail} swings about its setpoint",
    "hunting_remedy": "tune the device's own loop, or look for a sticking valve; coldplate drives it when it is calm",
    "supply_sensor_stuck": "the supply temperature of {subject} stays at {detail} while its loop moves",
    "supply_sensor_stuck_remedy": "check the sensor; the loop is back at its design setpoints meanwhile",
    "valve_stuck": "the facility valve of {subject} stays at {detail} while its supply is off its setpoint",
    "valve_stuck_remedy": "free the valve or its drive; too warm, coldplate gives more flow and colder facility water",
    "flow_meter_biased": "the CDUs of {subject} show {detail} of the flow that its racks get",
    "flow_meter_biased_remedy": "compare the meters; coldplate reckons with the larger heat meanwhile",
    "outdoor_sensor_wrong": "{subject} jumped away from {detail} as outdoor air does not",
    "outdoor_sensor_wrong_remedy": "check the sensor; coldplate reckons with the warmer of both meanwhile",
    "exchanger_fouled": "the heat exchanger of {subject} shows {detail} of its design",
    "exchanger_fouled_remedy": "clean it and its strainers; ride-through and reserve reckon with what is left",
    "not_reacting": "{subject} does not follow its setpoint: supply has been {detail} off for a quarter of an hour",
    "not_reacting_remedy": "look at valves, strainers and sensors, then acknowledge; nothing is written until then",
    "fouling": "the heat exchanger of {subject} moves {change_pct:.0f} % less heat per kelvin than {days:.0f} d before",
    "fouling_remedy": "clean the exchanger or its strainer when it suits; it costs about {kwh:.0f} kWh a year{cost}",
    "pump_wear": "the pumps of {subject} are {change_pct:.0f} % less efficient than {days:.0f} d before",
    "pump_wear_remedy": "look at impeller, bearings and drive; it costs about {kwh:.0f} kWh a year{cost}",
    "flow_loss": "{subject} gets {change_pct:.0f} % less flow at the same pressure than {days:.0f} d before",
    "flow_loss_remedy": "look at strainers, valves and couplings; it costs about {kwh:.0f} kWh a year{cost}",
    "plate_fouling": "the cold plates of {subject} are {change_pct:.0f} % worse than {days:.0f} d before",
    "plate_fouling_remedy": "check coolant quality and plates; it costs about {kwh:.0f} kWh a year{cost}",
    "rejection_worse": "{subject} needs {change_pct:.0f} % more air for the same heat than {days:.0f} d before",
    "rejection_worse_remedy": "clean coils or fill and check the fans; it costs about {kwh:.0f} kWh a year{cost}",
    "fan_worse": "the fans of {subject} draw {change_pct:.0f} % more power at the same speed than {days:.0f} d before",
    "fan_worse_remedy": "look at belts, bearings and drives; it costs about {kwh:.0f} kWh a year{cost}",
    "chiller_worse": "the COP of {subject} is {change_pct:.0f} % lower than {days:.0f} d before",
    "chiller_worse_remedy": "look at condenser, refrigerant and oil; it costs about {kwh:.0f} kWh a year{cost}",
    "sensor_drift": "the heat of both sides of {subject} differs by {change_pct:.0f} % more than {days:.0f} d before",
    "sensor_drift_remedy": "calibrate its flow meters and temperature sensors; nothing else is known to have changed",
    "design_incomplete": "no plan for {subject}: the site file lacks {detail}",
    "design_incomplete_remedy": "add the design figure to the site file and run `coldplate validate`",
    "reserve_gone": "even design setpoints leave {margin_k:.1f} K to the case limit if the largest CDU stops",
    "reserve_gone_remedy": "lower the load or repair cooling; coldplate holds {subject} at design meanwhile",
    "optimiser_failed": "the plan for {subject} holds no numbers; it was thrown away",
    "optimiser_failed_remedy": "check the site file; the loop is back at its design setpoints meanwhile",
    "switchback_paused": "the switchback's block is not driven as planned: {why}",
    "switchback_paused_remedy": "nothing, if it is meant; a block is left out if a tenth of it was not as planned",
    "loop_let_go": "{subject} was let go and nothing is written to it: {why}",
    "loop_let_go_remedy": (
        "remove the cause, then acknowledge it with a reason: on the page, or coldplate acknowledge {subject}"
    ),
    "optimiser_late": "no plan within {deadline_s:.0f} s; the calculation was stopped and started again",
    "optimiser_late_remedy": "nothing to do if it goes away; leases run out and the devices return to design",
}

LEVERS: dict[str, dict[str, str]] = {
    "flow": {
        "dp {dp_from_kpa:.0f} -> {dp_to_kpa:.0f} kPa": "flow {flow_from_l_min:.0f} -> {flow_to_l_min:.0f} l/min",
        "dp {dp_from_kpa:.0f} kPa": "flow {flow_from_l_min:.0f} l/min",
        "dp {dp_to_kpa:.0f} kPa": "flow {flow_to_l_min:.0f} l/min",
    },
    "pump_speed": {
        "dp {dp_from_kpa:.0f} -> {dp_to_kpa:.0f} kPa": (
            "pump speed {speed_from_percent:.1f} -> {speed_to_percent:.1f} %"
        ),
        "dp {dp_from_kpa:.0f} kPa": "pump speed {speed_from_percent:.1f} %",
        "dp {dp_to_kpa:.0f} kPa": "pump speed {speed_to_percent:.1f} %",
    },
}
"""What is said in place of a pressure of loops that are commanded otherwise: code and template with this ending."""


def _otherwise(lever: str) -> dict[str, str]:
    """Every sentence with a pressure, in what takes its place."""
    said = {code: text for code, text in TEMPLATES.items() if "dp_" in text}
    for pressure, words in LEVERS[lever].items():
        said = {code: text.replace(pressure, words) for code, text in said.items()}
    return {f"{code}_{lever}": text for code, text in said.items()}


TEMPLATES |= _otherwise("flow") | _otherwise("pump_speed")


def message(code: str, **params: str | float) -> Message:
    """The sentence of a code; `binding` gets its English words.

    Raises:
        KeyError: the code or one of its parameters is missing.
    """
    words = {"binding_words": BINDINGS[str(params["binding"])]} if "binding" in params else {}
    return Message(code=code, text=TEMPLATES[code].format(**params, **words), params=dict(params))


def condition(code: str, subject: str, now_s: float, severity: Severity, **params: str | float) -> Condition:
    """A condition whose cause is `code` and whose remedy is `code_remedy`; now_s [s since 1970]."""
    params = {"subject": subject, **params}
    return Condition(
        code=code,
        subject=subject,
        severity=severity,
        since_s=now_s,
        cause=message(code, **params),
        remedy=message(f"{code}_remedy", **params),
        source="controller",
    )

"""What one settled look at a loop's telemetry says of its parameters. Only good readings are used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from controller.design import LoopDesign, RackDesign, rack_design
from controller.facility_plant import upstream
from controller.identification import parameters as known
from controller.identification.cold_plates import SWINGING, beside_gpus, case_log, gpus_named, rack_rise, swings
from controller.identification.economiser_plates import economising
from controller.identification.estimates import Observation
from controller.identification.exchangers import Exchanger
from controller.identification.hydraulics import cdu_pump_log, facility_pump_log, rack_flow_log
from controller.identification.known import Found
from controller.identification.rejection_units import rejecting
from controller.identification.sensing import (
    FLOW,
    LOOP_FLOW,
    PLATE_PART_LOAD,
    POWER,
    PRESSURE,
    TEMPERATURE,
    Read,
    of_gpus,
    seen,
)
from controller.inputs import electric_power
from plant.live import Snapshot
from plant.topology import CoolingGroup, Equipment, Site


def observed(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> Iterator[Found]:
    """Everything that this look tells but plates; design: the site file's, uncorrected.

    Raises:
        ConfigError: a rack's design figure is missing.
    """
    yield from _cdus(site, snapshot, group, design)
    yield from _racks(site, snapshot, group)
    for pump in upstream(site, group.members, "pump"):
        yield pump.id, known.EFFICIENCY, _facility_pump(site, snapshot, pump)
    yield from rejecting(site, snapshot, group, design)
    yield from economising(site, snapshot, group, design)


def plates(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> Iterator[Found]:
    """What this look tells of each rack's cold plates: flow and supply are the rack's own, or else the loop's."""
    loop_c, loop_share = _loop_supply_c(snapshot, group), _loop_share(site, snapshot, group, design)
    for rack in group.racks:
        kind = rack_design(site, rack)
        supply_c = snapshot.get(f"{rack}/liquid_supply_temperature", loop_c)
        own_flow, loop_flow = snapshot.get(f"{rack}/liquid_flow"), kind.flow_m3_s * loop_share
        flow = Read(own_flow, FLOW) if math.isfinite(own_flow) else Read(loop_flow, LOOP_FLOW)
        seen_of = _plate(site, snapshot, rack, kind, supply_c, flow, design.coolant.heat_j_m3_k)
        yield rack, known.CASE, seen_of


def _plate(
    site: Site, snapshot: Snapshot, rack: str, kind: RackDesign, supply_c: float, flow: Read, heat_j_m3_k: float
) -> Observation | None:
    if not (math.isfinite(supply_c) and flow.value > 0.0):
        return None
    found = rack_rise(snapshot, rack, gpus_named(site, rack), kind, supply_c)
    rack_w, back_c = snapshot.get(f"{rack}/power"), snapshot.get(f"{rack}/liquid_return_temperature")
    carried_w = flow.value * heat_j_m3_k * (back_c - supply_c)
    share = swings(kind, rack_w, carried_w)
    if found is None or share > 1.0:
        return None
    shown_w, more = found.power_w, beside_gpus(kind, found.power_w, rack_w)
    if share < 1.0:  # cases stand for the mean power, as the coolant does
        shown_w, more = kind.gpu_power_w * carried_w / (kind.power_w * kind.liquid_fraction), SWINGING
    power_w = shown_w if share < 1.0 else shown_w * math.exp(more)
    load = shown_w / kind.gpu_power_w
    reads = Read(found.rise_k, of_gpus(found.gpus, found.rise_k, load)), Read(power_w, POWER), flow
    look = seen(partial(case_log, kind, heat_j_m3_k), *reads, load=load, part_load=PLATE_PART_LOAD, doubt=more)
    return None if look is None else replace(look, place=math.log(flow.value / kind.flow_m3_s), load=load)


def _loop_supply_c(snapshot: Snapshot, group: CoolingGroup) -> float:
    """The coldest supply that a member shows [°C]: a rise above it is not taken for less than it is."""
    shown = (snapshot.get(f"{member}/tcs_supply_temperature") for member in group.members)
    return min((c for c in shown if math.isfinite(c)), default=math.nan)


def _loop_share(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> float:
    """Flow of racks over design [1] by the members; where one of them is silent, by the racks that tell theirs."""
    sent = sum(snapshot.get(f"{member}/tcs_flow") for member in group.members)
    if math.isfinite(sent):
        return sent / sum(count * kind.flow_m3_s for kind, count in design.racks)
    shown = {rack: snapshot.get(f"{rack}/liquid_flow") for rack in group.racks}
    told = {rack: flow for rack, flow in shown.items() if math.isfinite(flow)}
    rated = sum(rack_design(site, rack).flow_m3_s for rack in told)
    return sum(told.values()) / rated if told else math.nan


def _cdus(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> Iterator[Found]:
    for name, cdu in zip(group.members, design.cdus, strict=True):
        exchanger = Exchanger(cdu=cdu, coolant=design.coolant, water=design.water)
        power = Read(electric_power(site, snapshot, name), POWER)
        temperatures = ("tcs_supply", "tcs_return", "fws_supply", "fws_return")
        reads = [Read(snapshot.get(f"{name}/{t}_temperature"), TEMPERATURE) for t in temperatures]
        reads += [Read(snapshot.get(f"{name}/{side}_flow"), FLOW) for side in ("tcs", "fws")]
        yield name, known.UA, seen(exchanger.log_ratio, *reads, power)
        yield name, known.BALANCE, seen(exchanger.log_balance, *reads, power)
        dp = Read(snapshot.get(f"{name}/tcs_differential_pressure"), PRESSURE)
        pumping = (Read(snapshot.get(f"{name}/tcs_flow"), FLOW), dp, power)
        yield name, known.EFFICIENCY, seen(partial(cdu_pump_log, cdu), *pumping, load=pumping[0].value / cdu.flow_m3_s)


def _racks(site: Site, snapshot: Snapshot, group: CoolingGroup) -> Iterator[Found]:
    for rack in group.racks:
        kind = rack_design(site, rack)
        names = ("liquid_flow", FLOW), ("liquid_differential_pressure", PRESSURE)
        flow, dp = (Read(snapshot.get(f"{rack}/{name}"), accuracy) for name, accuracy in names)
        yield rack, known.RACK_FLOW, seen(partial(rack_flow_log, kind), flow, dp)


def _facility_pump(site: Site, snapshot: Snapshot, pump: Equipment) -> Observation | None:
    flow = Read(snapshot.get(f"{pump.id}/flow"), FLOW)
    head = Read(snapshot.get(f"{pump.id}/differential_pressure"), PRESSURE)
    power = Read(electric_power(site, snapshot, pump.id), POWER)
    return seen(partial(facility_pump_log, pump), flow, head, power, load=flow.value / pump.design["flow_m3_s"])

"""What was identified, put into the model, cautiously: bad news as estimated, good news by the interval's far end.

Powers stay with `controller.learning`, which compares them with meters; here stand the parameters that limits hang on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from controller.design import LoopDesign, RackDesign, rack_design
from controller.identification.design_doubt import most_worse
from controller.identification.known import Known
from controller.identification.parameters import RACK_FLOW, UA, Parameter
from controller.identification.plate_reserve import of_kind
from controller.inputs import by_flow
from controller.model import FLOW_EXPONENT
from plant.topology import CoolingGroup, Site

Kinds = tuple[tuple[RackDesign, int], ...]
STEP = 0.005
"""Estimates wander by less from cycle to cycle."""


def applied(
    design: LoopDesign, site: Site, group: CoolingGroup, known: Known, *, unseen_plates: bool = True
) -> LoopDesign:
    """The design with UA of each CDU, and of each kind of rack its system curve, worst plate and least flow.

    unseen_plates: plates that were never seen count as bad as they may be (`design_doubt`); else as good as their
    figures.
    """
    cdus = tuple(
        replace(cdu, ua_w_k=cdu.ua_w_k * _cautious(known, member, UA))
        for member, cdu in zip(group.members, design.cdus, strict=True)
    )
    by_kind = racks_by_kind(site, group)
    most = most_worse(site, group, design) if unseen_plates else dict.fromkeys(group.racks, 1.0)
    racks = tuple((_rack(kind, by_kind[kind], most, known), count) for kind, count in design.racks)
    least = min(_least_share(racks_of, known) for racks_of in by_kind.values())
    racks = _same_sum(design.racks, racks) if by_flow(site, group) else racks
    return replace(design, cdus=cdus, racks=racks, least_flow_share=least)


def _same_sum(told: Kinds, found: Kinds) -> Kinds:
    """Where a flow is commanded only its shares are news: the same flow of all racks at a pressure as by the file."""
    more = _per_pa(found) / _per_pa(told)
    return tuple((replace(kind, dp_pa=kind.dp_pa * more ** (1 / FLOW_EXPONENT)), count) for kind, count in found)


def _per_pa(racks: Kinds) -> float:
    """Flow of all racks at 1 Pa [m³/s]."""
    return sum(count * kind.flow_m3_s / math.pow(kind.dp_pa, FLOW_EXPONENT) for kind, count in racks)


def racks_by_kind(site: Site, group: CoolingGroup) -> dict[RackDesign, list[str]]:
    """A loop's racks by what they are."""
    by_kind: dict[RackDesign, list[str]] = {}
    for rack in group.racks:
        by_kind.setdefault(rack_design(site, rack), []).append(rack)
    return by_kind


def _rack(kind: RackDesign, racks: Sequence[str], most: Mapping[str, float], known: Known) -> RackDesign:
    """By flow = design x (dp / dp of design)^n: more flow at the same pressure is the same flow at less pressure."""
    flow = float(np.exp(np.mean([np.log(_flow(rack, known)) for rack in racks])))
    worst = _stepped(max(of_kind({rack: most[rack] for rack in racks}, known).values()))
    return replace(
        kind, dp_pa=kind.dp_pa / flow ** (1 / FLOW_EXPONENT), case_resistance_k_w=kind.case_resistance_k_w * worst
    )


def _stepped(plates: float) -> float:
    """The nearest step, finer than any estimate is sure of; for plates better than their figure the next worse one."""
    return STEP * (round(plates / STEP) if plates > 1.0 else math.ceil(plates / STEP - 1e-9))


def _flow(rack: str, known: Known) -> float:
    return _cautious(known, rack, RACK_FLOW)


def _cautious(known: Known, subject: str, parameter: Parameter) -> float:
    """The cautious ratio, in steps towards the worse: the tables made from it serve many cycles."""
    ratio = known.estimate(subject, parameter.name).cautious(less_is_worse=parameter.less_is_worse)
    steps = ratio / STEP
    return STEP * (math.floor(steps + 1e-9) if parameter.less_is_worse else math.ceil(steps - 1e-9))


def _least_share(racks: Sequence[str], known: Known) -> float:
    """Flow of a kind's worst rack over the kind's mean [1]."""
    flows = [_flow(rack, known) for rack in racks]
    return min(flows) / float(np.exp(np.mean(np.log(flows))))

"""Small safe probing: a little more pressure for a while, where a loop sits still and its plant is not known well.

More pressure is more flow through every plate and exchanger: no case gets warmer, no dew point comes nearer. It goes
the way of every setpoint, lease and guard included, and only in mode auto: a plan carries it apart from its setpoints.
"""

from __future__ import annotations

from dataclasses import replace

from controller.identification.known import Known
from controller.identification.shown import IN_PLANS
from plant.records import Plan
from plant.topology import CoolingGroup, Site

STEP_SHARE = 0.05
"""Of design pressure."""
EVERY_S, LASTS_S = 7200.0, 900.0
"""The first quarter of every other hour."""
AMPLE_K = 5.0
"""Left to the case limit in the plan's worst moment."""
DP = "differential_pressure"
BACK = 0.1
"""Of a step; nearer than this the pressure is back where it was."""


def probed(plan: Plan, site: Site, group: CoolingGroup, known: Known) -> tuple[Plan, Known]:
    """The plan with a probing step, or with the one back, or as it is; and the pressure to come back to, remembered.

    A plan that wants to move, or has little margin, ends the probing at once; without a pressure to command is none.
    """
    base_pa = known.probe_base_pa
    if DP not in group.commands or plan.reason.code != "plan_stay" or plan.worst_case_margin_k < AMPLE_K:
        return plan, _with_base(known, None)
    envelope = site.envelopes[group.commands[DP]]
    step_pa = min(STEP_SHARE * group.design[DP], envelope.max_step)
    current_pa = next(s.current for s in plan.setpoints if s.point == envelope.point)
    if group.excitation == "small" and plan.made_s % EVERY_S < LASTS_S and not _well_known(known, group):
        base_pa = current_pa if base_pa is None else base_pa
        return _asking(plan, envelope.point, min(base_pa + step_pa, envelope.maximum)), _with_base(known, base_pa)
    if base_pa is None or abs(current_pa - base_pa) < BACK * step_pa:
        return plan, _with_base(known, None)
    return _asking(plan, envelope.point, base_pa), known


def _with_base(known: Known, base_pa: float | None) -> Known:
    return replace(known, probe_base_pa=base_pa)


def _asking(plan: Plan, point: str, value: float) -> Plan:
    asked = (replace(s, value=value, target=value) if s.point == point else s for s in plan.setpoints)
    return replace(plan, probe=tuple(asked))


def _well_known(known: Known, group: CoolingGroup) -> bool:
    """Whether every exchanger, plate and rack flow that plans reckon with is sure."""
    exchangers, *per_rack = IN_PLANS
    wanted = [(m, exchangers) for m in group.members] + [(r, p) for r in group.racks for p in per_rack]
    return all(known.estimate(equipment, parameter.name).sure for equipment, parameter in wanted)

"""Faults of a site's own reset rule."""

from __future__ import annotations

from collections.abc import Iterator

from sites.form import SiteForm
from sites.form_groups import GroupForm
from sites.form_rule import ResetForm, RuleForm
from sites.problem import Fault, one_of


def rule_faults(form: SiteForm) -> Iterator[Fault]:
    """All faults of all rules."""
    for index, group in enumerate(form.cooling_groups):
        if group.rule is not None:
            yield from _bad_rule(group, group.rule, ("cooling_groups", index, "rule"))


def _bad_rule(group: GroupForm, rule: RuleForm, place: tuple[str | int, ...]) -> Iterator[Fault]:
    dwell_s = max((w.min_dwell_s for w in group.writable.values()), default=0.0)
    if rule.every_s < dwell_s:
        message = f"{group.id}: the rule moves every {rule.every_s:g} s, but min_dwell_s is {dwell_s:g}"
        yield Fault(place=(*place, "every_s"), message=message, remedy=f"give at least {dwell_s:g}")
    for role, reset in rule.resets.items():
        here = (*place, "resets", role)
        writable = next((given for known, given in group.writable.items() if known == role), None)
        if writable is None:
            message = f"{group.id}: the rule moves {role!r}, which the group does not command"
            yield Fault(place=here, message=message, remedy=one_of(role, list(group.writable)))
            continue
        if not writable.min <= reset.min <= reset.start <= reset.max <= writable.max:
            message = f"{group.id}: {role}: min, start and max of the rule do not ascend within what may be written"
            yield Fault(place=here, message=message, remedy=f"keep them within {writable.min:g} to {writable.max:g}")
        yield from _bad_signs(group, role, reset, here)


def _bad_signs(group: GroupForm, role: str, reset: ResetForm, here: tuple[str | int, ...]) -> Iterator[Fault]:
    if reset.trim * reset.respond >= 0 or reset.respond * reset.respond_max <= 0:
        message = f"{group.id}: {role}: trim and respond must have opposite signs, respond and respond_max the same"
        yield Fault(place=here, message=message, remedy="let trim save energy and respond give cooling")
    elif abs(reset.respond_max) < abs(reset.respond):
        message = f"{group.id}: {role}: respond_max is smaller than respond"
        yield Fault(place=(*here, "respond_max"), message=message, remedy=f"give at least {reset.respond:g}")

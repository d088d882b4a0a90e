"""Slow change as a maintenance finding: what got worse since the first fitted day, since when, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from controller.identification.costs import Running
from controller.identification.estimates import Estimate
from controller.identification.known import Baseline, Change, Known, key_of
from controller.identification.parameters import BALANCE, PARAMETERS, UA, Parameter
from controller.reasons import condition
from plant.records import Condition, Severity
from plant.topology import Site

LASTS_S = 6 * 3600.0
"""A change must last this long before anybody is told."""
STILL = 0.7
"""Of its threshold; a change that has shrunk below is over."""
SIGMAS, BIASED = 4.0, 2.0
COST_LOOKS = 288.0
"""The cost is a running mean over a day of looks."""
YEAR_H, DAY_S = 8760.0, 86400.0


def worse_by(parameter: Parameter, estimate: Estimate, baseline: Baseline) -> float:
    """Share by which a parameter is worse than its baseline [1]; negative where it is better."""
    change = estimate.log - baseline.log
    if not parameter.less_is_worse:
        return math.expm1(change)
    return -math.expm1(change)


def changed(known: Known, running: Running) -> Known:
    """With changes brought up to date; running: how the loop runs now, for their cost."""
    changes: dict[str, Change] = {}
    for key in known.baselines:
        subject, _, name = key.rpartition("/")
        parameter, before, least = PARAMETERS[name], known.changes.get(key), _least_worse(known, key)
        if parameter.finding and least is not None and _worse(*least, told=before is not None):
            change = before or Change(since_s=running.snapshot.at_s)
            _, estimate, baseline = least
            now = math.exp(known.estimates[key].log)
            cost = running.cost_w(subject, parameter, now, now * math.exp(baseline.log - estimate.log))
            changes[key] = _with_cost(change, cost)
    return replace(known, changes=changes)


def _least_worse(known: Known, key: str) -> tuple[Parameter, Estimate, Baseline] | None:
    """A parameter or its witness, whichever has moved less; None while one of them has no baseline."""
    subject, _, name = key.rpartition("/")
    names = [name, PARAMETERS[name].witness] if PARAMETERS[name].witness else [name]
    keys = {n: key_of(subject, n) for n in names}
    if not all(k in known.baselines for k in keys.values()):
        return None
    found = [(PARAMETERS[n], known.estimates[k], known.baselines[k]) for n, k in keys.items()]
    return min(found, key=lambda one: worse_by(*one)) if len(found) > 1 else found[0]


def _worse(parameter: Parameter, estimate: Estimate, baseline: Baseline, *, told: bool) -> bool:
    by = (
        abs(estimate.log - baseline.log)
        if parameter.finding == "sensor_drift"
        else worse_by(parameter, estimate, baseline)
    )
    least = SIGMAS * math.sqrt(estimate.variance + baseline.variance) + BIASED * _misled(estimate, baseline)
    return by > max(parameter.change, least) * (STILL if told else 1.0)


def _misled(estimate: Estimate, baseline: Baseline) -> float:
    """Standard deviation [1] by which the same offsets of the same instruments mislead otherwise than at the baseline.

    At the same load they cancel. At less of it temperatures lie closer, and an offset of a fifth of a kelvin that was
    2 % of a difference is 5 %: without this, racks that idle for half a day were sensor drift.
    """
    return abs(math.sqrt(estimate.bias) - math.sqrt(estimate.bias if baseline.bias is None else baseline.bias))


def _with_cost(change: Change, cost: float) -> Change:
    if not math.isfinite(cost):
        return change
    gain = max(1.0 / (change.looks + 1), 1.0 / COST_LOOKS)
    return replace(change, cost_w=change.cost_w + gain * (cost - change.cost_w), looks=change.looks + 1)


def findings(known: Mapping[str, Known], site: Site, now_s: float) -> tuple[Condition, ...]:
    """What a person should look after."""
    found = []
    for loop in known.values():
        for key, change in loop.changes.items():
            least = _least_worse(loop, key)
            if least is not None and now_s - change.since_s >= LASTS_S and not _doubted(key, loop):
                found.append(_finding(key, change, loop, site, worse_by(*least)))
    return tuple(found)


def _doubted(key: str, loop: Known) -> bool:
    """Whether it rests on a CDU's sensors that no longer agree about its heat: those are to be looked at first."""
    subject, _, name = key.rpartition("/")
    return name == UA.name and key_of(subject, BALANCE.name) in loop.changes


def _finding(key: str, change: Change, loop: Known, site: Site, by: float) -> Condition:
    """Numbers are rounded, so that a finding does not change its words every cycle; by: how much worse [1]."""
    subject, _, name = key.rpartition("/")
    parameter, baseline = PARAMETERS[name], loop.baselines[key]
    kwh = _two_digits(max(change.cost_w, 0.0) * YEAR_H / 1e3)
    prices = site.tariff.energy_per_kwh
    money = _two_digits(kwh * sum(prices) / len(prices)) if prices else 0.0
    return condition(
        parameter.finding,
        subject,
        change.since_s,
        Severity.INFO,
        change_pct=float(round(100.0 * abs(by))),
        days=float(round((change.since_s - baseline.at_s) / DAY_S)),
        kwh=kwh,
        cost=f", {money:g} {site.tariff.currency}" if money else "",
    )


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")

"""One cycle of identification: is the loop settled, what does it say, what does that make of what was known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from controller import inputs
from controller.design import LoopDesign
from controller.identification.dynamics import error_k, response
from controller.identification.estimates import OBSERVE_EVERY_S, Estimate, tells_more, updated
from controller.identification.known import Baseline, Found, Known, key_of
from controller.identification.observing import observed, plates
from controller.identification.parameters import CASE, RESPONSE
from controller.identification.plate_reserve import SEEN_COUNT
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site

SETTLED_S = 240.0
"""Setpoints stand still for this long before a look counts: the loops have settled."""
MOST_BIAS = 0.35**2
"""An observation whose instruments may be further off than this (as a variance of the log) is not one."""
CLEAR_BIAS = 0.08**2
"""Cold plates answer in seconds: where their load is high they are looked at though setpoints move."""
LESS_LOAD = 0.15
FITTED_S, FITTED_COUNT = 86400.0, 72
"""A baseline is taken after a day with at least six hours of settled looks."""
SAME = 1e-3


def identified(before: Known, site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign) -> Known:
    """What is known after this cycle; design: the site file's.

    Raises:
        StaleError: a setpoint in force is not known.
        ConfigError: the loop can't be planned.
    """
    now_s = snapshot.at_s
    now, points = inputs.current_setpoints(site, snapshot, group), inputs.whole_setpoints(site, group)
    followed = {role: now[role] for role, point in points.items() if point in site.envelopes}
    known = _followed(_settling(before, tuple(followed.values()), now_s), snapshot, group, followed[inputs.SUPPLY])
    if now_s - known.plates_s >= _look_every_s(known, group) - 1.0:
        most = MOST_BIAS if now_s - known.settled_s >= SETTLED_S else CLEAR_BIAS
        found = _telling(known.estimates, plates(site, snapshot, group, design), now_s)
        known = replace(known, estimates=_taken(known.estimates, found, now_s, most), plates_s=now_s)
    if now_s - known.settled_s < SETTLED_S or now_s - known.at_s < OBSERVE_EVERY_S - 1.0:
        return known
    estimates = _taken(known.estimates, observed(site, snapshot, group, design), now_s)
    baselines = {k: b for k, e in estimates.items() if (b := known.baselines.get(k) or _fitted(e, now_s)) is not None}
    return replace(known, estimates=estimates, baselines=baselines, at_s=now_s)


def _look_every_s(known: Known, group: CoolingGroup) -> float:
    """Plates that have begun to show themselves are looked at in every cycle [s]: plans keep much for them."""
    counts = [known.estimate(rack, CASE.name).count for rack in group.racks]
    return 0.0 if any(0 < count < SEEN_COUNT for count in counts) else OBSERVE_EVERY_S


def _telling(before: Mapping[str, Estimate], found: Iterable[Found], now_s: float) -> Iterator[Found]:
    """Looks at no less load than what is known of the same plates: at part load other things show."""
    for subject, parameter, seen in found:
        estimate = before.get(key_of(subject, parameter.name), Estimate())
        if seen is not None and tells_more(estimate, seen, now_s, LESS_LOAD):
            yield subject, parameter, seen


def _taken(
    before: Mapping[str, Estimate], found: Iterable[Found], now_s: float, most: float = MOST_BIAS
) -> dict[str, Estimate]:
    """The estimates after one look; most: variance that an observation's bias may have."""
    estimates = dict(before)
    for subject, parameter, seen in found:
        if seen is not None and seen.bias < most:
            key = key_of(subject, parameter.name)
            estimates[key] = updated(estimates.get(key, Estimate()), seen, parameter.form_sd, now_s)
    return estimates


def _followed(known: Known, snapshot: Snapshot, group: CoolingGroup, asked_c: float) -> Known:
    """With what this cycle says of how fast the supply follows; only until the loops have settled."""
    now_s, off_k = snapshot.at_s, error_k(snapshot, group, asked_c)
    before, known = known.follows, replace(known, follows=(now_s, off_k) if math.isfinite(off_k) else None)
    if before is None or not 0.0 < now_s - known.settled_s < SETTLED_S:
        return known
    seen, key = response(before[1], off_k, now_s - before[0]), key_of(group.master, RESPONSE.name)
    if seen is None:
        return known
    estimate = updated(known.estimates.get(key, Estimate()), seen, RESPONSE.form_sd, now_s)
    return replace(known, estimates={**known.estimates, key: estimate})


def _settling(before: Known, current: tuple[float, ...], now_s: float) -> Known:
    same = len(before.setpoints) == len(current) and all(
        math.isclose(a, b, rel_tol=SAME, abs_tol=SAME) for a, b in zip(before.setpoints, current, strict=True)
    )
    return before if same else replace(before, setpoints=current, settled_s=now_s)


def _fitted(estimate: Estimate, now_s: float) -> Baseline | None:
    if estimate.count < FITTED_COUNT or now_s - estimate.since_s < FITTED_S:
        return None
    return Baseline(log=estimate.log, variance=estimate.variance, at_s=now_s, bias=estimate.bias)

"""How far a plan trusts cold plates: as far as their GPUs have shown them, and until then not at all.

A design figure may be too good by the tolerance that the site file states for it. That much of the rise over supply is
kept for plates that nobody has seen; what was seen shrinks it to what the evidence leaves open at this load and flow.
Racks of one kind have the same plates: what busy ones show counts for their siblings, idle or not seen at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from controller.identification.estimates import SURE_SD, Estimate
from controller.identification.known import Known
from controller.identification.parameters import CASE
from plant.topology import Equipment

KEY, USUAL_TOLERANCE = "design_tolerance", 0.20
"""Of a rack's `design`: share by which its cold plates may be worse than its figure; where the site file tells none."""
COVERED = 0.04
"""Error of a plate's resistance that `constraints.CASE_TOLERANCE` keeps anyway, where GPUs draw no more than rated."""
FULL_LOAD = 0.9
"""Of a GPU's rating; seen at less, how far it goes above its rating is still to come: `COVERED` is kept for that."""
SEEN_COUNT = 6
"""What plates are like shows in each look, more only tell a wild sensor from the others."""
AT_WORST_SD = 1.645
"""One case in twenty is worse."""
BETTER_COUNT, BETTER_SD = 24, 2.58
"""Looks before plates are believed to be better than their figure, and how far: one case in two hundred is worse."""
SIBLINGS_SD, SIBLINGS_COUNT = 0.018, 4.0
"""How far racks of one kind differ: one in twenty by 3 %, as sure as if so many had shown it; then those that show it
themselves count more. Each is the mean of all its plates; deposits and air in single racks remain."""


def unseen(equipment: Equipment) -> float:
    """What plates may have against the site file's resistance before anybody saw them [1]."""
    return 1.0 / (1.0 - equipment.design.get(KEY, USUAL_TOLERANCE))


def trusted(estimate: Estimate, most: float) -> float:
    """Resistance to plan with over the site file's [1]; most: while nothing was seen.

    Once sure a worse one as estimated, a better one only as far as it is all but certain, and never less than what it
    may be at worst but for `COVERED`: of that, GPUs that were seen above their rating have used a part, and it is all
    kept for those that were not seen near it.
    """
    if not estimate.count:
        return most
    ratio, high = estimate.ratio, estimate.ratio * math.exp(AT_WORST_SD * estimate.sd)
    if estimate.count < SEEN_COUNT or estimate.sd > SURE_SD:
        return max(min(max(1.0, high), most), estimate.interval[0])
    better = min(ratio * math.exp(BETTER_SD * estimate.sd), 1.0)
    least = better if estimate.count >= BETTER_COUNT else 1.0
    covered = max(COVERED - max(estimate.load - 1.0, 0.0), 0.0) if estimate.load >= FULL_LOAD else 0.0
    return min(max(ratio, high * (1.0 - covered), least), max(most, ratio))


def of_kind(racks: Mapping[str, float], known: Known) -> dict[str, float]:
    """Resistance to plan with of some racks of one kind, over the file's [1]; racks: each one's `most`."""
    looked = {rack: known.estimate(rack, CASE.name) for rack in racks}
    kind = kind_of(looked.values())
    return {rack: trusted(kind.rack(own), racks[rack]) for rack, own in looked.items()}


@dataclass(frozen=True, slots=True)
class Kind:
    """What racks of one kind told of it: mean log and its variance, that between racks, bias of all, looks together.

    load: the highest at which one was seen [1].
    """

    log: float = 0.0
    variance: float = 0.0
    between: float = SIBLINGS_SD**2
    bias: float = 0.0
    count: int = 0
    load: float = 0.0

    def rack(self, own: Estimate) -> Estimate:
        """One rack's, by its own looks and, the less they say, by its siblings' (empirical Bayes)."""
        if not self.count:
            return own
        own_part = self.between / (self.between + own.variance + own.bias - self.bias) if own.count else 0.0
        left = 1.0 - own_part
        log = self.log + own_part * (own.log - self.log) if own.count else self.log
        variance = left * self.between + left**2 * self.variance
        return replace(own, log=log, variance=variance, bias=self.bias, count=self.count, load=self.load)


def kind_of(racks: Iterable[Estimate]) -> Kind:
    """From the racks that showed anything. What misleads the surest of them misleads all: no averaging removes it."""
    shown = [rack for rack in racks if rack.count]
    if not shown:
        return Kind()
    bias = min(rack.bias for rack in shown)
    logs, own = np.array([(rack.log, rack.variance + rack.bias - bias) for rack in shown]).T
    between = _between(logs, own)
    weights = 1.0 / (own + between)
    return Kind(
        log=float(np.average(logs, weights=weights)),
        variance=1.0 / float(weights.sum()),
        between=between,
        bias=bias,
        count=sum(rack.count for rack in shown),
        load=max(rack.load for rack in shown),
    )


def _between(logs: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> float:
    """Variance between racks of one kind; logs: what each showed, own: variance of that.

    The mean of what was expected and of what is seen, each by its count (as an inverse gamma is updated); racks that
    are vague themselves tell little of it, and one alone nothing.
    """
    weights = SIBLINGS_SD**2 / (own + SIBLINGS_SD**2)
    off = (logs - np.average(logs, weights=weights)) ** 2
    seen = max(float(np.sum(weights**2 * (off - own))), 0.0)
    return (SIBLINGS_COUNT * SIBLINGS_SD**2 + seen) / (SIBLINGS_COUNT + max(float(np.sum(weights**2)) - 1.0, 0.0))

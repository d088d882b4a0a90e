"""How far a plan trusts cold plates: as far as their GPUs have shown them, and until then not at all.

A design figure may be too good by the tolerance that the site file states for it. That much of the rise over supply is
kept for plates that nobody has seen; what was seen shrinks it to what the evidence leaves open at this load and flow.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from controller.identification.estimates import SURE_SD, Estimate
from controller.identification.known import Known
from controller.identification.parameters import CASE
from plant.topology import Equipment

KEY, USUAL_TOLERANCE = "design_tolerance", 0.20
"""Of a rack's `design`: share by which its cold plates may be worse than its figure; where the site file tells none."""
COVERED = 0.04
"""Error of a plate's resistance that `constraints.CASE_TOLERANCE` keeps anyway."""
SEEN_COUNT = 6
"""What plates are like shows in each look, more only tell a wild sensor from the others."""
BETTER_COUNT = 24
"""Two hours of looks at high load, before plates are believed to be better than their figure."""
AT_WORST_SD = 1.645
"""One case in twenty is worse."""
LEAST_SIBLINGS, SIBLINGS_DIFFER = 3, 1.03
"""From so many racks of its kind on, one that shows nothing counts as the worst of them, and a little worse."""


def unseen(equipment: Equipment) -> float:
    """What plates may have against the site file's resistance before anybody saw them [1]."""
    return 1.0 / (1.0 - equipment.design.get(KEY, USUAL_TOLERANCE))


def trusted(estimate: Estimate, most: float) -> float:
    """Resistance to plan with over the site file's [1]; most: while nothing was seen.

    Once sure a worse one as estimated, a better one only as far as proven and once confirmed, and never less than what
    it may be at worst but for `COVERED`.
    """
    if not estimate.count:
        return most
    ratio, high = estimate.ratio, estimate.ratio * math.exp(AT_WORST_SD * estimate.sd)
    if estimate.count < SEEN_COUNT or estimate.sd > SURE_SD:
        return max(min(max(1.0, high), most), estimate.interval[0])
    least = 0.0 if estimate.count >= BETTER_COUNT else 1.0
    kept = max(statistics.median((1.0, ratio, high)), high * (1.0 - COVERED), least)
    return min(kept, max(most, ratio))


def worst_of_kind(racks: Mapping[str, float], known: Known) -> float:
    """Resistance to plan with of the worst among some racks of one kind, over the file's [1]; racks: its `most`."""
    looked = [(known.estimate(rack, CASE.name), most) for rack, most in racks.items()]
    shown = [trusted(estimate, most) for estimate, most in looked if estimate.count]
    siblings = SIBLINGS_DIFFER * max(shown) if len(shown) >= LEAST_SIBLINGS else math.inf
    hidden = [min(most, siblings) for estimate, most in looked if not estimate.count]
    return max((*shown, *hidden))

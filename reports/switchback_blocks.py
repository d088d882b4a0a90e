"""A switchback's blocks as coldplate itself recorded them: energies from registers, turns from the audit chain."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from plant.points import PointId
from plant.ports import RangeQuery, Store
from plant.running import AuditEntry
from plant.samples import Quality, split_code
from plant.topology import Site
from reports.boundary import PARTS
from reports.build import build_report
from reports.model import ReportModel
from reports.pue import ReportError
from reports.switchback import HOUR_S, LEAST_COVERAGE, Block, SwitchbackPlan
from reports.switchback_estimate import Row

REGISTERED, BEGAN, ENDED = "switchback_registered", "switchback_block", "switchback_block_ended"
"""What the audit says of a switchback; each entry's detail has the plan's digest."""
OUTDOOR = {"outdoor_wet_bulb": "outdoor wet bulb", "outdoor_dry_bulb": "outdoor dry bulb"}
STEP_S = 300.0
J_PER_KWH = 3.6e6


def faults_of(plan: SwitchbackPlan, entries: Iterable[AuditEntry]) -> dict[int, str]:
    """Number of each block, from 1, to why it does not count; empty where the audit has it as driven.

    Raises:
        ReportError: the plan was not registered before its first block.
    """
    mine = [e for e in entries if e.detail.get("digest") == plan.digest]
    registered_s = min((e.at_s for e in mine if e.action == REGISTERED), default=math.inf)
    if not registered_s < plan.blocks[0].start_s:
        raise ReportError("the audit does not have this plan before its first block; only what was registered counts")
    ended = {e.detail.get("block"): e.detail for e in mine if e.action == ENDED}
    found = {}
    for number, block in enumerate(plan.blocks, 1):
        told = ended.get(number)
        if told is None or told.get("arm") != block.arm:
            found[number] = "the audit does not have it as driven"
        else:
            found[number] = "" if told.get("valid") is True else str(told.get("why"))
    return found


def outdoor_point(site: Site) -> tuple[PointId, str]:
    """The point of outdoor air that cooling depends on, and its name: a wet bulb before a dry one.

    Raises:
        ReportError: the site measures neither.
    """
    for name, words in OUTDOOR.items():
        point = next((p for p in site.points if p.endswith(f"/{name}")), None)
        if point is not None:
            return point, words
    raise ReportError("no equipment of the site measures outdoor air, so weather can't be adjusted for")


async def rows_of(plan: SwitchbackPlan, site: Site, store: Store, faults: dict[int, str]) -> list[Row]:
    """The blocks' means from the meters' energy registers and outdoor air in the store.

    Raises:
        StoreError: the store can't give data now.
        ReportError: the site measures no outdoor air.
    """
    point, _ = outdoor_point(site)
    return [
        await _row(plan, site, store, block, point, faults.get(number, ""))
        for number, block in enumerate(plan.blocks, 1)
    ]


async def _row(plan: SwitchbackPlan, site: Site, store: Store, block: Block, point: PointId, fault: str) -> Row:
    start_s = block.start_s + plan.washout_s
    outdoor_c = await _outdoor_c(store, point, start_s, block.end_s)
    try:
        report = await build_report(site, store, start_s, block.end_s)
    except ReportError as error:
        nothing = math.nan
        return Row(
            block=block, power_w=nothing, heat_w=nothing, outdoor_c=outdoor_c, coverage=0.0, fault=fault or str(error)
        )
    shown_s = report.period.hours * HOUR_S
    coverage = _coverage(report, block.end_s - start_s)
    if not fault and coverage < LEAST_COVERAGE:
        fault = f"{coverage:.0%} of it was metered"
    if not fault and not math.isfinite(outdoor_c):
        fault = f"{point} was not measured"
    return Row(
        block=block,
        power_w=_cooling_j(report) / shown_s,
        heat_w=next(f.value for f in report.energies if f.code == "energy_it") * J_PER_KWH / shown_s,
        outdoor_c=outdoor_c,
        coverage=coverage,
        fault=fault or _unmetered(report),
    )


def _cooling_j(report: ReportModel) -> float:
    return sum(f.value for f in report.parts if f.code in PARTS.values()) * J_PER_KWH


def _unmetered(report: ReportModel) -> str:
    """A part of the cooling without readings, in all of the block or in some of it, would make it look cheap."""
    codes = {"note.no_readings", "note.part_incomplete"}
    missing = [str(n.params.get("meter")) for n in report.notes if n.code in codes]
    return f"not all readings of {', '.join(missing)}" if missing else ""


def _coverage(report: ReportModel, length_s: float) -> float:
    good = min(report.good_percent_total, report.good_percent_it) / 100.0
    return good * min(1.0, report.period.hours * HOUR_S / length_s)


async def _outdoor_c(store: Store, point: PointId, start_s: float, end_s: float) -> float:
    """Mean of the good values [°C]; NaN where they cover too little. A BAD sample has no number, and is in no mean."""
    query = RangeQuery(points=(point,), start_s=start_s, end_s=end_s, step_s=STEP_S)
    series = next(iter(await store.range(query)), None)
    if series is None:
        return math.nan
    good = np.isfinite(series.value) & np.array(
        [split_code(int(c))[0] is not Quality.UNCERTAIN for c in series.code], dtype=bool
    )
    if np.count_nonzero(good) < LEAST_COVERAGE * (end_s - start_s) / STEP_S:
        return math.nan
    return float(series.value[good].mean())

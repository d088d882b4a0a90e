"""Site + store + interval -> report."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from devices.profiles import load_profile
from plant.points import PointId
from plant.ports import Store
from plant.topology import Site
from reports.account import (
    J_PER_KWH,
    Account,
    carbon_figure,
    cost_figure,
    energy_figures,
    good_percent,
    notes,
    part_figures,
    pue_figure,
    refuse_unknown,
)
from reports.boundary import CATEGORY_PLACE, Boundary, boundary, pump_side, register_point
from reports.model import GapRow, MeterRow, Period, PumpRow, ReportModel
from reports.periods import iso, notation
from reports.pue import Gap, MeterEnergy, ReportError, common_interval, register_energy
from reports.registers import BUCKET_S, Register, fingerprint, max_gap_s, read_registers

MARGIN_S = 1800.0
"""How far outside the interval readings are looked for, to interpolate at its ends [s]."""
STANDARD = "ISO/IEC 30134-2, EN 50600-4-2"


async def build_report(site: Site, store: Store, start_s: float, end_s: float) -> ReportModel:
    """The report of [start_s, end_s) [s since 1970] from the registers in the store.

    Raises:
        ReportError: the data can't support a PUE; says which meter, why and what to do.
        StoreError: the store can't give data now.
    """
    if not end_s > start_s:
        raise ReportError("the interval is empty: its end must be after its start")
    points = [p for p in (register_point(site, m.id) for m in site.of_kind("meter")) if p]
    return make_report(site, await read_registers(store, points, start_s, end_s, MARGIN_S), start_s, end_s)


def make_report(site: Site, registers: Mapping[PointId, Register], start_s: float, end_s: float) -> ReportModel:
    """The report from register readings. Pure but for the site file's hash. Raises: ReportError."""
    limits = boundary(site)
    energies, _ = _energies(site, limits, registers, start_s, end_s)
    first_s, last_s = common_interval([energies[m] for m in limits.essential])
    energies, missing = _energies(site, limits, registers, first_s, last_s)
    account = Account(site=site, limits=limits, energies=energies, start_s=first_s, end_s=last_s)
    refuse_unknown(account)
    return ReportModel.model_validate(
        {
            "site": site.id,
            "site_name": site.name,
            "site_name_zh": site.name_zh,
            "timezone": site.timezone,
            "period": _period(account, start_s, end_s),
            "category": limits.category,
            "category_place": CATEGORY_PLACE[limits.category],
            "notation": notation(limits.category, first_s, last_s, site.timezone),
            "standard": STANDARD,
            "pue": pue_figure(account),
            "energies": energy_figures(account),
            "parts": part_figures(account),
            "cost": cost_figure(account),
            "carbon": carbon_figure(account),
            "good_percent_total": account.good_percent(limits.total),
            "good_percent_it": account.good_percent(limits.it),
            "meters": tuple(_meter_row(account, m) for m in energies),
            "pumps": _pump_rows(account),
            "notes": notes(account, (start_s, end_s), missing),
            "inputs_sha256": fingerprint(registers),
            "site_file_sha256": _file_hash(site.path),
            "software": _software(),
        }
    )


def _energies(
    site: Site, limits: Boundary, registers: Mapping[PointId, Register], start_s: float, end_s: float
) -> tuple[dict[str, MeterEnergy], list[str]]:
    """Every meter's energy, and the meters of parts that have no readings. Raises for a meter that PUE needs."""
    energies: dict[str, MeterEnergy] = {}
    missing: list[str] = []
    parts = [m for meters in limits.parts.values() for m in meters]
    for meter in dict.fromkeys((*limits.essential, *parts)):
        try:
            energies[meter] = _energy(site, meter, registers, start_s, end_s)
        except ReportError:
            if meter in limits.essential:
                raise
            missing.append(meter)
    return energies, missing


def _energy(site: Site, meter: str, registers: Mapping[PointId, Register], start_s: float, end_s: float) -> MeterEnergy:
    point = register_point(site, meter)
    if point is None or point not in registers:
        raise ReportError(f"{meter}: its register was never read; check the collector and the meter's link")
    design = site.equipment[meter].design
    return register_energy(
        registers[point].series,
        start_s,
        end_s,
        max_gap_s=max_gap_s(site, point),
        coarse=(registers[point].raw_from_s, 2 * BUCKET_S),
        rollover_j=design.get("register_rollover_j", _register_end_j(site, point)),
        replaced_s=[design["replaced_s"]] if "replaced_s" in design else [],
    )


def _register_end_j(site: Site, point: PointId) -> float | None:
    """Where a meter's register rolls over by its profile [J], None where that does not say."""
    equipment, _, name = point.partition("/")
    profiles = [load_profile(source.profile) for source in site.equipment[equipment].sources]
    found = next((p for profile in profiles for p in profile.points if p.name == name), None)
    return None if found is None or math.isnan(found.counter_end) else found.counter_end


def _period(account: Account, start_s: float, end_s: float) -> Period:
    zone = account.site.timezone
    return Period(
        start=iso(account.start_s, zone),
        end=iso(account.end_s, zone),
        start_s=account.start_s,
        end_s=account.end_s,
        hours=(account.end_s - account.start_s) / 3600,
        asked_start=iso(start_s, zone),
        asked_end=iso(end_s, zone),
    )


def _meter_row(account: Account, meter: str) -> MeterRow:
    energy, zone = account.energies[meter], account.site.timezone
    first_s, last_s = account.start_s, account.end_s
    return MeterRow(
        meter=meter,
        measures=account.site.equipment[meter].meters,
        role=_role(account.limits, meter),
        register_point=energy.point,
        register_start_kwh=energy.first_j / J_PER_KWH,
        register_end_kwh=energy.last_j / J_PER_KWH,
        energy_kwh=account.energy_j(meter) / J_PER_KWH,
        good_percent=good_percent(energy, first_s, last_s),
        rollovers=energy.rollovers,
        replacements=energy.replacements,
        gaps=tuple(_gap_row(g, zone) for g in energy.gaps if g.start_s < last_s and g.end_s > first_s),
    )


def _gap_row(gap: Gap, zone: str) -> GapRow:
    return GapRow.model_validate(
        {
            "start": iso(gap.start_s, zone),
            "end": iso(gap.end_s, zone),
            "seconds": gap.end_s - gap.start_s,
            "how": gap.how,
            "energy_kwh": gap.energy_j / J_PER_KWH,
        }
    )


def _role(limits: Boundary, meter: str) -> str:
    for role, meters in (("total", limits.total), ("it_less", limits.it_less), ("it", limits.it)):
        if meter in meters:
            return role
    return next(part for part, meters in limits.parts.items() if meter in meters)


def _pump_rows(account: Account) -> tuple[PumpRow, ...]:
    site, limits = account.site, account.limits
    metered = {site.equipment[m].meters for m in account.energies}
    return tuple(
        PumpRow.model_validate({"equipment": e.id, "side": pump_side(site, e.id, limits), "metered": e.id in metered})
        for e in site.equipment.values()
        if e.kind in {"cdu", "sidecar"}
    )


def _file_hash(path: str) -> str:
    file = Path(path)
    return hashlib.sha256(file.read_bytes()).hexdigest() if path and file.is_file() else ""


def _software() -> str:
    try:
        return f"coldplate {version('coldplate')}"
    except PackageNotFoundError:
        return "coldplate (not installed)"

"""The site as the API shows it."""

from __future__ import annotations

from api.live import per_gpu
from api.site_answers import (
    Carbon,
    Coolant,
    EnvelopeInfo,
    EquipmentInfo,
    GroupInfo,
    LimitInfo,
    PointInfo,
    SiteInfo,
    TariffInfo,
)
from devices.profiles import ProfilePoint, load_profile
from plant.leases import Envelope
from plant.points import Point
from plant.topology import CoolingGroup, Equipment, Site


def site_info(site: Site) -> SiteInfo:
    """Everything that a page needs to draw the site."""
    tariff = site.tariff
    return SiteInfo(
        id=site.id,
        name=site.name,
        name_zh=site.name_zh,
        timezone=site.timezone,
        coolant=Coolant(fluid=site.coolant, glycol_percent=site.glycol_percent),
        gpus_per_rack=site.gpus_per_rack,
        equipment=[_equipment(site, e) for e in site.equipment.values()],
        groups=[_group(site, g) for g in site.groups.values()],
        limits=[
            LimitInfo(id=v.id, quantity=v.quantity, minimum=v.minimum, maximum=v.maximum, source=v.source)
            for v in site.limits.values()
        ],
        tariff=TariffInfo(
            currency=tariff.currency,
            energy_per_kwh=tariff.energy_per_kwh,
            demand_per_kw_month=tariff.demand_per_kw_month,
            source=tariff.source,
        ),
        carbon=Carbon(kg_per_kwh=site.carbon_kg_per_kwh, source=site.carbon_source),
    )


def _equipment(site: Site, equipment: Equipment) -> EquipmentInfo:
    declared = {p.name: p for s in reversed(equipment.sources) for p in load_profile(s.profile).points}
    points = [p for p in site.points_of(equipment.id) if not per_gpu(p.id)]
    return EquipmentInfo(
        id=equipment.id,
        kind=equipment.kind,
        name=equipment.name or equipment.id,
        name_zh=equipment.name_zh,
        feeds=equipment.feeds,
        fed_by=site.fed_by.get(equipment.id, ()),
        meters=equipment.meters,
        design=dict(equipment.design),
        tags=dict(equipment.tags),
        points=[_point(p, declared.get(p.name)) for p in points],
    )


def _point(point: Point, declared: ProfilePoint | None) -> PointInfo:
    return PointInfo(
        id=point.id,
        name=point.name,
        quantity=point.quantity.value,
        unit=point.unit,
        writable=point.writable,
        minimum=point.minimum,
        maximum=point.maximum,
        period_s=point.period_s,
        max_age_s=point.max_age_s,
        states={str(k): v for k, v in declared.states.items()} if declared else {},
        bits={str(k): v for k, v in declared.bits.items()} if declared else {},
    )


def _group(site: Site, group: CoolingGroup) -> GroupInfo:
    found = {role: site.envelopes.get(point) for role, point in group.commands.items()}
    return GroupInfo(
        id=group.id,
        members=group.members,
        master=group.master,
        racks=group.racks,
        drivable=group.drivable,
        commands=dict(group.commands),
        design=dict(group.design),
        envelopes={role: _envelope(e) for role, e in found.items() if e is not None},
        fallback=dict(group.fallback),
    )


def _envelope(envelope: Envelope) -> EnvelopeInfo:
    return EnvelopeInfo(
        point=envelope.point,
        minimum=envelope.minimum,
        maximum=envelope.maximum,
        max_step=envelope.max_step,
        min_dwell_s=envelope.min_dwell_s,
        dew_point_margin_k=envelope.dew_point_margin_k,
        source=envelope.source,
    )

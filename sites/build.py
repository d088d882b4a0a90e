"""From a checked form to the plant's own types."""

from __future__ import annotations

import math
from collections.abc import Mapping

from plant.errors import ConfigError
from plant.points import Point, PointId
from plant.topology import Climate, Equipment, Limit, Link, SensorFault, Site, Source, Tariff, Workload
from sites.document import Document
from sites.form import EquipmentForm, LimitForm, SiteForm
from sites.groups import drives_of, envelopes_of, group_of
from sites.jobs import job_knowledge
from sites.points import points_of
from sites.service import out_of_service
from sites.tariffs import hourly_prices
from sites.usual_figures import usual_figures

Endpoints = Mapping[str, tuple[str, int]]


def all_points(form: SiteForm) -> dict[PointId, Point]:
    """Every point of the site."""
    points: dict[PointId, Point] = {}
    for equipment in form.equipment:
        points.update(points_of(equipment, form.site.gpus_per_rack))
    return points


def build_site(form: SiteForm, document: Document, endpoints: Endpoints) -> Site:
    """The site; `form` must have no faults, and is `document`'s."""
    points, drives = all_points(form), drives_of(form)
    head, usual = form.site, usual_figures(form)
    return Site(
        id=head.id,
        name=head.name,
        name_zh=head.name_zh,
        path=document.path,
        timezone=head.timezone,
        coolant=head.coolant.fluid,
        glycol_percent=head.coolant.percent,
        gpus_per_rack=head.gpus_per_rack,
        links=_links(form, endpoints),
        equipment={e.id: _equipment(e, usual.get(e.id, {})) for e in form.equipment},
        points=points,
        groups={g.id: group_of(form, g, drives) for g in form.cooling_groups},
        drives=drives,
        envelopes={e.point: e for g in form.cooling_groups for e in envelopes_of(form, g, points)},
        limits={limit.id: _limit(limit) for limit in form.limits},
        tariff=_tariff(form),
        carbon_kg_per_kwh=form.carbon.kg_per_kwh,
        carbon_source=form.carbon.source,
        climate=Climate(**form.climate.model_dump()),
        workload=_workload(form),
        retention=form.retention.model_dump(),
        out_of_service=out_of_service(form),
        jobs=job_knowledge(form, document),
        sensors=tuple(SensorFault(**row.model_dump()) for row in form.sensors),
        objective=form.objective,
        carbon_price_per_kg=form.carbon.price_per_kg,
    )


def _links(form: SiteForm, endpoints: Endpoints) -> dict[str, Link]:
    unknown = set(endpoints) - set(form.links)
    if unknown:
        remedy = f"use one of {', '.join(form.links)}"
        raise ConfigError(f"endpoint given for unknown link {min(unknown)!r}", remedy=remedy)
    links = {}
    for name, link in form.links.items():
        host, port = endpoints.get(name, (link.host, link.port))
        links[name] = Link(id=name, transport=link.transport, host=host, port=port, options=dict(link.options))
    return links


def _equipment(form: EquipmentForm, usual: Mapping[str, float]) -> Equipment:
    return Equipment(
        id=form.id,
        kind=form.kind,
        name=form.name or form.id,
        name_zh=form.name_zh,
        sources=tuple(
            Source(profile=s.profile, link=s.link, unit=s.unit, object=s.object or form.id, gpus=s.gpus)
            for s in form.sources
        ),
        feeds=tuple(form.feeds),
        meters=form.meters,
        design={**form.design, **usual},
        tags=dict(form.tags),
    )


def _limit(form: LimitForm) -> Limit:
    return Limit(id=form.id, quantity=form.quantity, minimum=form.min, maximum=form.max, source=form.source)


def _tariff(form: SiteForm) -> Tariff:
    tariff = form.tariff
    heat = tariff.heat
    return Tariff(
        currency=tariff.currency,
        energy_per_kwh=hourly_prices(tariff.energy_per_kwh),
        demand_per_kw_month=tariff.demand_per_kw_month,
        water_per_m3=tariff.water_per_m3,
        heat_per_kwh=heat.per_kwh if heat else 0.0,
        heat_above_c=heat.above_c if heat else math.inf,
        heat_most_w=heat.most_w if heat and heat.most_w is not None else math.inf,
        source=tariff.source,
    )


def _workload(form: SiteForm) -> Workload:
    """Racks that the file does not name train."""
    racks = {e.id: "training" for e in form.equipment if e.kind == "rack"}
    return Workload(seed=form.workload.seed, racks=racks | dict(form.workload.racks))

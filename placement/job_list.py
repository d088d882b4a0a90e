"""A scheduler's job list, as it comes over HTTP or in a file, made into what forecasts work with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plant.errors import ConfigError
from plant.hostlist import hosts
from plant.records import JobList, JobOutlook
from plant.topology import Site

MOST_JOBS = 5000
_POWER_ERROR = 0.15
"""Where the scheduler does not say how sure it is of a power: public studies find 10-22 %."""
_SEE = "docs/api.md describes the list"
Name = Annotated[str, Field(min_length=1, max_length=200)]
Time = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False, description="[s since 1970, site clock]")]
Spread = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False, description="Standard deviation [s]")]
Kilowatts = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class JobForm(_Form):
    """One job: exactly one of racks and nodes, exactly one of power_kw and gpus; the power is of all its places."""

    id: Name
    racks: Annotated[list[Name], Field(max_length=20_000)] | None = None
    nodes: Annotated[list[Name], Field(max_length=20_000, description="Also ranges: gpu[001-018]")] | None = None
    start_s: Time
    end_s: Time
    power_kw: Kilowatts | None = None
    gpus: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    gpu_type: str = Field(default="", max_length=100, description="A key of the site's jobs.gpu_power_w")
    power_sd_kw: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    start_sd_s: Spread = 0.0
    end_sd_s: Spread = 0.0
    failures_per_h: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    interruptible: Annotated[bool, Field(description="May be stopped and started again from a checkpoint")] = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.racks is None) == (self.nodes is None) or not (self.racks or self.nodes):
            raise ValueError("give exactly one of racks and nodes, with at least one name")
        if (self.power_kw is None) == (self.gpus is None):
            raise ValueError("give exactly one of power_kw and gpus")
        if self.end_s <= self.start_s:
            raise ValueError(f"end_s {self.end_s:.0f} must come after start_s {self.start_s:.0f}")
        return self


class JobListForm(_Form):
    """Every running and queued job that the source knows; it replaces what the same source told before."""

    jobs: Annotated[list[JobForm], Field(max_length=MOST_JOBS)]
    valid_until_s: Time
    source: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[\w.@-]+$")] = "scheduler"

    @model_validator(mode="after")
    def _once(self) -> Self:
        seen: set[str] = set()
        for job in self.jobs:
            if job.id in seen:
                raise ValueError(f"job {job.id!r} stands twice")
            seen.add(job.id)
        return self


def job_list(form: JobListForm, site: Site, actor: str, now_s: float) -> JobList:
    """The record of a list; now_s [s since 1970].

    Raises:
        ConfigError: a rack, node or GPU type is not the site's; names job and field.
    """
    return JobList(
        source=form.source,
        actor=actor,
        at_s=now_s,
        valid_until_s=form.valid_until_s,
        jobs=tuple(_outlook(job, site) for job in form.jobs),
    )


def parsed_list(text: bytes, source: str) -> JobListForm:
    """A list from a file.

    Raises:
        ConfigError: not JSON, or no job list; names job and field.
    """
    try:
        data = json.loads(text)
        return JobListForm.model_validate({"source": source, **data} if isinstance(data, dict) else data)
    except ValidationError as error:
        first = error.errors()[0]
        text_ = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{place_of(first['loc'], data)}: {text_[:1].lower()}{text_[1:]}", remedy=_SEE) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON: {error}", remedy=_SEE) from error


def place_of(loc: Sequence[str | int], data: object) -> str:
    """A validation error's place in words: an item of a list that has an `id` is called by it."""
    words: list[str] = []
    for part in loc:
        data = _part(data, part)
        name = data.get("id") if isinstance(part, int) and isinstance(data, Mapping) else None
        if isinstance(name, str) and words:
            words[-1] = f"{words[-1].removesuffix('s')} {name[:200]!r}"
        else:
            words.append(str(part))
    return ".".join(words) or "list"


def _part(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (LookupError, TypeError):
        return None


def _outlook(job: JobForm, site: Site) -> JobOutlook:
    power_w = _power_w(job, site)
    return JobOutlook(
        job=job.id,
        racks=_racks(job, site),
        start_s=job.start_s,
        end_s=job.end_s,
        power_w=power_w,
        power_sd_w=_POWER_ERROR * power_w if job.power_sd_kw is None else 1e3 * job.power_sd_kw,
        start_sd_s=job.start_sd_s,
        end_sd_s=job.end_sd_s,
        failures_per_s=job.failures_per_h / 3600.0,
        interruptible=job.interruptible,
    )


def _racks(job: JobForm, site: Site) -> tuple[str, ...]:
    """One rack for each share of the power: as listed, or that of each node."""
    if job.nodes is not None:
        return tuple(_rack_of(node, job, site) for word in job.nodes for node in _hosts(word, job))
    known = {r.id for r in site.of_kind("rack")}
    for rack in job.racks or ():
        if rack not in known:
            raise ConfigError(f"job {job.id!r}: racks: unknown rack {rack!r}", remedy=f"racks are {_some(known)}")
    return tuple(job.racks or ())


def _hosts(word: str, job: JobForm) -> tuple[str, ...]:
    try:
        return hosts(word)
    except ConfigError as error:
        raise ConfigError(f"job {job.id!r}: nodes: {error.message}", remedy=error.remedy) from error


def _rack_of(node: str, job: JobForm, site: Site) -> str:
    rack = site.jobs.rack_of(node)
    if rack is None:
        remedy = "name it under jobs.nodes in the site file, or give racks"
        raise ConfigError(f"job {job.id!r}: nodes: the rack of {node!r} is not known", remedy=remedy)
    return rack


def _power_w(job: JobForm, site: Site) -> float:
    """As told, or by GPUs: of their type, else an equal part of a rack's design power."""
    if job.power_kw is not None:
        return 1e3 * job.power_kw
    count, types = job.gpus or 0, site.jobs.gpu_power_w
    if job.gpu_type:
        if job.gpu_type not in types:
            remedy = f"jobs.gpu_power_w of the site file has {_some(types)}"
            raise ConfigError(f"job {job.id!r}: gpu_type: unknown type {job.gpu_type!r}", remedy=remedy)
        return count * types[job.gpu_type]
    designs = [r.design["power_w"] for r in site.of_kind("rack") if "power_w" in r.design]
    if not designs or not site.gpus_per_rack:
        raise ConfigError(f"job {job.id!r}: gpus: the racks have no design power", remedy="give power_kw")
    return count * sum(designs) / len(designs) / site.gpus_per_rack


def _some(names: Sequence[str] | set[str] | Mapping[str, float]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:8]) + (" …" if len(shown) > 8 else "") if shown else "none"

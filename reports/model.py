"""The report as data: every number with its inputs, method and quality. Its JSON is the canonical form."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict

Quality = Literal["measured", "calculated", "estimated"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(_Frozen):
    """One number. inputs: points, meters or site settings; quality: how far it rests on registers."""

    code: str
    value: float
    unit: str
    quality: Quality
    method: str
    inputs: tuple[str, ...]


class Note(_Frozen):
    """A finding: code and numbers for translation, and the English text."""

    code: str
    text: str
    params: dict[str, str | float] = {}


class GapRow(_Frozen):
    """A time without good readings, and how it was filled."""

    start: str
    end: str
    seconds: float
    how: Literal["register_difference", "interpolated", "unfilled"]
    energy_kwh: float


class MeterRow(_Frozen):
    """One meter's register over the report's interval. `role`: total, it, it_less, or the part of the cooling."""

    meter: str
    measures: str
    role: str
    register_point: str
    register_start_kwh: float
    register_end_kwh: float
    energy_kwh: float
    good_percent: float
    rollovers: int
    replacements: int
    gaps: tuple[GapRow, ...]


class PumpRow(_Frozen):
    """On which side of the IT meter a CDU's pumps are: moving them changes PUE without changing energy."""

    equipment: str
    side: Literal["it", "facility"]
    metered: bool


class Period(_Frozen):
    """[start, end) in the site's zone, with what was asked for."""

    start: str
    end: str
    start_s: float
    end_s: float
    hours: float
    asked_start: str
    asked_end: str


class ReportModel(_Frozen):
    """An interval's PUE, energies, cost and carbon."""

    schema_version: Literal[1] = 1
    site: str
    site_name: str
    site_name_zh: str
    timezone: str
    period: Period
    category: Literal[1, 2, 3]
    category_place: str
    notation: str
    standard: str
    pue: Figure
    energies: tuple[Figure, ...]
    parts: tuple[Figure, ...]
    cost: Figure
    carbon: Figure
    good_percent_total: float
    good_percent_it: float
    meters: tuple[MeterRow, ...]
    pumps: tuple[PumpRow, ...]
    notes: tuple[Note, ...]
    inputs_sha256: str
    site_file_sha256: str
    software: str


def canonical_json(report: ReportModel) -> str:
    """The report as JSON: the same report gives the same bytes."""
    return json.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=2, sort_keys=True) + "\n"

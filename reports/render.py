"""A report as JSON (canonical) and as PDF (Typst, no system libraries)."""

from __future__ import annotations

import json
from importlib import resources

import typst

from plant.errors import ConfigError
from reports.model import ReportModel, canonical_json
from reports.page import page
from reports.words import LANGUAGES

LATIN_FONT = "Libertinus Serif"
"""Comes with Typst."""
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Serif CJK SC",
    "Source Han Sans SC",
    "Source Han Serif SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
)


def render_json(report: ReportModel) -> bytes:
    """The canonical JSON, UTF-8."""
    return canonical_json(report).encode()


def render_pdf(report: ReportModel, language: str = "en") -> bytes:
    """One A4 report in `en` or `zh`; the same report gives the same bytes.

    Raises:
        ConfigError: unknown language, or no Chinese font on this machine.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"unknown language {language!r}", remedy=f"use one of {', '.join(LANGUAGES)}")
    content = {**page(report, language), "fonts": fonts(language, _families()), "date": _date(report)}
    template = resources.files("reports") / "templates" / "report.typ"
    pdf = typst.compile(
        template.read_bytes(),
        format="pdf",
        sys_inputs={"report": json.dumps(content, ensure_ascii=False)},
        timestamp=int(report.period.end_s),
    )
    if not isinstance(pdf, bytes):
        raise TypeError("typst gave more than one document for one report")
    return pdf


def fonts(language: str, families: frozenset[str]) -> list[str]:
    """Font families to set the page in. Raises: ConfigError, Chinese without a Chinese font."""
    chinese = [f for f in CHINESE_FONTS if f in families]
    if language == "zh" and not chinese:
        remedy = "install one, on Debian `apt install fonts-noto-cjk`, or use language en"
        raise ConfigError("no Chinese font on this machine, so no report in 简体中文", remedy=remedy)
    return [LATIN_FONT, *chinese[:1]]


def _families() -> frozenset[str]:
    return frozenset(typst.Fonts().families())


def _date(report: ReportModel) -> list[int]:
    """The document's date is the period's last day, so that a report can be made again byte for byte."""
    return [int(part) for part in report.period.end[:10].split("-")]

"""The report as a page: the same content as the model, in one language, ready to be set."""

from __future__ import annotations

from reports.model import Figure, MeterRow, Note, ReportModel
from reports.words import METHODS_ZH, NOTES_ZH, word

GAPS_SHOWN = 20
"""Gaps of each meter that the page lists; its JSON has all of them."""

Rows = list[list[str]]
Section = dict[str, str | list[str] | Rows]


def page(report: ReportModel, language: str) -> dict[str, object]:
    """Title, facts, headline, tables and notes as text."""

    def say(code: str) -> str:
        return word(code, language)

    interim = report.notation.startswith("i")
    return {
        "language": language,
        "title": f"{say('title')} – {_name(report, language)}",
        "page": say("page"),
        "notation": report.notation,
        "value": f"{report.pue.value:.3f}",
        "headline": f"{say('interim_pue' if interim else 'pue')} · {say(report.category_place)}",
        "interim": say("interim") if interim else "",
        "facts": _facts(report, language),
        "tables": [t for t in _tables(report, language) if t["rows"]],
        "pumps_why": say("pumps_why"),
        "notes_title": say("notes"),
        "notes": [_note(n, language) for n in report.notes] or [say("no_notes")],
        "proof": [
            [say("inputs"), report.inputs_sha256],
            [say("site_file"), report.site_file_sha256 or "–"],
            [say("software"), report.software],
        ],
    }


def _name(report: ReportModel, language: str) -> str:
    return report.site_name_zh if language == "zh" and report.site_name_zh else report.site_name


def _facts(report: ReportModel, language: str) -> Rows:
    period = report.period
    return [
        [word("site", language), f"{_name(report, language)} ({report.site})"],
        [word("period", language), f"[{period.start}, {period.end})"],
        [word("hours", language), f"{period.hours:.2f}"],
        [word("timezone", language), report.timezone],
        [word("standard", language), report.standard],
        [word("category", language), f"{report.category} – {word(report.category_place, language)}"],
    ]


def _tables(report: ReportModel, language: str) -> list[Section]:
    def table(title: str, heads: list[str], widths: list[str], rows: Rows) -> Section:
        return {
            "title": word(title, language),
            "heads": [word(h, language) for h in heads],
            "widths": widths,
            "rows": rows,
        }

    figures = [*report.energies, *report.parts, report.cost, report.carbon]
    meter_heads = ["meter", "role", "first", "last", "energy", "good", "events"]
    return [
        table("figures", ["figure", "value", "quality", "method"], ["auto", "right", "auto", "fill"],
              [_figure(f, language) for f in figures]),
        table("meters", meter_heads, ["auto", "auto", "right", "right", "right", "right", "right"],
              [_meter(m, language) for m in report.meters]),
        table("gaps", ["meter", "from", "to", "energy", "how"], ["auto", "auto", "auto", "right", "fill"],
              [row for m in report.meters for row in _gaps(m, language)]),
        table("pumps", [], ["auto", "auto", "fill"],
              [[p.equipment, word(f"side_{p.side}", language), word("own_meter" if p.metered else "no_meter", language)]
               for p in report.pumps]),
    ]  # fmt: skip


def _figure(figure: Figure, language: str) -> list[str]:
    method = METHODS_ZH.get(figure.method, figure.method) if language == "zh" else figure.method
    return [word(figure.code, language), f"{figure.value:,.2f} {figure.unit}", word(figure.quality, language), method]


def _meter(row: MeterRow, language: str) -> list[str]:
    return [
        row.meter,
        word(row.role, language),
        f"{row.register_start_kwh:,.2f}",
        f"{row.register_end_kwh:,.2f}",
        f"{row.energy_kwh:,.2f}",
        f"{row.good_percent:.1f} %",
        f"{len(row.gaps)} / {row.rollovers} / {row.replacements}",
    ]


def _gaps(row: MeterRow, language: str) -> Rows:
    """The longest gaps, in order of time, and how many others there are."""
    longest = sorted(range(len(row.gaps)), key=lambda i: row.gaps[i].seconds, reverse=True)
    shown, others = ([row.gaps[i] for i in sorted(part)] for part in (longest[:GAPS_SHOWN], longest[GAPS_SHOWN:]))
    rows = [[row.meter, g.start, g.end, f"{g.energy_kwh:,.2f}", word(g.how, language)] for g in shown]
    if others:
        more = word("more_gaps", language).format(count=len(others), seconds=sum(g.seconds for g in others))
        rows.append([row.meter, "…", "…", f"{sum(g.energy_kwh for g in others):,.2f}", more])
    return rows


def _note(note: Note, language: str) -> str:
    form = NOTES_ZH.get(note.code)
    return form.format(**note.params) if language == "zh" and form else note.text

"""Promises of the report, on the shipped sites and the real embedded store."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from api.power import powers
from plant.errors import ConfigError
from plant.samples import Quality, Reason, SampleBatch, quality_code
from reports.boundary import register_point
from reports.build import build_report
from reports.model import ReportModel
from reports.page import page
from reports.pue import ReportError
from reports.render import fonts, render_json, render_pdf
from reports.words import WORDS
from sites import load_site
from store.embedded import EmbeddedStore

SITES = Path(__file__).parents[2] / "site-configs"
START_S = 1_790_000_000.0
HOURS = 3
POWER_W = {
    "meter-utility": 1.05e6, "meter-ups": 0.9e6, "meter-cdu-1": 8e3, "meter-cdu-2": 8e3, "meter-fws-pumps": 9e3,
    "meter-dry-coolers": 20e3, "meter-chiller": 30e3, "meter-air-unit": 25e3,
}  # fmt: skip


@pytest.fixture(scope="module")
def site():
    """The demo pod."""
    return load_site(SITES / "demo-pod.yaml")


def _rows(meter, power_w, *, step_s=30.0, begin_j=5e12, skip=(0.0, 0.0), first_s=START_S - 600):
    for at_s in np.arange(first_s, START_S + HOURS * 3600 + 600, step_s):
        if not skip[0] <= at_s < skip[1]:
            yield f"{meter}/energy_import", at_s, at_s, begin_j + power_w * (at_s - START_S + 600), 0


@pytest.fixture
async def store(tmp_path, site):
    """An empty embedded store."""
    opened = EmbeddedStore.open(tmp_path / "history.db", site.retention)
    yield opened
    await opened.close()


async def _fill(store, **changes):
    for meter, power_w in POWER_W.items():
        rows = changes.get(meter.replace("-", "_"), _rows(meter, power_w))
        await store.write(SampleBatch.of(list(rows)))


async def _report(site, store, start_s=START_S, end_s=START_S + HOURS * 3600):
    return await build_report(site, store, start_s, end_s)


async def test_a_report_from_the_store(site, store):
    """PUE is sum over sum of the registers, the parts add up to the total, and money and carbon follow."""
    await _fill(store)
    report = await _report(site, store)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6)
    assert (report.category, report.notation) == (1, "iPUE1(2026-09-21:2026-09-21)")
    values = {f.code: f.value for f in (*report.energies, *report.parts)}
    assert values["energy_total"] == pytest.approx(1050 * HOURS)
    assert values["cdu_pumps"] == pytest.approx(16 * HOURS)
    assert values["heat_rejection"] == pytest.approx(50 * HOURS)
    assert values["ups_loss"] == pytest.approx(900 * HOURS * (1 / 0.97 - 1))
    assert sum(values.values()) - values["energy_total"] == pytest.approx(values["energy_total"])
    # 2026-09-21 16:13 to 19:13 in Berlin: all but nothing outside 7 to 20 h, at 0.22
    assert report.cost.value == pytest.approx(1050 * HOURS * 0.22)
    assert report.carbon.value == pytest.approx(1050 * HOURS * 0.36)
    assert report.good_percent_it == pytest.approx(100)
    assert {p.side for p in report.pumps} == {"facility"}
    assert report.notes == ()


async def test_every_number_names_inputs_and_method(site, store):
    """No figure without its inputs, and the JSON agrees with the published schema."""
    await _fill(store)
    report = await _report(site, store)
    for figure in (report.pue, *report.energies, *report.parts, report.cost, report.carbon):
        assert figure.inputs
        assert figure.method
    jsonschema.validate(json.loads(render_json(report)), ReportModel.model_json_schema())
    assert len(report.inputs_sha256) == 64


async def test_other_readings_give_another_hash(site, store):
    """One changed reading changes the fingerprint of the inputs; the same readings give the same bytes."""
    await _fill(store)
    first = await _report(site, store)
    assert render_json(await _report(site, store)) == render_json(first)
    point = "meter-chiller/energy_import"
    at_s = START_S + 15.0
    await store.write(SampleBatch.of([(point, at_s, at_s, 5e12 + 30e3 * 615.0, 0)]))
    assert (await _report(site, store)).inputs_sha256 != first.inputs_sha256


async def test_a_gap_is_listed_and_costs_no_energy(site, store):
    """Half an hour without readings: same PUE, lower coverage, a note, and the gap with how it was filled."""
    rows = _rows("meter-ups", 0.9e6, skip=(START_S + 3600, START_S + 5400))
    await _fill(store, meter_ups=rows)
    report = await _report(site, store)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6)
    assert report.good_percent_it < 84
    [row] = [m for m in report.meters if m.meter == "meter-ups"]
    assert [g.how for g in row.gaps] == ["register_difference"]
    assert [n.code for n in report.notes] == ["note.coverage"]


async def test_a_gap_over_the_periods_edge_is_an_estimate(site, store):
    """How much of a gap's energy fell before the end nobody knows: it is interpolated, and called so, not exact."""
    end_s = START_S + HOURS * 3600
    await _fill(store, meter_ups=_rows("meter-ups", 0.9e6, skip=(end_s - 300, end_s + 300)))
    report = await _report(site, store)
    [row] = [m for m in report.meters if m.meter == "meter-ups"]
    assert [g.how for g in row.gaps] == ["interpolated"]
    [note] = [n for n in report.notes if n.code == "note.edge"]
    assert note.params["kwh"] == pytest.approx(900 * 330 / 3600, abs=8)
    assert page(report, "zh")["notes"][0] != note.text


async def test_the_period_is_what_both_meters_span(site, store):
    """A meter that starts later shortens the period for both sides of the ratio, and the report says so."""
    rows = _rows("meter-ups", 0.9e6, first_s=START_S + 3600)
    await _fill(store, meter_ups=rows)
    report = await _report(site, store)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6)
    assert report.period.hours == pytest.approx(HOURS - 1)
    assert report.notes[0].code == "note.shorter"


async def test_a_register_that_went_back_is_refused_until_declared(site, store):
    """An undeclared fall of an essential register gives an error that says what to declare; declared, the figure."""
    at_s = START_S + 3600
    rows = [
        (p, t, r, v if t < at_s else v % (5e12 + 0.9e6 * (at_s - START_S + 590)), c)
        for p, t, r, v, c in _rows("meter-ups", 0.9e6)
    ]
    await _fill(store, meter_ups=rows)
    with pytest.raises(ReportError, match="declare register_rollover_j or replaced_s in the design of meter-ups"):
        await _report(site, store)
    rollover_j = 5e12 + 0.9e6 * (at_s - START_S + 590)
    meter = replace(site.equipment["meter-ups"], design={"register_rollover_j": rollover_j})
    declared = replace(site, equipment={**site.equipment, "meter-ups": meter})
    report = await _report(declared, store)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6)
    assert next(m for m in report.meters if m.meter == "meter-ups").rollovers == 1


async def test_a_register_rolls_over_where_its_profile_says(tmp_path, store, monkeypatch):
    """Thirty-two bits of watt-hours are over after 4.3 GWh, half a year of a megawatt: counted on, nothing to declare."""
    monkeypatch.setenv("COLDPLATE_PROFILES", str(tmp_path))
    shipped = (SITES.parent / "devices" / "models" / "generic-power-meter.yaml").read_text()
    own = shipped.replace("profile: generic-power-meter", "profile: meter-of-32-bits").replace("type: u64", "type: u32")
    (tmp_path / "meter-of-32-bits.yaml").write_text(own)
    text = (SITES / "demo-pod.yaml").read_text()
    path = tmp_path / "site.yaml"
    path.write_text(
        text.replace("generic-power-meter, link: meters, unit: 2}", "meter-of-32-bits, link: meters, unit: 2}")
    )
    end_j = 2.0**32 * 3600
    rows = [(p, t, r, v % end_j, c) for p, t, r, v, c in _rows("meter-ups", 0.9e6, begin_j=end_j - 5e9)]
    await _fill(store, meter_ups=rows)
    report = await _report(load_site(path), store)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6)
    assert next(m for m in report.meters if m.meter == "meter-ups").rollovers == 1


async def test_no_data_is_a_sentence_not_a_number(site, store):
    """An empty store, an empty interval, a meter never read: each is refused in words."""
    with pytest.raises(ReportError, match="meter-utility"):
        await _report(site, store)
    with pytest.raises(ReportError, match="interval is empty"):
        await _report(site, store, START_S, START_S)
    await _fill(store, meter_ups=[])
    with pytest.raises(ReportError, match="meter-ups"):
        await _report(site, store)


async def test_a_missing_part_is_a_finding(site, store):
    """A pump meter without readings moves its energy to `other` and is named; PUE stays."""
    await _fill(store, meter_fws_pumps=[])
    report = await _report(site, store)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6)
    assert "meter-fws-pumps" in {n.params.get("meter") for n in report.notes}


async def test_cooling_behind_the_it_meter(site, store):
    """A metered CDU fed by the UPS is deducted from the IT energy; one without a meter is a finding."""
    ups = replace(site.equipment["ups"], feeds=(*site.equipment["ups"].feeds, "cdu-1"))
    moved = replace(site, equipment={**site.equipment, "ups": ups})
    await _fill(store)
    report = await _report(moved, store)
    assert report.pue.value == pytest.approx(1050 / (900 - 8))
    assert {p.equipment: p.side for p in report.pumps} == {"cdu-1": "it", "cdu-2": "facility"}
    blind = {k: v for k, v in moved.equipment.items() if k != "meter-cdu-1"}
    report = await _report(replace(moved, equipment=blind), store)
    assert "note.behind_it" in {n.code for n in report.notes}


def _text(file):
    return subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True).stdout.decode()


async def test_pdf_in_both_languages(site, store, tmp_path):
    """Each language gives one A4 page with the figure, the same bytes each time."""
    await _fill(store)
    report = await _report(site, store)
    english, chinese = render_pdf(report, "en"), render_pdf(report, "zh")
    assert english == render_pdf(report, "en")
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler-utils) is not installed, so the text is not checked")
    for content, words in (
        (english, ("Energy report", "1.167", "meter-ups")),
        (chinese, ("能效报告", "1.167", "电表")),
    ):
        file = tmp_path / "report.pdf"
        file.write_bytes(content)
        text = _text(file)
        assert all(w in text for w in words)
        assert report.notation in text


async def test_no_gap_is_left_out_in_silence(site, store):
    """The page lists the twenty longest gaps of a meter and says how many others there are, and how long."""
    holes_s = [(START_S + 600 + 450 * i, 240.0 + 10.0 * (i % 3)) for i in range(22)]
    rows = [r for r in _rows("meter-ups", 0.9e6) if not any(s < r[1] < s + length for s, length in holes_s)]
    await _fill(store, meter_ups=rows)
    report = await _report(site, store)
    [row] = [m for m in report.meters if m.meter == "meter-ups"]
    [table] = [t for t in page(report, "en")["tables"] if t["title"] == "Gaps and how they were filled"]
    assert len(row.gaps) == 22
    assert len(table["rows"]) == 21
    assert table["rows"][-1][-1].startswith("2 shorter ones")
    listed = sum(float(r[3].replace(",", "")) for r in table["rows"])
    assert listed == pytest.approx(sum(g.energy_kwh for g in row.gaps), abs=0.2)


def test_chinese_without_a_font_is_an_instruction():
    """Without a Chinese font the error says what to install; English needs none."""
    with pytest.raises(ConfigError, match="fonts-noto-cjk"):
        fonts("zh", frozenset({"DejaVu Sans"}))
    assert fonts("en", frozenset()) == ["Libertinus Serif"]


def test_every_word_has_both_languages():
    """No word of the report is left out in either language."""
    assert all(en.strip() and zh.strip() for en, zh in WORDS.values())


async def test_the_other_site_needs_no_change(tmp_path):
    """The small lab, with a sidecar and no chiller, gives its report by the same code."""
    lab = load_site(SITES / "small-lab.yaml")
    store = EmbeddedStore.open(tmp_path / "lab.db", lab.retention)
    for meter in lab.of_kind("meter"):
        power_w = {"meter-utility": 160e3, "meter-ups": 130e3}.get(meter.id, 2e3)
        await store.write(SampleBatch.of(list(_rows(meter.id, power_w))))
    report = await _report(lab, store)
    await store.close()
    assert report.pue.value == pytest.approx(160 / 130)
    assert {p.equipment for p in report.pumps} == {"cdu", "sidecar"}


async def test_days_are_read_from_buckets_and_their_end_from_raw(site, store):
    """An interval longer than the raw part gives the same figures from the last values of its buckets."""
    days = 4
    for meter, power_w in POWER_W.items():
        times = np.arange(START_S - 3600, START_S + days * 86400 + 600, 50.0)
        rows = [(f"{meter}/energy_import", t, t, 5e12 + power_w * (t - START_S), 0) for t in times]
        await store.write(SampleBatch.of(rows))
    report = await _report(site, store, START_S, START_S + days * 86400)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6, rel=1e-4)
    assert report.energies[0].value == pytest.approx(1050 * 24 * days, rel=1e-3)
    assert report.period.hours == pytest.approx(24 * days)
    assert report.notes == ()


async def test_an_interval_of_days_is_fully_covered_by_meters_that_are_read_often(site, store):
    """Every twenty seconds for four days: what is read as last values of buckets is no gap, a hole in the raw end is one."""
    days, hole_s = 4, START_S + 4 * 86400 - 7200
    for meter, power_w in POWER_W.items():
        times = np.arange(START_S - 3600, START_S + days * 86400 + 600, 20.0)
        times = times[(times < hole_s) | (times >= hole_s + 1200)] if meter == "meter-ups" else times
        rows = [(f"{meter}/energy_import", t, t, 5e12 + power_w * (t - START_S), 0) for t in times]
        await store.write(SampleBatch.of(rows))
    report = await _report(site, store, START_S, START_S + days * 86400)
    assert report.pue.value == pytest.approx(1.05e6 / 0.9e6, rel=1e-4)
    assert report.good_percent_total == pytest.approx(100.0)
    [gap] = next(m for m in report.meters if m.meter == "meter-ups").gaps
    assert gap.seconds == pytest.approx(1220.0)
    assert report.notes == ()


async def _fill_days(store, start_s, days, bad_every=0):
    """Both essential meters every twenty seconds, one hour more at both ends; every so many-th reading is BAD."""
    times = np.arange(start_s - 3600, start_s + days * 86400 + 3600, 20.0)
    bad = np.arange(len(times)) % bad_every == 3 if bad_every else np.zeros(len(times), dtype=bool)
    silent = quality_code(Quality.BAD, Reason.NO_COMM)
    for meter in ("meter-utility", "meter-ups"):
        values = np.where(bad, np.nan, 5e12 + POWER_W[meter] * (times - start_s))
        point = f"{meter}/energy_import"
        rows = zip(times.tolist(), values.tolist(), np.where(bad, silent, 0).tolist(), strict=True)
        await store.write(SampleBatch.of([(point, t, t, v, c) for t, v, c in rows]))


async def test_a_period_whose_raw_samples_are_forgotten_is_whole(site, tmp_path):
    """A year is reported in the weeks after it: from buckets alone no quarter of an hour is missing at its end."""
    start_s, days = 1_790_114_400.0, 3  # midnight in Berlin
    store = EmbeddedStore.open(tmp_path / "short.db", {**site.retention, "raw_days": 0.5})
    await _fill_days(store, start_s, days)
    await store.maintain(start_s + (days + 2) * 86400)
    report = await _report(site, store, start_s, start_s + days * 86400)
    await store.close()
    assert report.period.hours == 24 * days
    assert report.energies[0].value == pytest.approx(1050 * 24 * days)
    assert not [n for n in report.notes if n.code == "note.shorter"]


async def test_a_missed_answer_now_and_then_costs_no_bucket(site, store):
    """One bad reading in every quarter of an hour: the register was read beside it, so the whole period is known."""
    start_s, days = 1_790_114_400.0, 4
    await _fill_days(store, start_s, days, bad_every=40)
    report = await _report(site, store, start_s, start_s + days * 86400)
    assert report.period.hours == 24 * days
    assert report.good_percent_it == pytest.approx(100.0)


async def test_two_registers_for_one_feed_are_refused(site, store):
    """A second meter at the utility feed: its energy may be the other half, or the same again, and a report can't know."""
    second = replace(site.equipment["meter-utility"], id="meter-utility-b")
    point = replace(site.points["meter-utility/energy_import"], id="meter-utility-b/energy_import", equipment=second.id)
    both = replace(site, equipment={**site.equipment, second.id: second}, points={**site.points, point.id: point})
    await _fill(store)
    await store.write(SampleBatch.of(list(_rows(second.id, 0.5e6))))
    with pytest.raises(ReportError, match="utility is measured by meter-utility and meter-utility-b"):
        await _report(both, store)


def _with_pdus(path, *, half=False):
    """The demo pod with two PDUs below its UPS, each with a meter; half: rows 5 to 8 hang on the UPS itself."""
    rows = [", ".join(f"rack-0{n}" for n in numbers) for numbers in (range(1, 5), range(5, 9))]
    fed = f"pdu-a, {rows[1]}" if half else "pdu-a, pdu-b"
    text = (
        (SITES / "demo-pod.yaml")
        .read_text()
        .replace(f"feeds: [{', '.join(rows)}], design: {{eff", f"feeds: [{fed}], design: {{eff")
    )
    ends = ("a",) if half else ("a", "b")
    lines = [f"  - {{id: pdu-{end}, kind: pdu, feeds: [{row}]}}\n" for end, row in zip(ends, rows, strict=False)]
    lines += [
        f"  - {{id: meter-pdu-{end}, kind: meter, meters: pdu-{end}, "
        f"sources: [{{profile: generic-power-meter, link: meters, unit: {unit}}}]}}\n"
        for unit, end in enumerate(ends, 40)
    ]
    path.write_text(text.replace("  - {id: meter-ups", "".join(lines) + "  - {id: meter-ups"))
    return load_site(path)


async def test_it_energy_at_the_pdus_is_category_2(tmp_path, store):
    """Metered at every PDU output, IT energy is counted there, further in than at the UPS."""
    await _fill(store)
    for end, power_w in (("a", 0.5e6), ("b", 0.375e6)):
        await store.write(SampleBatch.of(list(_rows(f"meter-pdu-{end}", power_w))))
    report = await _report(_with_pdus(tmp_path / "pdus.yaml"), store)
    assert (report.category, report.category_place, report.notation[:6]) == (2, "pdu_output", "iPUE2(")
    assert report.pue.value == pytest.approx(1.05 / 0.875)
    assert report.notes == ()


async def test_pdus_of_some_racks_only_are_not_the_it_energy(tmp_path, store):
    """A PDU that feeds half the racks leaves out the other half: the UPS feeds them all, so it counts."""
    await _fill(store)
    report = await _report(_with_pdus(tmp_path / "half.yaml", half=True), store)
    assert (report.category, report.pue.value) == (1, pytest.approx(1.05 / 0.9))


def test_the_page_counts_it_power_where_a_report_counts_it_energy(tmp_path):
    """The ratio of the moment has the category of the report, whole or half under PDUs."""
    for half, category, place in ((False, 2, "pdu-a, pdu-b"), (True, 1, "ups")):
        found = powers(_with_pdus(tmp_path / "site.yaml", half=half), lambda _: 1.0)
        assert (found.category, found.it_place) == (category, place)


async def test_a_rack_beside_the_ups_is_a_finding(site, store):
    """IT metered at the UPS, and one rack fed by the utility itself: its energy is not in the IT energy."""
    ups = site.equipment["ups"]
    rack = next(f for f in ups.feeds if f.startswith("rack"))
    utility = replace(site.equipment["utility"], feeds=(*site.equipment["utility"].feeds, rack))
    less = replace(ups, feeds=tuple(f for f in ups.feeds if f != rack))
    moved = replace(site, equipment={**site.equipment, "ups": less, "utility": utility})
    await _fill(store)
    report = await _report(moved, store)
    [note] = [n for n in report.notes if n.code == "note.it_beside"]
    assert note.params == {"equipment": rack}


@pytest.mark.parametrize("profile", ["sunspec-meter", "janitza-umg96", "generic-power-meter"])
def test_what_is_counted_is_what_was_drawn(tmp_path, profile):
    """Of a meter with a register for each direction the one of import, whichever its profile names first."""
    text = (SITES / "demo-pod.yaml").read_text()
    path = tmp_path / "site.yaml"
    path.write_text(text.replace("generic-power-meter, link: meters, unit: 1}", f"{profile}, link: meters, unit: 1}}"))
    assert register_point(load_site(path), "meter-utility") == "meter-utility/energy_import"

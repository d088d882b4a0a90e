"""Every fault of a site file is found, at its line, with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from plant.errors import ConfigError
from sites import load_site
from sites.check import problems

BASE = Path(__file__).with_name("base-site.yaml")
LAB = Path(__file__).parents[2] / "site-configs" / "small-lab.yaml"
LAST = len(BASE.read_text(encoding="utf-8").splitlines())

# what is wrong: (text of the base site, its replacement, line of the fault, words of the message, words of the remedy)
BROKEN: dict[str, tuple[str, str, int, str, str]] = {
    "open bracket": ("[ups, cdu-1]", "[ups, cdu-1", 13, "not YAML", "correct the YAML"),
    "tab": ("  id: base", "\tid: base", 3, "not YAML", "correct the YAML"),
    "repeated key": ("  name: Base", "  id: again", 4, "duplicate key", "correct the YAML"),
    "unknown alias": ("*rack", "*rock", 25, "undefined alias", "correct the YAML"),
    "unknown version": ("schema: 1", "schema: 2", 1, "should be 1", "version of this form"),
    "no version": ("schema: 1\n", "", 1, "key 'schema' is missing", "add `schema: `"),
    "misspelt key": ("feeds: [pump]", "fedes: [pump]", 15, "unknown key 'fedes'", "did you mean 'feeds'"),
    "unknown section": ("workload:", "zzz:", LAST, "unknown key 'zzz'", "delete it"),
    "missing key": ("  timezone: Europe/Berlin\n", "", 2, "key 'timezone' is missing", "IANA name"),
    "text for a number": ("port: 1883", 'port: "1883"', 11, "links.bms.port: input should be a valid integer", "TCP port"),
    "port too high": ("port: 1883", "port: 99999", 11, "less than or equal to 65535", "TCP port"),
    "not a number": ("kg_per_kwh: 0.3", "kg_per_kwh: .nan", 47, "finite", "carbon dioxide"),
    "number for a list": ("feeds: [pump]", "feeds: 7", 15, "valid list", "never in a circle"),
    "unknown kind": ("kind: pump", "kind: pumpe", 16, "equipment[3].kind", "what it is"),
    "id with a slash": ("id: pump", "id: pu/mp", 16, "equipment[3].id", "short name"),
    "unknown coolant": ("fluid: water", "fluid: oil", 7, "found 'oil'", "mixed into the water"),
    "unknown timezone": ("Europe/Berlin", "Europe/Berln", 5, "unknown timezone", "'Europe/Berlin'"),
    "timezone that is a folder": ("Europe/Berlin", "Europe", 5, "unknown timezone", "did you mean"),
    "timezone out of the folder": ("Europe/Berlin", "../Berlin", 5, "unknown timezone", "Europe/Berlin"),
    "unknown profile": ("generic-cdu", "generic-cdo", 17, "unknown profile 'generic-cdo'", "'generic-cdu'"),
    "unknown profile, nothing near": ("generic-cdu", "zz", 17, "unknown profile 'zz'", "use one of aalc-rpu"),
    "own profile, not looked for": ("generic-cdu", "my-cdu", 17, "unknown profile 'my-cdu'", "in $COLDPLATE_PROFILES"),
    "unknown link": ("link: cdu}", "link: cdo}", 17, "unknown link 'cdo'", "'cdu'"),
    "profile of another kind": ("generic-cdu", "generic-chiller", 17, "is for a chiller, not for a cdu", "correct the kind"),
    "transport mismatch": ("link: cdu}", "link: bms}", 17, "speaks modbus-tcp", "modbus-tcp link such as 'cdu'"),
    "id used twice": ("id: pump", "id: ups", 16, "equipment id 'ups' is used twice", "its own id"),
    "unit used twice": ("unit: 3", "unit: 2", 27, "unit 2 at link 'facility' is already used by meter-utility", "own unit"),
    "object used twice": ("object: R2", "object: R1", 25, "object 'R1' at link 'bms' is already used by rack-01", "own object"),
    "address used twice": ("host: 10.0.0.2", "host: 10.0.0.1", 10, "10.0.0.1:502 as link 'cdu'", "correct the port"),
    "rack without power": ("[rack-01, rack-02]}\n  - {id: cooler", "[rack-01]}\n  - {id: cooler", 25, "rack-02: the rack is fed by no power", "UPS"),
    "power from nowhere": ("[ups, cdu-1]", "[cdu-1]", 19, "rack-01: the rack is fed by no power", "utility feed"),
    "rack without cooling": ("manifold, feeds: [rack-01, rack-02]", "manifold, feeds: [rack-01]", 25, "no cooling source", "manifold"),
    "CDU without facility water": ("pump, feeds: [cdu-1]", "pump", 17, "fed by no facility water", "dry cooler"),
    "loop": ("manifold, feeds: [", "manifold, feeds: [pump, ", 18, "circle: cdu-1 > manifold > pump > cdu-1", "never back"),
    "feeds itself": ("pump, feeds: [", "pump, feeds: [pump, ", 16, "circle: pump > pump", "never back"),
    "feeds unknown": ("pump, feeds: [cdu-1]", "pump, feeds: [cdu-1, cdu-2]", 16, "unknown equipment 'cdu-2'", "'cdu-1'"),
    "meter of nothing": ("meters: ups, ", "", 27, "must say what it measures", "add `meters: ID`"),
    "meter of unknown": ("meters: ups", "meters: upps", 27, "unknown equipment 'upps'", "'ups'"),
    "meters on a pump": ("kind: pump, ", "kind: pump, meters: ups, ", 16, "only a meter has `meters`", "remove it"),
    "limit upside down": ("min: 20, max: 43", "min: 44, max: 43", 42, "min 44 is above max 43", "let min be at most max"),
    "limit without bounds": ("min: 2, source", "source", 43, "neither min nor max", "add `min:`"),
    "limit of unknown": ("quantity: dew_point_margin", "quantity: dew", 43, "limits[1].quantity", "what is bounded"),
    "limit id twice": ("id: dew", "id: supply", 43, "limit id 'supply' is used twice", "its own id"),
    "envelope upside down": ("{min: 14, max: 38", "{min: 39, max: 38", 40, "min 39 is above max 38", "let min be at most max"),
    "envelope above limit": ("max: 42", "max: 45", 39, "max 45 is above 43, limit 'supply'", "lower it to 43"),
    "envelope below limit": ("{min: 22", "{min: 19", 39, "min 19 is below 20, limit 'supply'", "raise it to 20"),
    "envelope beyond the device": ("max: 38", "max: 51", 40, "max 51 is above 50, the range of cooler/leaving", "lower it to 50"),
    "envelope below the device": ("{min: 14", "{min: 7", 40, "min 7 is below 8, the range of cooler/leaving", "raise it to 8"),
    "design outside": ("supply_temperature_c: 32", "supply_temperature_c: 43", 36, "design supply_temperature_c 43 is outside", "widen"),
    "no design": ("      facility_supply_temperature_c: 27\n", "", 35, "has no design setpoint", "facility_supply_temperature_c"),
    "step below resolution": ("max_step: 1.5", "max_step: 0.001", 40, "below the device's resolution 0.01", "at least 0.01"),
    "step of nothing": ("max_step: 1.5", "max_step: 0", 40, "greater than 0", "largest change"),
    "thin dew point margin": ("margin_k: 3", "margin_k: 1", 39, "dew_point_margin_k 1 is below 2", "raise it to 2"),
    "no dew point margin": (" dew_point_margin_k: 3,", "", 39, "no dew_point_margin_k", "add `dew_point_margin_k: 2`"),
    "unknown role": ("      supply_temperature: cdu-1/", "      supply: cdu-1/", 33, "cooling_groups[0].commands.supply", "which point takes"),
    "unknown point": ("cdu-1/supply_temperature_setpoint", "cdu-1/supply_temprature_setpoint", 33, "unknown point", "'cdu-1/supply_temperature_setpoint'"),
    "read-only point": ("cdu-1/supply_temperature_setpoint", "cdu-1/tcs_supply_temperature", 33, "a read-only temperature", "supply_temperature_setpoint"),
    "point of another quantity": ("cdu-1/supply_temperature_setpoint", "cdu-1/differential_pressure_setpoint", 33, "a writable differential pressure", "supply_temperature_setpoint"),
    "point of another device": ("supply_temperature: cdu-1/supply_temperature_setpoint", "supply_temperature: cooler/leaving_temperature_setpoint", 33, "goes to cooler, but the master is cdu-1", "point of the master"),
    "unknown member": ("members: [cdu-1]", "members: [cdu-1, pump]", 30, "member 'pump' is no CDU", "use one of cdu-1"),
    "master no member": ("master: cdu-1", "master: cdu-2", 31, "master 'cdu-2' is not a member", "'cdu-1'"),
    "not within what": ("      facility_supply_temperature: {min: 14, max: 38, max_step: 1.5, min_dwell_s: 300, source: test}\n", "", 38, "does not say within what", "add `facility_supply_temperature"),
    "no command": ("      facility_supply_temperature: cooler/leaving_temperature_setpoint\n", "", 39, "no command names its point", "under `commands`"),
    "tower of another kind": ("      facility_supply_temperature: cooler/leaving_temperature_setpoint\n", "      facility_supply_temperature: cooler/leaving_temperature_setpoint\n      tower_temperature: cooler/leaving_temperature_setpoint\n", 35, "belongs to no cooling tower", "use one of"),
    "air of another kind": ("      facility_supply_temperature: cooler/leaving_temperature_setpoint\n", "      facility_supply_temperature: cooler/leaving_temperature_setpoint\n      air_temperature: cooler/leaving_temperature_setpoint\n", 35, "belongs to no air unit", "use one of"),
    "enables writing": ("schema: 1", "schema: 1\nenable_writing: true", 2, "attempt to enable writing", "advisory mode"),
    "group in auto": ("    master: cdu-1", "    master: cdu-1\n    mode: auto", 32, "attempt to enable writing", "advisory mode"),
    "equipment writable": ("kind: pump, ", "kind: pump, writable: true, ", 16, "attempt to enable writing", "delete it"),
    "overlapping hours": ('"22-06": 0.1', '"22-06": 0.1, "05-07": 0.3', 46, "hour 5 has two prices", "not overlap"),
    "no hours": ('"22-06"', '"22 to 6"', 46, "no range of hours", '"07-20"'),
    "hours without price": ('default: 0.2, "22-06"', '"22-06"', 46, "no price for hour 6", "add `default`"),
    "workload of unknown": ("{rack-02: idle}", "{rack-20: idle}", 48, "unknown rack 'rack-20'", "'rack-02'"),
    "rule faster than dwell": ("    master: cdu-1", "    master: cdu-1\n    rule: {every_s: 60, source: t, resets: {facility_supply_temperature: {start: 27, min: 20, max: 29, trim: 0.2, respond: -0.3, respond_max: -1}}}", 32, "the rule moves every 60 s, but min_dwell_s is 300", "give at least 300"),
    "rule of unknown role": ("    master: cdu-1", "    master: cdu-1\n    rule: {every_s: 300, source: t, resets: {flow: {start: 27, min: 20, max: 29, trim: 0.2, respond: -0.3, respond_max: -1}}}", 32, "the rule moves 'flow'", "facility_supply_temperature"),
    "rule beyond the envelope": ("    master: cdu-1", "    master: cdu-1\n    rule: {every_s: 300, source: t, resets: {facility_supply_temperature: {start: 27, min: 20, max: 39, trim: 0.2, respond: -0.3, respond_max: -1}}}", 32, "do not ascend within what may be written", "14 to 38"),
    "rule with one sign": ("    master: cdu-1", "    master: cdu-1\n    rule: {every_s: 300, source: t, resets: {facility_supply_temperature: {start: 27, min: 20, max: 29, trim: -0.2, respond: -0.3, respond_max: -1}}}", 32, "must have opposite signs", "trim save energy"),
    "rule that answers little": ("    master: cdu-1", "    master: cdu-1\n    rule: {every_s: 300, source: t, resets: {facility_supply_temperature: {start: 27, min: 20, max: 29, trim: 0.2, respond: -0.3, respond_max: -0.1}}}", 32, "respond_max is smaller than respond", "at least -0.3"),
    "merged source": ("- {profile: gpu-node, link: bms}", "- {profile: gpu-nod, link: bms}", 24, "unknown profile 'gpu-nod'", "'gpu-node'"),
    "leaf of a stray node": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: [n1]}, leaves: {l1: [n1, n9]}}", 2, "node 'n9' of leaf 'l1' stands in no rack", "jobs.nodes"),
    "node in two leaves": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: [n1]}, leaves: {l1: [n1], l2: [n1]}}", 2, "node 'n1' stands in l1 and l2", "keep it"),
    "leaf of no words": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: [n1]}, leaves: {l1: ['n[']}}", 2, "'n[' is no list of hosts", "one word"),
    "name of a stray node": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: [n1]}, names: {k8s: {n9: ip-9}}}", 2, "node 'n9' stands in no rack", "names are NODE: NAME THERE"),
    "names of other length": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: ['n[1-2]']}, names: {k8s: {'n[1-2]': ip}}}", 2, "'n[1-2]' is 2 nodes and 'ip' is 1", "one length"),
    "node of two names": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: ['n[1-2]']}, names: {k8s: {n1: a, 'n[1-2]': 'b[1-2]'}}}", 2, "node 'n1' has two names there", "one name"),
    "node of no name": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: [n1]}, names: {k8s: {n1: ''}}}", 2, "'n1' has an empty name there", "one name"),
    "two nodes of one name": ("schema: 1", "schema: 1\njobs: {nodes: {rack-02: [n1, n2]}, names: {k8s: {n1: n2}}}", 2, "nodes 'n1' and 'n2' are both 'n2' there", "a name of its own"),
    "GPUs of no GPU source": ("object: R1}", "object: R1, gpus: 1}", 23, "profile 'dsx-rack' takes no `gpus`", "gpu-node takes it"),
    "more GPUs than a rack has": ("{profile: gpu-node, link: bms}", "{profile: gpu-node, link: bms, gpus: 3}", 24, "3 GPUs are told of, a rack has 2", "name fewer"),
}  # fmt: skip


def _broken(tmp_path: Path, old: str, new: str) -> Path:
    text = BASE.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{old!r} is not in the base site"
    path = tmp_path / "site.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_named_with_its_line_and_remedy(name: str, tmp_path: Path) -> None:
    """One broken spot gives a problem at its line, saying what is wrong and what to do."""
    old, new, line, message, remedy = BROKEN[name]
    found = problems(_broken(tmp_path, old, new))
    fit = [p for p in found if message in p.message and remedy in p.remedy]
    assert fit, f"expected {message!r} and {remedy!r}, found {[str(p) for p in found]}"
    assert fit[0].where == f"{tmp_path / 'site.yaml'}:{line}"
    assert fit[0].severity == "fault"


@pytest.mark.parametrize("name", BROKEN)
def test_a_faulty_site_does_not_load(name: str, tmp_path: Path) -> None:
    """load_site raises the first fault as ConfigError with place and remedy."""
    old, new, *_ = BROKEN[name]
    path = _broken(tmp_path, old, new)
    with pytest.raises(ConfigError) as raised:
        load_site(path)
    assert raised.value.where.startswith(str(path))
    assert raised.value.remedy


def test_the_base_site_has_no_problem() -> None:
    """The table's starting point is sound, so that each fault is the table's own."""
    assert problems(BASE) == []


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    """Faults of form and of meaning in different places come out of one run, in the order of lines."""
    path = _broken(tmp_path, "feeds: [pump]", "fedes: [pump]")
    text = path.read_text(encoding="utf-8").replace("currency: EUR", "currency: euro").replace("id: dew", "id: supply")
    path.write_text(text.replace("master: cdu-1", "master: cdu-7"), encoding="utf-8")
    found = problems(path)
    lines = [int(p.where.rpartition(":")[2]) for p in found]
    assert lines == sorted(lines)
    for words in ("unknown key 'fedes'", "tariff.currency", "used twice", "master 'cdu-7'"):
        assert any(words in p.message for p in found), words


def test_a_missing_meter_is_only_a_warning(tmp_path: Path) -> None:
    """Without an energy meter the site loads, but the file is told that there will be no PUE."""
    old = "  - {id: meter-ups, kind: meter, meters: ups, sources: [{profile: generic-power-meter, link: facility, unit: 3}]}\n"
    path = _broken(tmp_path, old, "")
    (warning,) = problems(path)
    assert warning.severity == "warning"
    assert "no PUE" in warning.message
    assert "one for each rack" in warning.remedy
    assert load_site(path).id == "base"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "must be a mapping"),
        (b"- a\n", "must be a mapping"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: \x00", "not YAML"),
        (b"a: !!python/object:os.system x", "not YAML"),
        (b"a: !!int x", "not YAML"),
        (b"&a [*a]", "must be a mapping"),
        (b"[" * 400, "not YAML"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
    ],
)
def test_what_is_no_site_file_at_all_is_one_clear_problem(raw: bytes, message: str, tmp_path: Path) -> None:
    """Garbage of any sort gives one problem with a line, and no other exception."""
    path = tmp_path / "site.yaml"
    path.write_bytes(raw)
    (problem,) = problems(path)
    assert message in problem.message
    assert problem.where.startswith(f"{path}:")


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """A path that leads nowhere says so."""
    (problem,) = problems(tmp_path / "none.yaml")
    assert "can't be read" in problem.message


def test_a_pressure_has_no_dew_point_margin(tmp_path: Path) -> None:
    """A margin makes sense for temperatures only."""
    site = LAB.read_text(encoding="utf-8")
    path = tmp_path / "site.yaml"
    path.write_text(site.replace("max_step: 10000, ", "max_step: 10000, dew_point_margin_k: 3, "), encoding="utf-8")
    (problem,) = problems(path)
    assert "only a temperature" in problem.message


def test_a_group_without_dew_point_can_not_keep_a_margin(tmp_path: Path) -> None:
    """A margin needs a member that measures the room's dew point."""
    site = LAB.read_text(encoding="utf-8")
    path = tmp_path / "site.yaml"
    path.write_text(
        site.replace("min_dwell_s: 600, ", "min_dwell_s: 600, dew_point_margin_k: 3, ", 1), encoding="utf-8"
    )
    (problem,) = problems(path)
    assert "no member measures" in problem.message


def test_a_second_meter_and_a_feed_without_one_are_warnings(tmp_path: Path) -> None:
    """What a report refuses later is told beforehand: two registers for one feed, and one of two feeds without any."""
    text = BASE.read_text(encoding="utf-8")
    line = next(row for row in text.splitlines() if "kind: meter" in row and "meters: utility" in row)
    twice = line.replace("id: meter-utility", "id: meter-b").replace("unit: 2", "unit: 9")
    path = tmp_path / "site.yaml"
    path.write_text(text.replace(line, f"{line}\n{twice}"), encoding="utf-8")
    (warning,) = problems(path)
    assert warning.severity == "warning"
    assert "utility has an energy meter already, meter-utility" in warning.message
    feed = next(row for row in text.splitlines() if "kind: utility" in row)
    path.write_text(text.replace(feed, f"{feed}\n{feed.replace('id: utility', 'id: utility-b')}"), encoding="utf-8")
    assert any("no energy meter at a utility feed" in p.message for p in problems(path))

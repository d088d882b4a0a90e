"""What load_site makes of the shipped sites and of garbage."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant.errors import ConfigError
from plant.quantities import Quantity
from plant.topology import Site
from sites import load_site
from sites.check import problems
from sites.document import read_document

EXAMPLES = sorted((Path(__file__).parents[2] / "site-configs").glob("*.yaml"))
BASE = Path(__file__).with_name("base-site.yaml").read_text(encoding="utf-8")


def _example(name: str) -> Site:
    return load_site(next(p for p in EXAMPLES if p.stem == name))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_a_shipped_site_has_no_problem_and_every_part_refers_to_what_exists(path: Path) -> None:
    """Shipped sites are free of faults and warnings, and whatever they name is there."""
    assert problems(path) == []
    site = load_site(path)
    for group in site.groups.values():
        assert group.racks
        assert set(group.commands.values()) <= set(site.envelopes)
        assert set(group.design) == set(group.commands)
    for envelope in site.envelopes.values():
        assert {envelope.point, *envelope.inputs, *envelope.dew_point_points} <= set(site.points)
        assert site.points[envelope.point].writable
    for drive in site.drives.values():
        assert {drive.heartbeat, drive.enable, drive.owner} <= set(site.points)
    assert set(site.fed_by) == set(site.equipment)
    assert {p.link for p in site.points.values()} <= set(site.links)


def test_the_demo_pod_is_one_drivable_group_of_eight_racks() -> None:
    """Merge keys, feeds through the manifold, roles and fallbacks come out as the file means them."""
    site = _example("demo-pod")
    group = site.groups["tcs-1"]
    assert group.drivable
    assert group.racks == tuple(f"rack-{n:02d}" for n in range(1, 9))
    assert group.design["differential_pressure"] == 110_000
    assert site.equipment["rack-05"].design == site.equipment["rack-01"].design
    assert site.equipment["rack-05"].sources[0].object == "R05"
    assert site.equipment["rack-05"].sources[1].object == "rack-05"
    assert site.drives["cdu-2"].heartbeat == "cdu-2/heartbeat"
    assert site.drives["cdu-2"].timeout_s == 60
    assert site.envelopes["cdu-1/supply_temperature_setpoint"].dew_point_points == (
        "cdu-1/room_dew_point",
        "cdu-2/room_dew_point",
    )


def test_the_small_lab_has_an_advisory_sidecar_of_its_own() -> None:
    """A device without a heartbeat makes its group advisory; the other group is not touched by that."""
    site = _example("small-lab")
    assert {g.id: (g.racks, g.drivable) for g in site.groups.values()} == {
        "tcs": (("rack-01", "rack-02"), True),
        "air-assisted": (("rack-03",), False),
    }
    assert not site.of_kind("chiller")
    assert "sidecar" not in site.drives
    assert site.equipment["sidecar"].sources[0].unit == 12
    assert site.gpus_per_rack == 36


def test_points_are_in_si_with_the_devices_resolution() -> None:
    """Ranges and resolutions are converted from the profile's units; per-GPU points are numbered."""
    points = _example("demo-pod").points
    pressure = points["cdu-1/differential_pressure_setpoint"]
    assert (pressure.minimum, pressure.maximum, pressure.quantum) == (20_000, 300_000, 100)
    assert pressure.quantity is Quantity.DIFFERENTIAL_PRESSURE
    assert points["cdu-1/tcs_flow"].quantum is None
    assert points["cdu-1/tcs_flow"].maximum == pytest.approx(5000 / 60_000)
    assert points["rack-03/power"].max_age_s == 250
    gpu = points["rack-08/gpu-71/temperature"]
    assert (gpu.equipment, gpu.name, gpu.link, gpu.max_age_s) == ("rack-08", "temperature", "bms", 30)
    assert "rack-08/gpu-72/temperature" not in points


def test_the_first_source_that_names_a_point_owns_it() -> None:
    """A point has one owner, also where two profiles of an equipment have the same name."""
    assert _example("demo-pod").points["meter-ups/active_power"].link == "meters"


def test_prices_are_by_hour_and_run_over_midnight() -> None:
    """24 prices come from a default and ranges of hours."""
    day = _example("demo-pod").tariff.energy_per_kwh
    assert (len(day), day[6], day[7], day[19], day[20]) == (24, 0.17, 0.22, 0.22, 0.17)
    night = _example("small-lab").tariff.energy_per_kwh
    assert (night[22], night[23], night[0], night[6], night[7]) == (0.24, 0.19, 0.19, 0.19, 0.24)


def test_endpoints_given_at_the_call_win() -> None:
    """A run may serve the links elsewhere; an endpoint of an unknown link is refused."""
    path = next(p for p in EXAMPLES if p.stem == "demo-pod")
    links = load_site(path, {"cdu-1": ("127.0.0.9", 9)}).links
    assert (links["cdu-1"].host, links["cdu-1"].port, links["cdu-2"].port) == ("127.0.0.9", 9, 15022)
    with pytest.raises(ConfigError, match="unknown link 'cdu-9'"):
        load_site(path, {"cdu-9": ("127.0.0.9", 9)})


def test_lines_are_known_for_what_a_merge_key_brought_in() -> None:
    """An overridden key has its own line, an inherited one the line of its anchor."""
    document = read_document(Path(__file__).with_name("base-site.yaml"))
    assert document.where(("equipment", 7, "sources", 0, "object")).endswith(":25")
    assert document.where(("equipment", 7, "kind")).endswith(":21")
    assert document.where(("equipment", 7, "nothing")).endswith(":25")


def _loads_or_says_why(path: Path) -> None:
    found = problems(path)
    sound = all(p.severity == "warning" for p in found)
    with contextlib.nullcontext() if sound else pytest.raises(ConfigError):
        load_site(path)
    for problem in found:
        assert problem.message
        assert problem.remedy
        assert problem.where.startswith(str(path))
        assert "\n" not in str(problem)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file, written again and again."""
    return tmp_path_factory.mktemp("garbage") / "site.yaml"


QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(raw=st.binary(max_size=200) | st.text("{}[]:-,&*!<|>'\"#%@`?\n\t abc1.~", max_size=80).map(str.encode))
@settings(QUICK, max_examples=300)
def test_garbage_raises_nothing_but_config_error(scratch: Path, raw: bytes) -> None:
    """Whatever bytes a file holds, loading ends in ConfigError or in a site."""
    scratch.write_bytes(raw)
    _loads_or_says_why(scratch)


@given(data=st.data())
@QUICK
def test_a_damaged_site_raises_nothing_but_config_error(scratch: Path, data: st.DataObject) -> None:
    """A sound file with a few characters cut out or put in loads or says why not."""
    at = data.draw(st.integers(0, len(BASE)))
    cut = data.draw(st.integers(0, 30))
    junk = data.draw(st.text("{}[]:-, &*<|'\"#\n0a", max_size=5))
    scratch.write_text(BASE[:at] + junk + BASE[at + cut :], encoding="utf-8")
    _loads_or_says_why(scratch)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text("az09-_/ ü", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("az", max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(data=st.data(), value=VALUES)
@QUICK
def test_a_wrong_value_anywhere_raises_nothing_but_config_error(
    scratch: Path, data: st.DataObject, value: object
) -> None:
    """Any value of any type in any place of a sound file loads or is named with its line."""
    site = yaml.safe_load(BASE)
    node = site
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            node[key] = value
            break
        node = node[key]
    scratch.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    _loads_or_says_why(scratch)

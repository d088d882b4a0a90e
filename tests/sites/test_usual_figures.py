"""Design figures that a site file leaves out are taken as usual, told as a warning, and never invented from nothing."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sites import load_site
from sites.check import problems

HALL = Path(__file__).parents[2] / "site-configs" / "hall.yaml"
NAMES = {"cooling-tower": "tower", "economiser": "economiser", "chiller": "chiller", "pump": "fws-pumps"}


@pytest.fixture
def without(tmp_path):
    """The hall's file without some design figures of a kind."""

    def made(kind, *keys, path=HALL):
        document = YAML(typ="safe").load(path)
        for unit in document["equipment"]:
            if unit["kind"] == kind:
                unit["design"] = {key: value for key, value in unit["design"].items() if key not in keys}
        file = tmp_path / "site.yaml"
        YAML(typ="safe").dump(document, file)
        return file

    return made


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("cooling-tower", "fan_power_w", 0.018 * 1.25e6),
        ("cooling-tower", "approach_k", 4.0),
        ("cooling-tower", "heat_w", 0.055 * 4.16e6 * 5.6),
        ("cooling-tower", "flow_m3_s", 1.25e6 / 4.16e6 / 5.6),
        ("chiller", "cop", 6.0),
        ("pump", "efficiency", 0.65),
        ("pump", "head_pa", 200e3),
    ],
)
def test_what_is_left_out_is_usual(without, kind, key, value):
    """One figure missing: taken for the unit's size, and told with the value."""
    path = without(kind, key)
    (told,) = [p for p in problems(path) if "taken as usual" in p.message]
    assert told.severity == "warning"
    assert f"{key}: {value:.3g}" in told.message
    assert load_site(path).of_kind(kind)[0].design[key] == pytest.approx(value)


def test_plates_without_ua_have_four_transfer_units(without):
    """Heat and approach tell it as well; without either it is usual."""
    path = without("economiser", "ua_w_k", "approach_k")
    plates = load_site(path).of_kind("economiser")[0].design
    assert plates["ua_w_k"] == pytest.approx(4.0 * plates["flow_m3_s"] * 4.16e6)
    assert not [p for p in problems(without("economiser", "ua_w_k")) if "taken as usual" in p.message]


def test_likes_tell_more_than_custom(tmp_path):
    """Where other towers have the figure, it is theirs for the unit's size."""
    document = YAML(typ="safe").load(HALL.with_name("six-trains.yaml"))
    units = {unit["id"]: unit for unit in document["equipment"]}
    units["tower-2"]["design"] = {"heat_w": 625000.0, "flow_m3_s": 0.0275}
    file = tmp_path / "site.yaml"
    YAML(typ="safe").dump(document, file)
    tower = load_site(file).equipment["tower-2"].design
    assert tower["fan_power_w"] == pytest.approx(11000.0)
    assert tower["approach_k"] == pytest.approx(3.9)


def test_a_unit_without_any_size_gets_none(without):
    """Neither heat nor flow: nothing to go by, and the controller says what is missing."""
    path = without("cooling-tower", "heat_w", "flow_m3_s")
    assert "heat_w" not in load_site(path).of_kind("cooling-tower")[0].design


@pytest.mark.parametrize("path", sorted(HALL.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_example_sites_tell_everything(path):
    """Nothing is assumed of the project's own plants."""
    assert not [p for p in problems(path) if "taken as usual" in p.message]

"""Rear doors cool racks, and power shelves feed them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sites import load_site
from sites.check import problems

BASE = Path(__file__).with_name("base-site.yaml").read_text(encoding="utf-8")
DOOR = "  - {id: door, kind: rear-door, sources: [{profile: liebert-dcd, link: facility, unit: 9}], feeds: [rack-02]}\n"
SHELF = "  - {id: shelf, kind: power-shelf, sources: [{profile: orv3-hpr-psu, link: facility, unit: 160}], feeds: [rack-02]}\n"


@pytest.fixture
def site_of(tmp_path):
    """A site whose second rack hangs on a rear door and a shelf, with some equipment lines added."""

    def write(*lines):
        text = BASE.replace("manifold, feeds: [rack-01, rack-02]", "manifold, feeds: [rack-01]")
        text = text.replace("kind: ups, feeds: [rack-01, rack-02]", "kind: ups, feeds: [rack-01, shelf]")
        path = tmp_path / "site.yaml"
        path.write_text(text.replace("equipment:\n", "equipment:\n" + "".join(lines)), encoding="utf-8")
        return path

    return write


def test_a_rack_may_be_cooled_by_a_rear_door_and_fed_by_a_shelf(site_of):
    """Such a rack has power and cooling, and both devices' points are the site's."""
    path = site_of(DOOR, SHELF)
    assert [p for p in problems(path) if p.severity == "fault"] == []
    points = load_site(path).points
    assert {"door/exhaust_temperature", "shelf/output_voltage"} <= points.keys()


def test_without_them_the_rack_is_cold_and_dark(site_of):
    """The checks still see what is missing."""
    found = " ".join(p.message for p in problems(site_of()))
    assert "rack-02: the rack is fed by no cooling source" in found
    assert "rack-02: the rack is fed by no power" in found

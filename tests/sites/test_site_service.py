"""Out of service in a site file: what may stand there, when it ends, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sites import load_site
from sites.check import problems

BASE = Path(__file__).with_name("base-site.yaml")
FIRST = len(BASE.read_text(encoding="utf-8").splitlines()) + 2


@pytest.fixture
def site_with(tmp_path):
    """Write the base site with lines under `out_of_service`."""

    def write(*entries):
        path = tmp_path / "site.yaml"
        lines = "".join(f"  - {entry}\n" for entry in entries)
        path.write_text(BASE.read_text(encoding="utf-8") + "out_of_service:\n" + lines, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2027-03-31T18:00", datetime(2027, 3, 31, 16, 0, tzinfo=UTC)),  # Berlin's summer time
        ("2027-01-31T18:00:00", datetime(2027, 1, 31, 17, 0, tzinfo=UTC)),
        ('"2027-01-31 18:00"', datetime(2027, 1, 31, 17, 0, tzinfo=UTC)),
        ("2027-01-31", datetime(2027, 1, 30, 23, 0, tzinfo=UTC)),
        ("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 18, 0, tzinfo=UTC)),
        ("2027-01-31T18:00:00+05:30", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
    ],
)
def test_an_end_is_in_the_sites_time_zone_unless_it_says_another(site_with, until, expected):
    """Quoted or not, with an offset or without."""
    path = site_with(f"{{what: cdu-1, reason: pump seal leaks, until: {until}}}")
    assert problems(path) == []
    (entry,) = load_site(path).out_of_service
    assert (entry.subject, entry.reason) == ("cdu-1", "pump seal leaks")
    assert entry.until_s == expected.timestamp()


def test_points_and_groups_of_points_can_be_named(site_with):
    """A point, a GPU of a rack, and an equipment cover what lies below them and nothing else."""
    path = site_with(
        "{what: cdu-1/tcs_flow, reason: calibration, until: 2027-01-31}",
        "{what: rack-01/gpu-01, reason: replaced, until: 2027-01-31}",
    )
    site = load_site(path)
    flow, gpu = site.out_of_service
    assert [p for p in site.points if flow.covers(p)] == ["cdu-1/tcs_flow"]
    assert {p.rpartition("/")[0] for p in site.points if gpu.covers(p)} == {"rack-01/gpu-01"}


@pytest.mark.parametrize(
    ("entry", "message", "remedy"),
    [
        (
            "{what: cdu-9, reason: broken, until: 2027-01-31}",
            "unknown equipment or point 'cdu-9'",
            "did you mean 'cdu-1'",
        ),
        ("{what: cdu-1, reason: broken, until: tomorrow}", "until 'tomorrow' is no date-time", "ISO date-time"),
        ("{what: cdu-1, reason: broken, until: 2027-13-41T00:00}", "is no date-time", "ISO date-time"),
        ("{what: cdu-1, until: 2027-01-31}", "key 'reason' is missing", "why, for whoever"),
        ("{what: cdu-1, reason: broken}", "key 'until' is missing", "count again"),
        ('{what: cdu-1, reason: "", until: 2027-01-31}', "at least 3 characters", "why, for whoever"),
        ("{what: cdu-1, reason: broken, until: 5}", "valid string", "ISO date-time"),
    ],
)
def test_a_wrong_entry_is_refused_with_line_and_remedy(site_with, entry, message, remedy):
    """Each fault stands at the entry's line."""
    (found,) = problems(site_with(entry))
    assert message in found.message
    assert remedy in found.remedy
    assert found.where.endswith(f":{FIRST}")
    assert found.severity == "fault"


def test_the_same_thing_twice_is_refused(site_with):
    """Two ends for one point would leave people guessing."""
    entry = "{what: cdu-1, reason: broken, until: 2027-01-31}"
    (found,) = problems(site_with(entry, entry))
    assert "cdu-1 is out of service twice" in found.message

"""Numbers of plain JSON messages: what is counted as missed."""

from __future__ import annotations

import pytest

from collector.json_join import JsonJoin
from collector.wiring import Wire
from devices.profiles import Profile


@pytest.fixture
def join():
    """One topic whose messages are numbered."""
    point = {"name": "hot", "path": "p", "quantity": "temperature", "unit": "degC", "min": -20, "max": 120}
    point |= {"period_s": 10, "max_age_s": 300}
    given = {"profile": "own", "kind": "rack", "transport": "mqtt", "revision": "1", "source": "test"}
    given |= {"fallback": {"kind": "none"}, "format": "json", "topic": "t/{object}", "sequence_path": "n"}
    profile = Profile.model_validate(given | {"points": [point]})
    return JsonJoin([Wire(equipment="rack-01", object="a", unit=1, profile=profile)])


@pytest.mark.parametrize(
    ("numbers", "missed"),
    [(("1", "2", "5"), 2), (("7", "1", "2"), 0), (("1", "1e30", "2", "3"), 0), (("1", "9e15", "2", "9e15"), 0)],
)
def test_what_is_missed_is_counted(join, numbers, missed):
    """A gap counts, a restart does not, and a number that is none makes no count that nobody can write down."""
    for number in numbers:
        join.rows("t/a", b'{"p": 1, "n": %s}' % number.encode(), 0.0)
    assert join.missed_messages == missed

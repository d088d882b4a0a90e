"""Numbers of plain JSON messages: what is counted as missed."""

from __future__ import annotations

import math

import pytest

from collector.json_join import JsonJoin
from collector.rows import GOOD
from collector.wiring import Wire
from devices.profiles import Profile
from plant.errors import PermanentError


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


@pytest.mark.parametrize("broken", ['"ERR"', "true", "[1]", "{}"])
def test_one_broken_sensor_costs_the_others_nothing(broken):
    """What is no number is none, and is judged so; the rest of its message counts. A message of nothing else is told."""
    points = [{"name": name, "path": name, "quantity": "temperature", "unit": "degC"} for name in ("hot", "cold")]
    given = {"profile": "own", "kind": "rack", "transport": "mqtt", "revision": "1", "source": "test"}
    given |= {"fallback": {"kind": "none"}, "format": "json", "topic": "t/{object}"}
    profile = Profile.model_validate(given | {"points": [p | {"period_s": 10} for p in points]})
    join = JsonJoin([Wire(equipment="rack-01", object="a", unit=1, profile=profile)])
    hot, cold = join.rows("t/a", b'{"hot": %s, "cold": 21.5}' % broken.encode(), 5.0)
    assert hot[0] == "rack-01/hot"
    assert math.isnan(hot[2])
    assert cold == ("rack-01/cold", 5.0, 21.5, GOOD)
    with pytest.raises(PermanentError, match="expected a number at hot"):
        join.rows("t/a", b'{"hot": %s}' % broken.encode(), 5.0)

"""A cooling unit's resources: when each is asked for, and what an answer is taken for."""

from __future__ import annotations

import math

import msgspec
import pytest

from devices.http import Reply
from devices.http_options import HttpOptions
from devices.profiles import Profile, ProfilePoint
from devices.redfish import RETRY_MISSING_S, CoolingUnit, number
from plant.errors import RefusedError
from plant.quantities import Quantity

HEAD = {"profile": "x", "kind": "cdu", "transport": "http", "format": "redfish", "revision": "1", "source": "a test"}
POINTS = [
    {"name": name, "quantity": "power", "unit": "W", "period_s": period_s, "path": f"{resource}#/v"}
    for name, resource, period_s in (("a", "A", 10), ("b", "B", 10), ("c", "C", 60))
]
PROFILE = Profile.model_validate(HEAD | {"fallback": {"kind": "none"}, "points": POINTS})


class Server:
    """Stands in for the endpoint: answers by the last step of the path, and counts."""

    options = HttpOptions()

    def __init__(self):
        self.answers, self.asked = {}, []

    async def get(self, path, *, etag=""):
        """One answer."""
        name = path.rpartition("/")[2]
        self.asked.append(name)
        return self.answers.get(name, Reply(200, b'{"v": 1.5}'))

    def unit(self):
        """A unit on it."""
        return CoolingUnit(self, PROFILE, "1")


async def test_every_poll_asks_for_what_its_period_makes_due():
    """Polls come a little early or late; a resource is due once a period all the same."""
    server = Server()
    unit = server.unit()
    for poll in range(60):
        await unit.read(10.0 * poll + (0.3, -0.3, 0.1, -0.1)[poll % 4])
    assert [server.asked.count(name) for name in "ABC"] == [60, 60, 10]


async def test_one_forbidden_resource_is_missing_and_the_rest_is_read():
    """403 on one resource is a point that the unit does not give us; it is asked for again later."""
    server = Server()
    server.answers["B"] = Reply(403)
    unit = server.unit()
    assert [point.name for point, _, _ in await unit.read(0.0)] == ["a", "c"]
    assert unit.missing == {"b": "/redfish/v1/ThermalEquipment/CDUs/1/B: HTTP 403"}
    await unit.read(10.0)
    assert server.asked.count("B") == 1
    server.answers.clear()
    assert [point.name for point, _, _ in await unit.read(RETRY_MISSING_S)] == ["a", "b", "c"]
    assert unit.missing == {}


async def test_a_unit_of_which_nothing_may_be_read_is_refused():
    """403 everywhere is about our rights: told as such, and not as points that the unit lacks; also when it comes late."""
    server = Server()
    unit = server.unit()
    server.answers |= dict.fromkeys("AB", Reply(403))
    assert [point.name for point, _, _ in await unit.read(0.0)] == ["c"]
    server.answers["C"] = Reply(403)
    with pytest.raises(RefusedError, match="CDUs/1: HTTP 403; check the user's rights"):
        await unit.read(60.0)
    with pytest.raises(RefusedError, match="HTTP 403"):
        await server.unit().read(0.0)


async def test_nesting_without_end_is_no_json():
    """An answer that no reader can take is told as what it is."""
    server = Server()
    server.answers["A"] = Reply(200, b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(RefusedError, match="does not answer in JSON"):
        await server.unit().read(0.0)


def test_a_number_beyond_any_float_is_no_value():
    """A reading of 400 digits is BAD, and its neighbours are read."""
    point = ProfilePoint.model_validate(POINTS[0])
    assert math.isnan(number(point, msgspec.json.decode(b"1" + b"0" * 400)))
    assert number(point, 12) == 12.0
    assert number(point, True) is None, "a temperature or power of `true` is none"
    assert number(point.model_copy(update={"quantity": Quantity.STATE, "unit": "code"}), True) == 1.0

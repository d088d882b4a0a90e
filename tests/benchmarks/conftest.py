"""A made-up climate and steady work, so that nothing from outside is needed."""

import csv
import math

import pytest

from benchmarks.climate import HOURS, read_epw
from benchmarks.plants import Scenario


@pytest.fixture(scope="session")
def climate(tmp_path_factory):
    """A year between -5 and 35 °C, 50 % relative humidity, six hours behind UTC."""
    path = tmp_path_factory.mktemp("weather") / "made-up.epw"
    head = [["LOCATION", "Nowhere", "-", "-", "made up", "0", "40.0", "-90.0", "-6.0", "200.0"]]
    head += [["DESIGN CONDITIONS", "0"], ["TYPICAL/EXTREME PERIODS", "0"], ["GROUND TEMPERATURES", "0"]]
    head += [["HOLIDAYS/DAYLIGHT SAVINGS", "No", "0", "0", "0"], ["COMMENTS 1", "-"], ["COMMENTS 2", "-"]]
    head += [["DATA PERIODS", "1", "1", "Data", "Sunday", " 1/ 1", "12/31"]]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(head + [_hour(i) for i in range(HOURS)])
    return read_epw("made-up", path)


def _hour(index):
    day, hour = divmod(index, 24)
    month, of_month = _date(day)
    dry_c = 15 - 15 * math.cos(2 * math.pi * (day - 15) / 365) - 5 * math.cos(2 * math.pi * (hour - 3) / 24)
    dew_c = dry_c - 10.5
    weather = [f"{dry_c:.1f}", f"{dew_c:.1f}", "50", "101325", "0", "0", "300", *["0"] * 7, "180", "2.0", "5", "5"]
    rest = ["20", "77777", "9", "999999999", "10", "0.1", "0", "88", "0.2", "0", "1"]
    return [2025, month, of_month, hour + 1, 0, "?9" * 20, *weather, *rest]


def _date(day):
    for month, length in enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1):
        if day < length:
            return month, day + 1
        day -= length
    raise AssertionError


@pytest.fixture
def scenario(climate):
    """Every rack at 70 %."""
    return Scenario(climate=climate, utilisation=lambda _rack, _at_s: 0.7)

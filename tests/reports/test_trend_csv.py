"""Exports as they come: each building system's habits are read as what they mean, or refused at their line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from plant.errors import ConfigError
from reports.trend_csv import number
from reports.trend_table import read_trends

START = datetime(2026, 1, 9, 0, 0, tzinfo=UTC)
N = 5 * 288
TIMES = [START + timedelta(minutes=5 * n) for n in range(N)]
SUPPLY = [31.0 + 0.01 * (n % 50) for n in range(N)]
FLOW = [1234.5 + n % 7 for n in range(N)]
HEAD = ["time", "CDU-1 supply temp (°C)", "CDU-1 flow (l/min)"]


def point(value):
    """As most programs write it."""
    return f"{value:.2f}"


def comma(value):
    """As Germany does, with thousands."""
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def write(path, rows, *, head=HEAD, sep=",", above=(), encoding="utf-8"):
    """A file of rows of cells."""
    lines = [*above, sep.join(head), *(sep.join(row) for row in rows)]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def rows(stamp=datetime.isoformat, value=point):
    """Every row, with its time and numbers in some dress."""
    return [[stamp(t), value(s), value(f)] for t, s, f in zip(TIMES, SUPPLY, FLOW, strict=True)]


def assert_same(table, *, times=True):
    """What was written is what was read."""
    if times:
        assert table.time_s[0] == START.timestamp()
        assert table.step_s == 300.0
    supply, flow = table.of("supply_temperature")[0], table.of("flow")[0]
    assert np.allclose(supply.value, SUPPLY, atol=0.006)
    assert np.allclose(flow.value * 60000, FLOW, atol=0.006)


def us(t):
    """Month first and a clock of twelve hours."""
    return t.strftime("%m/%d/%Y %I:%M:%S %p")


@pytest.mark.parametrize(
    ("stamp", "sep", "value", "encoding"),
    [
        (datetime.isoformat, ",", point, "utf-8-sig"),
        (datetime.isoformat, "\t", point, "utf-16"),
        (lambda t: t.strftime("%d.%m.%Y %H:%M"), ";", comma, "cp1252"),
        (lambda t: t.strftime("%d.%m.%Y %H:%M:%S"), "\t", comma, "utf-8"),
        (us, ",", point, "utf-8"),
        (lambda t: us(t).replace("AM", "a.m.").replace("PM", "p.m."), ",", point, "utf-8"),
        (lambda t: t.strftime("%d/%m/%Y %H:%M"), ",", point, "utf-8"),
        (lambda t: t.strftime("%d-%b-%y %I:%M:%S %p UTC"), ",", point, "utf-8"),
        (lambda t: t.strftime("%Y/%m/%d %H:%M:%S"), "|", point, "utf-8"),
        (lambda t: str(t.timestamp()), ",", point, "utf-8"),
    ],
)
def test_habits_of_building_systems(tmp_path, stamp, sep, value, encoding):
    """Marks, codings, decimal commas with thousands, either order of day and month, clocks of twelve hours."""
    assert_same(read_trends(write(tmp_path / "t.csv", rows(stamp, value), sep=sep, encoding=encoding)))


def test_day_and_month_are_told_apart_by_the_whole_file(tmp_path):
    """Five days of which no field is above twelve: the order in which the file is five days long, not five months."""
    for stamp in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"):
        first = datetime(2026, 2, 3, tzinfo=UTC)
        made = [[(first + timedelta(minutes=5 * n)).strftime(stamp), "31.00", "1200.00"] for n in range(N)]
        table = read_trends(write(tmp_path / "t.csv", made))
        assert (table.time_s[0], table.time_s[-1]) == (first.timestamp(), first.timestamp() + (N - 1) * 300)


def test_lines_above_the_header_and_units_below_it(tmp_path):
    """A title, a site, a blank line; and a line of units that count where the header names none."""
    head = ["Timestamp", "CDU-1 supply temp", "CDU-1 flow"]
    units = ["", "°F", "l/min"]
    made = [[t, f"{float(s) * 1.8 + 32:.3f}", f] for t, s, f in rows()]
    above = ['"Trend report, building 7"', "Site: north", "", "Period,January"]
    assert_same(read_trends(write(tmp_path / "t.csv", [units, *made], head=head, above=above)))


def test_date_and_clock_in_two_columns(tmp_path):
    """They are one time."""
    made = [[t.strftime("%H:%M:%S"), t.strftime("%Y-%m-%d"), *row[1:]] for t, row in zip(TIMES, rows(), strict=True)]
    assert_same(read_trends(write(tmp_path / "t.csv", made, head=["Time", "Date", *HEAD[1:]])))


def test_newest_first_and_lines_told_twice(tmp_path):
    """A file that runs backwards is turned round; a line that is there twice counts once."""
    made = rows()
    made.insert(100, made[100])
    assert_same(read_trends(write(tmp_path / "t.csv", made[::-1])))


def test_no_values_words_and_units_in_cells(tmp_path):
    """Words for nothing are gaps, switches are 0 and 1, a unit behind the number must be the column's."""
    head = [*HEAD, "CDU-1 valve (%)"]
    made = [[*row, "12 %"] for row in rows()]
    for n, word in enumerate(("", "NULL", "No Data", "I/O Timeout", "#VALUE!", "---")):
        made[n][1] = word
    made[7][3], made[8][3] = "ON", "off"
    table = read_trends(write(tmp_path / "t.csv", made, head=head))
    assert np.isnan(table.of("supply_temperature")[0].value[:6]).all()
    assert table.of("valve")[0].value[6:10] == pytest.approx([0.12, 0.01, 0.0, 0.12])
    made[20][1] = "88.1 °F"
    with pytest.raises(ConfigError, match=r"t\.csv:22: CDU-1 supply temp .* '88\.1 °F' is no number"):
        read_trends(write(tmp_path / "t.csv", made, head=head))


def test_a_column_exported_twice(tmp_path):
    """The same column again is left out and named; another one of the same name is refused."""
    made = [[*row, row[1]] for row in rows()]
    table = read_trends(write(tmp_path / "t.csv", made, head=[*HEAD, HEAD[1]]))
    assert_same(table)
    assert len(table.of("supply_temperature")) == 1
    assert table.ignored == (HEAD[1],)
    made[5][3] = "30.00"
    with pytest.raises(ConfigError, match="two columns are called"):
        read_trends(write(tmp_path / "t.csv", made, head=[*HEAD, HEAD[1]]))


def test_local_time_through_the_hour_that_autumn_repeats(tmp_path):
    """With a timezone in the map both hours are there, in their order; without it the file is refused at its line."""
    berlin, first = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 24, 12, tzinfo=UTC)
    made = [
        [(first + timedelta(minutes=5 * n)).astimezone(berlin).strftime("%d.%m.%Y %H:%M"), "31.00", "1200.00"]
        for n in range(N)
    ]
    path, plan = write(tmp_path / "t.csv", made), tmp_path / "m.yaml"
    with pytest.raises(ConfigError, match="is not after the line before") as caught:
        read_trends(path)
    assert "timezone" in caught.value.remedy
    columns = "columns:\n  CDU-1 flow (l/min): {equipment: cdu-1, role: flow}\n"
    plan.write_text(f"timezone: Europe/Berlin\n{columns}")
    table = read_trends(path, plan)
    assert set(np.diff(table.time_s)) == {300.0}
    assert table.time_s[0] == first.timestamp()
    plan.write_text(f"timezone: Europe/Berln\n{columns}")
    with pytest.raises(ConfigError, match="unknown timezone"):
        read_trends(path, plan)


def test_trailing_commas_and_what_is_no_text(tmp_path):
    """Empty cells at the end of lines are no fault; a spreadsheet's own format is named as none."""
    assert_same(read_trends(write(tmp_path / "t.csv", [[*row, ""] for row in rows()])))
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"PK\x03\x04\x14\x00\x00\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        read_trends(path)


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1,5", ",", 1.5), ("1.234,5", ",", 1234.5), ("1.234", ",", 1234.0), ("23.5", ",", 23.5), ("1e3", ",", 1000.0),
        ("1,234.5", ".", 1234.5), ("1,234", ".", 1234.0), ("1 234.5", ".", 1234.5), ("-0.5", ".", -0.5),
        ("1\u00a0234,5", ",", 1234.5), ("+7", ".", 7.0),
    ],
)  # fmt: skip
def test_a_number_in_many_dresses(text, decimal, value):
    """Thousands, spaces between digits, signs."""
    assert number(text, decimal) == value


@pytest.mark.parametrize(
    ("text", "decimal"), [("1,5", "."), ("3.1.4", "."), ("1,2,3", ","), ("twelve", "."), ("5 kW", ".")]
)
def test_what_is_no_number_is_none(text, decimal):
    """A comma where points are decimals, two of them, words, a unit that the column does not have."""
    with pytest.raises(ValueError, match="could not convert"):
        number(text, decimal)


def test_three_decimals_behind_a_comma_are_no_thousands(tmp_path):
    """21,500 between semicolons is twenty-one and a half."""
    file = write(tmp_path / "t.csv", rows(value=lambda v: f"{v:.3f}".replace(".", ",")), sep=";")
    assert_same(read_trends(file))


def test_day_numbers_of_a_spreadsheet(tmp_path):
    """46031.5 is noon of a day, in the map's zone; as seconds it would be a day in 1970."""

    def serial(t):
        return f"{(t.replace(tzinfo=None) - datetime(1899, 12, 30)).total_seconds() / 86400:.8f}"  # noqa: DTZ001

    assert_same(read_trends(write(tmp_path / "t.csv", rows(serial))))


def test_the_name_of_a_zone_needs_a_place(tmp_path):
    """EST is five hours off: refused at its line, read with the place's zone; UTC is what it is in any map."""
    head = ["time", "a"]
    plan = tmp_path / "map.yaml"
    plan.write_text("timezone: America/New_York\ncolumns: {a: {equipment: cdu-1, role: supply_temperature}}")
    local = [[f"{t.astimezone(ZoneInfo('America/New_York')):%m/%d/%Y %H:%M} EST", point(31)] for t in TIMES]
    file = write(tmp_path / "t.csv", local, head=head)
    with pytest.raises(ConfigError, match=r"t.csv:2: .*EST is no one zone; name the place's `timezone`"):
        read_trends(write(tmp_path / "t.csv", local, head=HEAD[:2]))
    assert read_trends(write(file, local, head=head), plan).time_s[0] == START.timestamp()
    universal = [[f"{t:%m/%d/%Y %H:%M} UTC", point(31)] for t in TIMES]
    assert read_trends(write(file, universal, head=head), plan).time_s[0] == START.timestamp()


@pytest.mark.parametrize("header", ["CDU-1 supply temp degF", "CDU-1 supply temp °F", "CDU1_supply_temp_F"])
def test_a_unit_that_ends_the_header_without_brackets(tmp_path, header):
    """75.2 °F are 24 °C."""
    file = write(tmp_path / "t.csv", [[t.isoformat(), "75.2"] for t in TIMES], head=["time", header])
    assert np.allclose(read_trends(file).of("supply_temperature", "cdu-1")[0].value, 24.0)


def test_a_number_that_ends_the_header_is_no_unit(tmp_path):
    """Valve 1 is in per cent as every valve is."""
    file = write(tmp_path / "t.csv", [[t.isoformat(), "75"] for t in TIMES], head=["time", "valve 1"])
    assert np.allclose(read_trends(file).of("valve")[0].value, 0.75)


@pytest.mark.parametrize(("header", "value"), [("CDU-1 supply temp", "75.2"), ("outdoor wet bulb", "65")])
def test_temperatures_that_none_can_be_ask_for_their_unit(tmp_path, header, value):
    """A Fahrenheit that nobody named would be a warm supply."""
    file = write(tmp_path / "t.csv", [[t.isoformat(), value] for t in TIMES], head=["time", header])
    with pytest.raises(ConfigError, match=rf"t.csv:1: column '{header}': .*name its unit"):
        read_trends(file)


def test_other_water_and_air_are_not_the_racks_coolant(tmp_path):
    """Chilled water of 7 °C is no CDU's cold supply, and an air handler's none at all."""
    head = ["time", "CDU-1 supply temp", "Chilled water supply temp", "CDU-1 facility flow", "AHU-1 supply air temp"]
    table = read_trends(write(tmp_path / "t.csv", [[t.isoformat(), "31", "7", "500", "16"] for t in TIMES], head=head))
    assert [(c.header, c.role) for c in table.columns] == [
        (head[1], "supply_temperature"), (head[2], "facility_supply_temperature"), (head[3], "facility_flow")]  # fmt: skip
    assert table.ignored == (head[4],)


@pytest.mark.parametrize(
    ("header", "equipment"),
    [
        ("CDU-A supply temp", "cdu-a"),
        ("Hall 1 CDU 02 supply temp", "hall-1-cdu-2"),
        ("CDU02.SupplyTemp", "cdu-2"),
        ("Rack3 supply temp", "rack-3"),
        ("CDU T supply", "site"),
        ("Supply temp 2", "site"),
    ],
)
def test_whose_a_header_is(tmp_path, header, equipment):
    """Letters, halls before the CDU and words grown together name it, or one CDU's supply met another's return."""
    file = write(tmp_path / "t.csv", [[t.isoformat(), "31"] for t in TIMES], head=["time", header])
    assert [c.equipment for c in read_trends(file).of("supply_temperature")] == [equipment]


def test_shares_of_one_are_not_taken_for_per_cent(tmp_path):
    """A valve told as 0 to 1 would move by less than a per cent and never hunt; a closed one is no fault."""
    moves = [[t.isoformat(), f"{0.5 + 0.4 * (n % 2)}"] for n, t in enumerate(TIMES)]
    with pytest.raises(ConfigError, match=r"t.csv:1: column 'CDU-1 valve': .*never passes 1 %; name its unit"):
        read_trends(write(tmp_path / "t.csv", moves, head=["time", "CDU-1 valve"]))
    table = read_trends(write(tmp_path / "t.csv", moves, head=["time", "CDU-1 valve [1]"]))
    assert table.of("valve")[0].value.max() == pytest.approx(0.9)
    shut = [[t.isoformat(), "0"] for t in TIMES]
    assert read_trends(write(tmp_path / "t.csv", shut, head=["time", "CDU-1 valve"])).of("valve")


def test_a_clock_that_keeps_winter_time_is_no_local_time(tmp_path):
    """Half past two does not exist on that Sunday in Berlin: the zone that fits is named, and read."""
    head, march = ["time", "a"], datetime(2026, 3, 27, tzinfo=UTC)
    times = [march + timedelta(minutes=5 * n) for n in range(N)]
    winter = [[f"{t + timedelta(hours=1):%d.%m.%Y %H:%M}", "31"] for t in times]
    file, plan = write(tmp_path / "t.csv", winter, head=head), tmp_path / "map.yaml"
    columns = "columns: {a: {equipment: cdu-1, role: supply_temperature}}"
    plan.write_text(f"timezone: Europe/Berlin\n{columns}")
    with pytest.raises(
        ConfigError, match=r"not after the line before.*not Europe/Berlin's: name `timezone: Etc/GMT-1`"
    ):
        read_trends(file, plan)
    plan.write_text(f"timezone: Etc/GMT-1\n{columns}")
    assert read_trends(file, plan).time_s.tolist() == [t.timestamp() for t in times]

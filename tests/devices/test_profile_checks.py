"""A profile that can't be right is refused with file, line and remedy."""

from __future__ import annotations

import pytest

from devices.profiles import load_profile, profile_names, read_profile
from plant.errors import ConfigError

HEAD = """profile: test
kind: meter
transport: modbus-tcp
revision: "1"
source: a test
fallback: {kind: none}
readable:
  - {table: holding, first: 0, last: 99}
points:
"""
FIRST = "  - {name: a, quantity: power, unit: W, table: holding, address: 10, type: u32, period_s: 5}\n"
SECOND_LINE = 11


def test_a_point_that_a_profile_has_not_is_a_key_error():
    """As for a dict; a StopIteration would end whoever iterates."""
    profile = load_profile("generic-cdu")
    assert profile.point(profile.points[0].name) is profile.points[0]
    with pytest.raises(KeyError, match="nothing-such"):
        profile.point("nothing-such")


def written(tmp_path, second, first=FIRST, head=HEAD):
    """A profile file with two points, the second on line 11."""
    path = tmp_path / "test.yaml"
    path.write_text(head + first + second)
    return path


def point(**fields):
    """A point's line."""
    given = {
        "name": "b",
        "quantity": "power",
        "unit": "W",
        "table": "holding",
        "address": 12,
        "type": "u16",
        "period_s": 5,
    }
    return "  - {" + ", ".join(f"{k}: {v}" for k, v in (given | fields).items()) + "}\n"


@pytest.mark.parametrize(
    ("fields", "text", "remedy"),
    [
        ({"address": 11}, "b overlaps a at address 11", "correct an address or a type"),
        ({"address": 9, "type": "u32"}, "overlaps", "correct an address or a type"),
        ({"name": "a"}, "a is the name of an earlier point too", "a name of its own"),
        ({"scale": 0}, "b: scale 0 is impossible", "give the factor"),
        ({"scale": ".nan"}, "b: scale nan is impossible", "give the factor"),
        ({"scale": ".inf"}, "b: scale inf is impossible", "give the factor"),
        ({"type": "u24"}, "points.1.type: input should be 'u16', 's16'", "compare with a shipped profile"),
        ({"quantity": "warmth"}, "points.1.quantity: input should be", "compare with a shipped profile"),
        ({"colour": "red"}, "points.1.colour: extra inputs are not permitted", "compare with a shipped profile"),
        ({"address": 65_536}, "address 65536 is beyond 65535", "from 0"),
        ({"address": 100}, "outside of what `readable` declares for holding", "widen readable"),
        ({"address": 99, "type": "f32"}, "outside of what `readable` declares", "widen readable"),
        ({"scale_from": "c"}, "no point c in this profile", "name the point with the exponent"),
        ({"scale_from": "b"}, "b is no exponent", "name an integer point"),
        ({"min": 5, "max": 4}, "min 5 is above max 4", "exchange them"),
        ({"type": "f32", "fixed": 3}, "binary fixed point in a float", "remove fixed"),
        ({"type": "s16", "bit": 3}, "bits of a s16 register", "unsigned"),
        ({"bit": 15, "bit_width": 2}, "bit 16 is beyond a u16 register", "wider type"),
        ({"address": 10, "type": "u32", "bit": 3, "name": "c", "table": "coil"}, "table of single bits", "use u16"),
        ({"period_s": 0}, "period 0 s is impossible", "above 0"),
        ({"max_age_s": -5}, "max_age_s -5 is below 0", "leave it out"),
        ({"invalid": [65_536]}, "no u16 register holds 65536", "raw words of that size"),
        ({"invalid": [-1]}, "no u16 register holds -1", "raw words of that size"),
        ({"invalid": [-32_769], "type": "s16"}, "no s16 register holds -32769", "raw words of that size"),
        ({"unit": "furlong"}, "unknown unit 'furlong'; use one of", "compare with a shipped profile"),
        ({"quantity": "energy", "unit": "kW"}, "b: no energy is told in 'kW'", "one that becomes J"),
        ({"quantity": "temperature", "unit": "kPa"}, "b: no temperature is told in 'kPa'", "one that becomes °C"),
        ({"quantity": "differential_pressure", "unit": "K"}, "no differential pressure is told in 'K'", "becomes Pa"),
        ({"rolls_over_at": -5}, "b: rolls_over_at -5 is impossible", "leave it out"),
        ({"max_jump": 0}, "b: max_jump 0 is impossible", "leave it out"),
        ({"address": "true"}, "points.1.address: input should be a valid integer, found True", "shipped profile"),
        ({"address": '"12"'}, "points.1.address: input should be a valid integer, found '12'", "shipped profile"),
        ({"scale": '"0.1"'}, "points.1.scale: input should be a valid number, found '0.1'", "shipped profile"),
        ({"min": "true"}, "points.1.min: input should be a valid number, found True", "shipped profile"),
        ({"max": ".nan"}, "points.1.max: input should be a finite number", "shipped profile"),
        ({"name": "../b"}, "points.1.name: string should match pattern", "shipped profile"),
    ],
)
def test_a_wrong_point_is_refused_with_its_line(tmp_path, fields, text, remedy):
    """The message names the file, the line of the point, what is wrong, and what to do."""
    with pytest.raises(ConfigError) as caught:
        read_profile(written(tmp_path, point(**fields)))
    message = str(caught.value)
    line = 10 if fields.get("address") == 9 else SECOND_LINE
    assert message.startswith(f"{tmp_path / 'test.yaml'}:{line}: ")
    assert text in message
    assert remedy in message
    assert "\n" not in message


def test_a_modbus_point_needs_its_place(tmp_path):
    """Without table and address nobody knows what to read."""
    with pytest.raises(ConfigError, match=r"test.yaml:11: b: has no table or no address; give both"):
        read_profile(written(tmp_path, "  - {name: b, quantity: power, unit: W, period_s: 5}\n"))


def test_a_key_that_is_missing_is_told_at_its_point(tmp_path):
    """What is not written has no line; the point that lacks it has."""
    with pytest.raises(ConfigError, match=r"test.yaml:11: points.1.period_s: field required"):
        read_profile(written(tmp_path, "  - {name: b, quantity: power, unit: W}\n"))


def test_broken_yaml_is_told_with_its_line(tmp_path):
    """A typing error in the file is a line and a remedy too."""
    with pytest.raises(ConfigError, match=r"test.yaml:12: not YAML: .*; correct the file's syntax"):
        read_profile(written(tmp_path, "  - {name: b, quantity: power\n"))


def test_yaml_without_end_is_told(tmp_path):
    """Nesting deeper than any reader goes is no traceback."""
    path = tmp_path / "deep.yaml"
    path.write_text("[" * 3000)
    with pytest.raises(ConfigError, match="not YAML"):
        read_profile(path)


def test_parts_of_one_register_may_share_it(tmp_path):
    """Bit fields without a bit in common, and the register as a whole beside them, are no overlap."""
    register = point(name="whole", quantity="state", unit="code")
    fields = [
        point(name="low", quantity="state", unit="code", bit=0, bit_width=4),
        point(name="high", quantity="state", unit="code", bit=4),
    ]
    assert len(read_profile(written(tmp_path, register + "".join(fields))).points) == 4
    with pytest.raises(ConfigError, match="high overlaps low"):
        read_profile(written(tmp_path, fields[0] + fields[1].replace("bit: 4", "bit: 3")))


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_pass(name):
    """Every profile that is shipped obeys."""
    assert load_profile(name).points


def test_raw_words_of_a_signed_register_may_be_named_either_way(tmp_path):
    """-1 and 0xFFFF are the same 16 bits."""
    assert read_profile(written(tmp_path, point(type="s16", invalid=[-1, 0xFFFF, -32_768]))).points


def test_a_heartbeat_must_be_a_point(tmp_path):
    """A fallback that watches a point which does not exist would never hold."""
    fallback = "fallback: {kind: native_heartbeat, heartbeat: beat, timeout_s: 60}"
    with pytest.raises(ConfigError, match=r"test.yaml:6: no point beat in this profile; name the point"):
        read_profile(written(tmp_path, "", head=HEAD.replace("fallback: {kind: none}", fallback)))


@pytest.mark.parametrize(
    ("fallback", "words"),
    [
        ("kind: native_heartbeat, heartbeat: a, timeout_s: 60, enable: b", "no point b in this profile; .*is taken"),
        ("kind: native_heartbeat, heartbeat: a, timeout_s: 60, owner: c", "no point c in this profile; .*commands"),
        ("kind: native_heartbeat, heartbeat: a", "a time after which it does; name heartbeat and timeout_s"),
        ("kind: native_heartbeat, timeout_s: 60", "lets go by a heartbeat has one"),
    ],
)
def test_a_fallback_is_whole(tmp_path, fallback, words):
    """What is missing would be found out when a device is first written to."""
    with pytest.raises(ConfigError, match=rf"test.yaml:6: .*{words}"):
        read_profile(written(tmp_path, "", head=HEAD.replace("kind: none", fallback)))


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path):
    """No such file, another encoding, a date that does not exist: each names the file and what to do."""
    with pytest.raises(ConfigError, match=r"nowhere.yaml: can't be read: No such file"):
        read_profile(tmp_path / "nowhere.yaml")
    path = written(tmp_path, "")
    path.write_bytes(path.read_text().replace("a test", "é").encode("latin-1"))
    with pytest.raises(ConfigError, match=r"test.yaml: can't be read: not UTF-8; give a readable UTF-8 file"):
        read_profile(path)
    with pytest.raises(ConfigError, match=r"test.yaml: not YAML: .*; correct the file's syntax"):
        read_profile(written(tmp_path, "", head=HEAD.replace('"1"', "2024-13-45")))

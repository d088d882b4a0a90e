"""DSX Exchange: topics, payloads, metadata, and the contract they must keep to."""

from __future__ import annotations

import csv
import json
import math

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from devices import dsx, gpu, json_payload
from devices.profiles import load_profile
from plant.errors import PermanentError

PROFILES = ("dsx-rack", "dsx-cdu", "dsx-meter")


@pytest.fixture(scope="module")
def contract():
    """validate(message name, payload) against the AsyncAPI document."""
    folder = _data()
    document = yaml.load(
        (folder / "dsx" / "bms.yaml").read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    registry = Registry().with_resource("urn:bms", Resource(contents=document, specification=DRAFT202012))

    def validate(message, payload):
        schema = {"$ref": f"urn:bms#/components/messages/{message}/payload"}
        Draft202012Validator(schema, registry=registry).validate(json.loads(payload))

    return validate


def _data():
    import os
    from pathlib import Path

    folder = Path(os.environ.get("COLDPLATE_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "dsx").is_dir():
        pytest.skip(f"no public data at {folder}; set COLDPLATE_DATA")
    return folder


@pytest.mark.parametrize("name", PROFILES)
def test_our_metadata_keeps_the_contract(contract, name):
    """Every point that the simulator may publish is described as the contract demands."""
    for point in load_profile(name).points:
        prefix = "" if point.object == "Rack" else point.object
        contract(f"{prefix}{point.point}Msg", dsx.encode_metadata(point, "R01", serves=["R01"]))


def test_what_an_integration_may_write_keeps_the_contract(contract):
    """Requests and the integration's heartbeat are offered as the contract demands, and answered where it derives."""
    points = {p.point: p for p in load_profile("dsx-cdu-driven").points if p.writable and p.object}
    request, beat = points["LiquidTemperatureSpRequest"], points["HeartbeatTimestampIntegration"]
    contract("LiquidTemperatureSpRequestMsg", dsx.encode_metadata(request, "cdu5", integration="MEPAI"))
    contract("SystemHeartbeatTimestampIntegrationMsg", dsx.encode_metadata(beat, "MEPAI", integration="MEPAI"))
    confirmed = load_profile("dsx-cdu-driven").point("effective_bms_supply_temperature_setpoint")
    contract("CDULiquidTemperatureMsg", dsx.encode_metadata(confirmed, "cdu5"))
    contract("ValueMessage", dsx.encode_withdrawal(1e9))
    topic = dsx.parse_topic("BMS/v1/PUB/Metadata/CDU/LiquidTemperatureSpRequest/site1/row3/cdu5")
    assert topic.answered_by("MEPAI") == "BMS/v1/MEPAI/Value/CDU/LiquidTemperatureSpRequest/site1/row3/cdu5"


def test_a_setpoint_and_a_sensor_of_one_area_are_told_apart():
    """The confirmation is found by isSetpoint, and what an integration writes is never read as either."""
    profile = load_profile("dsx-cdu-driven")
    for name in ("effective_bms_supply_temperature_setpoint", "bms_tcs_supply_temperature"):
        point = profile.point(name)
        assert dsx.match(dsx.decode_metadata(dsx.encode_metadata(point, "X")), profile) == (point, 3)
    request = profile.point("bms_supply_temperature_setpoint")
    assert dsx.match(dsx.decode_metadata(dsx.encode_metadata(request, "X", integration="Y")), profile) is None


def test_our_values_keep_the_contract(contract):
    """Good, bad and missing values are described as the contract demands."""
    for payload in (dsx.encode_value(21.5, 1e9), dsx.encode_value(math.nan, 1e9), dsx.encode_value(1, 1e9, good=False)):
        contract("ValueMessage", payload)


def test_our_heartbeat_keeps_the_contract(contract):
    """The BMS heartbeat's metadata is described as the contract demands."""
    contract("SystemHeartbeatTimestampBmsMsg", dsx.encode_heartbeat_metadata("BMS"))


def test_recorded_metadata_is_understood():
    """All 166 metadata messages of the recording name their object."""
    with (_data() / "dsx" / "dsx_exemplar.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if "/Metadata/" in row["topic"]]
    found = [dsx.decode_metadata(row["payload"].encode()) for row in rows]
    assert len(found) == 166
    assert all(metadata.names for metadata in found)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_finds_its_own_points_by_metadata(name):
    """What we describe is matched to the very point that it describes."""
    profile = load_profile(name)
    for point in profile.points:
        metadata = dsx.decode_metadata(dsx.encode_metadata(point, "X"))
        assert dsx.match(metadata, profile) == (point, 3)


@pytest.mark.parametrize(
    ("areas", "name"),
    [
        (["Seccondary", "SUPPLY"], "bms_tcs_supply_temperature"),
        (["primary", "inlet", "Row E"], "bms_fws_supply_temperature"),
        (["Fill"], None),
        ([], None),
    ],
)
def test_process_areas_are_read_leniently(areas, name):
    """Case and doubled letters don't matter, extra areas don't either, other areas do."""
    body = {
        "objectType": "CDU",
        "pointType": "LiquidTemperature",
        "objectName": "C",
        "objectId": "C",
        "processArea": areas,
    }
    found = dsx.match(dsx.decode_metadata(json.dumps(body).encode()), load_profile("dsx-cdu"))
    assert (found[0].name if found else None) == name


def test_a_setpoint_is_not_a_measurement():
    """A setpoint with a sensor's area is never taken for the sensor."""
    body = {
        "objectType": "CDU",
        "pointType": "LiquidTemperature",
        "objectName": "C",
        "processArea": ["Secondary", "Supply"],
        "isSetpoint": True,
    }
    assert dsx.match(dsx.decode_metadata(json.dumps(body).encode()), load_profile("dsx-cdu")) is None


def test_topics_round_trip():
    """A tag path may hold slashes."""
    topic = dsx.parse_topic("BMS/v1/PUB/Value/Rack/RackPower/a/b/c/value")
    assert (topic.object_type, topic.point_type, topic.tag_path) == ("Rack", "RackPower", "a/b/c/value")
    assert str(topic) == "BMS/v1/PUB/Value/Rack/RackPower/a/b/c/value"


@pytest.mark.parametrize(
    "text", ["", "BMS/v1/PUB/Value/Rack/RackPower", "BMS/v1/PUB/Else/Rack/RackPower/a", "x/v1/PUB/Value/a/b/c"]
)
def test_other_topics_are_told(text):
    """A topic that is not of the grammar is named in the error."""
    with pytest.raises(PermanentError, match="expected"):
        dsx.parse_topic(text)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b'{"value":1}',
        b'{"value":"hot","timestamp":1,"quality":1}',
        b'{"value":1,"timestamp":{{timestamp_ms}},"quality":1}',
        b"\xff\xfe",
        b'{"value":NaN,"timestamp":1,"quality":1}',
        b'{"value":1,"timestamp":1' + b"0" * 400 + b',"quality":1}',
        b'{"value":1,"timestamp":1,"quality":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_rogue_values_are_told(payload):
    """Whatever a broker may carry ends in one kind of error."""
    with pytest.raises(PermanentError):
        dsx.decode_value(payload)


DEEP = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def test_rogue_messages_of_the_other_kinds_are_told():
    """Nesting without end and numbers beyond any float end in the same kind of error everywhere."""
    topic = gpu.topic("pod", "rack-01", "node-02")
    for payload in (DEEP, b'{"timestamp":1' + b"0" * 400 + b',"gpus":[]}'):
        with pytest.raises(PermanentError):
            gpu.decode(topic, payload)
    for decode in (dsx.decode_metadata, json_payload.decode):
        with pytest.raises(PermanentError):
            decode(DEEP)


def described(unit):
    """Metadata of a flow in that unit."""
    body = {"objectType": "Rack", "pointType": "RackLiquidFlow", "engUnit": unit, "rackLocationName": "E01"}
    return dsx.decode_metadata(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("unit", "si"),
    [
        ("LPM", 1e-3), ("L/min", 1e-3), ("lpm", 1e-3), ("", 1e-3), ("L/s", 60e-3), ("m3/min", 1.0), ("m³/h", 1 / 60),
        ("CFM", 0.3048**3),
    ],
)  # fmt: skip
def test_the_usual_spellings_of_units_have_their_factor(unit, si):
    """60 of each, in SI; without a unit the profile's counts."""
    factor, offset = described(unit).to_si("l/min")
    assert 60 * factor + offset == pytest.approx(si)


@pytest.mark.parametrize("unit", ["furlong", "L/fortnight", "mw"])
def test_an_unknown_unit_is_told_and_never_taken_for_the_profiles(unit):
    """Litres per second taken for litres per minute would be 60 times too low, and GOOD."""
    with pytest.raises(PermanentError, match=f"unknown unit '{unit}', expected one like 'l/min'"):
        described(unit).to_si("l/min")


@pytest.mark.parametrize("unit", ["kW", "degC", "kPa", "rpm"])
def test_a_unit_of_another_quantity_is_told(unit):
    """A BMS point that tells kilowatts where litres are due is another point, not a flow a million times too large."""
    with pytest.raises(PermanentError, match=f"unit '{unit}' of another quantity, expected one like 'l/min'"):
        described(unit).to_si("l/min")


def test_kelvin_and_btu_become_si():
    """A temperature in K is given in °C, as all are; a BTU/h is 0.293 W."""
    factor, offset = described("K").to_si("degC")
    assert 300.0 * factor + offset == pytest.approx(26.85)
    assert described("BTU/h").to_si("W")[0] == pytest.approx(0.29307, rel=1e-4)


def test_gpu_messages_round_trip():
    """What a node sends is what is read; absent fields stay absent."""
    payload = gpu.encode(1000.5, {3: {"temp_c": 61.0, "xid": 79.0}})
    message = gpu.decode(gpu.topic("pod", "rack-01", "node-02"), payload)
    assert (message.rack, message.node, message.time_s) == ("rack-01", "node-02", 1000.5)
    assert message.gpus[3]["temp_c"] == 61.0
    assert message.gpus[3]["power_w"] is None
    for topic, body in (("coldplate/v1/pod/gpu/rack", payload), (gpu.topic("p", "r", "n"), b'{"gpus": 1}')):
        with pytest.raises(PermanentError):
            gpu.decode(topic, body)


def test_metadata_in_another_encoding_is_a_permanent_error():
    """A Latin-1 letter is told as an unreadable payload."""
    with pytest.raises(PermanentError, match="metadata payload"):
        dsx.decode_metadata(b'{"objectType": "CDU", "pointType": "\xe9tat"}')

"""NVIDIA DSX Exchange, BMS event bus 1.0.0: topics, values and metadata, both ways.

Source: schemas/asyncapi/bms/bms.yaml (Apache-2.0). Every point has a Value topic and a retained Metadata topic with
the same tail; the tail's tag path names the point, the metadata says what it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from devices.profiles import Profile, ProfilePoint
from plant.errors import PermanentError
from plant.quantities import si_unit, to_si

SUBSCRIPTION = "BMS/v1/PUB/#"
VALUE = "Value"
METADATA = "Metadata"
GOOD = 1
"""The only trustworthy `quality`."""
REPUBLISH_S = 100.0
"""Values come on change and at least this often [s]; metadata too."""
HEARTBEAT_OBJECT = "System"
HEARTBEAT_POINT = "HeartbeatTimestampBms"
HEARTBEAT_PERIOD_S = 10.0
BMS_SILENT_S = 3 * HEARTBEAT_PERIOD_S
"""Without a heartbeat of the BMS for so long [s] it counts as gone; it gives an integration as long."""
INTEGRATION_HEARTBEAT = "HeartbeatTimestampIntegration"
INTEGRATION = "coldplate"
"""The integration's id on the bus where a link's option `integration` gives none."""
VALUE_PREFIX = f"BMS/v1/PUB/{VALUE}/"
METADATA_SUBSCRIPTION = f"BMS/v1/PUB/{METADATA}/#"
HEARTBEAT_PREFIX = f"{VALUE_PREFIX}{HEARTBEAT_OBJECT}/{HEARTBEAT_POINT}/"

_ENG_UNIT = {"degC": "C", "l/min": "LPM", "1": "", "code": ""}
_DOUBLED = re.compile(r"(.)\1+")


class _ValuePayload(msgspec.Struct):
    value: float | None
    timestamp: int
    quality: int


class _MetadataPayload(msgspec.Struct, rename="camel"):
    object_type: str
    point_type: str
    eng_unit: str = ""
    object_name: str = ""
    object_id: str = ""
    associate_id: str = ""
    rack_location_name: str = ""
    rack_location_id: str = ""
    process_area: list[str] = []
    is_setpoint: bool = False
    integration: str = ""


_value_decoder = msgspec.json.Decoder(_ValuePayload)
_metadata_decoder = msgspec.json.Decoder(_MetadataPayload)


@dataclass(frozen=True, slots=True)
class Topic:
    """One point's address on the bus. kind: `Value` or `Metadata`."""

    kind: str
    object_type: str
    point_type: str
    tag_path: str

    def __str__(self) -> str:
        return f"BMS/v1/PUB/{self.kind}/{self.key}"

    def answered_by(self, integration: str) -> str:
        """Where an integration publishes its values of the point that this metadata offers it (the derivation rule)."""
        return f"BMS/v1/{integration}/{VALUE}/{self.key}"

    @property
    def key(self) -> str:
        """What Value and Metadata have in common."""
        return f"{self.object_type}/{self.point_type}/{self.tag_path}"


@dataclass(frozen=True, slots=True)
class Value:
    """A reading as sent: value (NaN for null), source time [s since 1970], whether the BMS trusts it."""

    value: float
    time_s: float
    good: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a tag path is: its kind, unit, and the names by which its object is known."""

    object_type: str
    point_type: str
    eng_unit: str
    names: tuple[str, ...]
    process_area: tuple[str, ...]
    is_setpoint: bool
    integration: str

    def to_si(self, default_unit: str) -> tuple[float, float]:
        """Factor and offset from the sent unit to SI; without one, from `default_unit`.

        Raises:
            PermanentError: the unit is unknown, or of something else; a value whose scale nobody knows is none.
        """
        sent = self.eng_unit or default_unit
        try:
            alike = si_unit(sent) == si_unit(default_unit)
        except PermanentError as error:
            raise PermanentError(f"unknown unit {self.eng_unit!r}, expected one like {default_unit!r}") from error
        if not alike:
            raise PermanentError(f"unit {self.eng_unit!r} of another quantity, expected one like {default_unit!r}")
        return to_si(sent)


def parse_topic(text: str) -> Topic:
    """A bus topic.

    Raises:
        PermanentError: not of the form BMS/v1/PUB/{Value|Metadata}/{objectType}/{pointType}/{tagPath}.
    """
    parts = text.split("/", 6)
    if len(parts) != 7 or parts[:3] != ["BMS", "v1", "PUB"] or parts[3] not in (VALUE, METADATA) or not all(parts):
        raise PermanentError(f"topic {text}: expected BMS/v1/PUB/Value or Metadata/OBJECT/POINT/TAG")
    return Topic(*parts[3:])


def decode_value(payload: bytes) -> Value:
    """A Value payload.

    Raises:
        PermanentError: not of the contract's form.
    """
    try:
        sent = _value_decoder.decode(payload)
        time_s = sent.timestamp / 1000
    except (msgspec.MsgspecError, RecursionError, OverflowError) as error:
        raise PermanentError(f"value payload: {str(error).lower()}") from error
    return Value(math.nan if sent.value is None else sent.value, time_s, sent.quality == GOOD)


def decode_metadata(payload: bytes) -> Metadata:
    """A Metadata payload.

    Raises:
        PermanentError: not of the contract's form.
    """
    try:
        sent = _metadata_decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise PermanentError(f"metadata payload: {str(error).lower()}") from error
    names = (sent.object_name, sent.object_id, sent.rack_location_name, sent.rack_location_id, sent.associate_id)
    return Metadata(
        object_type=sent.object_type,
        point_type=sent.point_type,
        eng_unit=sent.eng_unit,
        names=tuple(dict.fromkeys(filter(None, names))),
        process_area=tuple(sent.process_area),
        is_setpoint=sent.is_setpoint,
        integration=sent.integration,
    )


def encode_value(value: float, time_s: float, *, good: bool = True) -> bytes:
    """A Value payload: value in the point's engineering unit, NaN as null; time [s since 1970]."""
    sent = None if math.isnan(value) else value
    return msgspec.json.encode(_ValuePayload(sent, round(time_s * 1000), GOOD if good else 0))


def encode_withdrawal(time_s: float) -> bytes:
    """A Value payload that takes a request back: no value, and none to be trusted."""
    return encode_value(math.nan, time_s, good=False)


def encode_metadata(point: ProfilePoint, name: str, *, serves: Sequence[str] = (), integration: str = "") -> bytes:
    """A Metadata payload for one point of an object called `name`.

    serves: ids of what a PowerMeter or a CDU supplies; racks have none. integration: who may write the point.
    """
    body: dict[str, Any] = {"objectType": point.object, "pointType": point.point}
    if point.object == "Rack":
        body |= {"rackLocationName": name, "rackLocationId": name}
    else:
        body |= {"objectName": name, "objectId": name}
    if point.object == "PowerMeter" or (serves and point.object != "Rack"):
        body["servesId"] = list(serves)
    if point.area:
        body["processArea"] = list(point.area)
    if point.states:
        body["stateText"] = [{"value": value, "text": text} for value, text in point.states.items()]
    elif point.object != HEARTBEAT_OBJECT:
        body["engUnit"] = _ENG_UNIT.get(point.unit, point.unit)
    body |= {"isSetpoint": True} if point.setpoint else {}
    body |= {"integration": integration} if integration else {}
    return msgspec.json.encode(body)


def encode_heartbeat_metadata(name: str) -> bytes:
    """Metadata of the BMS's own heartbeat."""
    body = {"objectType": HEARTBEAT_OBJECT, "pointType": HEARTBEAT_POINT, "objectName": name, "objectId": name}
    return msgspec.json.encode(body)


def point_topics(point: ProfilePoint, tag_path: str) -> tuple[Topic, Topic]:
    """The Value and the Metadata topic of a point."""
    value, metadata = (Topic(kind, point.object, point.point, tag_path) for kind in (VALUE, METADATA))
    return value, metadata


def match(metadata: Metadata, profile: Profile) -> tuple[ProfilePoint, int] | None:
    """The profile's point that the metadata describes, with how well its process area fits (3 exact .. 1 loosely).

    Setpoints are never taken for measurements, and points that an integration writes for neither.
    """
    if metadata.integration:
        return None
    wanted = (metadata.object_type, metadata.point_type, metadata.is_setpoint)
    same = (p for p in profile.points if (p.object, p.point, p.setpoint) == wanted)
    fits = [(point, _area_fit(point.area, metadata.process_area)) for point in same]
    best = max(fits, key=lambda fit: fit[1], default=None)
    return best if best is not None and best[1] > 0 else None


def _area_fit(wanted: Iterable[str], found: Iterable[str]) -> int:
    ours, theirs = ({_plain(area) for area in areas} for areas in (wanted, found))
    if ours == theirs:
        return 3
    if ours <= theirs:
        return 2
    return 1 if theirs and theirs < ours else 0


def _plain(area: str) -> str:
    """Case and doubled letters don't count: recorded data says `Seccondary`."""
    return _DOUBLED.sub(r"\1", area.casefold())

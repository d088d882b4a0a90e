"""What the simulated BMS really publishes, held against the public contract of the DSX Exchange bus."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from simulator.plant import SimulatedPlant
from simulator.telemetry import Bms
from sites import load_site

SUMMER_S = 1_783_900_800.0


@pytest.fixture
def document(public_data):
    """The AsyncAPI document."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((public_data / "dsx" / "bms.yaml").read_text("utf-8"), Loader=loader)


def _channel(document, topic):
    """The one channel whose address fits a topic, its placeholders held against their enums."""
    found = []
    for channel in document["channels"].values():
        pattern = re.sub(
            r"\\\{(\w+)\\\}",
            lambda m: "(?P<" + m[1] + ">.+)" if m[1] == "tagPath" else "(?P<" + m[1] + ">[^/]+)",
            re.escape(channel["address"]),
        )
        if match := re.fullmatch(pattern, topic):
            enum = channel.get("parameters", {}).get("pointType", {}).get("enum")
            if enum is None or match["pointType"] in enum:
                found.append(channel)
    assert len(found) == 1, topic
    return found[0]


@pytest.mark.parametrize("site", ["demo_site_path", "lab_site_path"])
def test_everything_published_keeps_the_contract(document, site, request):
    """Each topic is an address of the contract, and each payload validates against a message of its channel."""
    registry = Registry().with_resource("urn:bms", Resource(contents=document, specification=DRAFT202012))
    bms = Bms(SimulatedPlant(load_site(request.getfixturevalue(site)), SUMMER_S))
    seen = {"Value": 0, "Metadata": 0}
    for _ in range(3):
        bms.plant.step(10.0)
        for message in bms.messages():
            if not message.topic.startswith("BMS/"):
                continue
            channel = _channel(document, message.topic)
            references = [m["$ref"] for m in channel["messages"].values()]
            schemas = [{"$ref": f"urn:bms{reference}/payload"} for reference in references]
            payload = json.loads(message.payload)
            assert any(Draft202012Validator(s, registry=registry).is_valid(payload) for s in schemas), message
            seen[message.topic.split("/")[3]] += 1
    assert seen["Value"] > 20
    assert seen["Metadata"] > 10

"""The scheduler extender, with requests as kube-scheduler sends them, byte for byte."""

from __future__ import annotations

import json

import pytest

from placement.kubernetes.extender import Extender, PodPower
from placement.kubernetes.names import names_of
from placement.node_table import node_table
from plant.errors import ConfigError
from plant.records import Headroom

POWER = PodPower(gpu_w=1000.0, other_w=100.0)
# kube-scheduler 1.20.2, nodeCacheCapable: true; a pod of 8 GPUs; managed fields shortened
CAPTURED = (
    b'{"Pod":{"metadata":{"name":"train-7","namespace":"default","uid":"0bb7b7b0-66d0-4f0c-9f3e-1c4e2b8c6f11",'
    b'"resourceVersion":"2713","creationTimestamp":"2026-11-20T10:11:12Z","managedFields":[{"manager":"python",'
    b'"operation":"Update","apiVersion":"v1","time":"2026-11-20T10:11:12Z"}]},"spec":{"containers":[{"name":"main",'
    b'"image":"train:1","resources":{"limits":{"nvidia.com/gpu":"8"},"requests":{"cpu":"64","nvidia.com/gpu":"8"}},'
    b'"terminationMessagePath":"/dev/termination-log","imagePullPolicy":"IfNotPresent"}],"restartPolicy":"Always",'
    b'"schedulerName":"default-scheduler","tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists",'
    b'"effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true},"status":{"phase":'
    b'"Pending","qosClass":"Burstable"}},"Nodes":null,"NodeNames":["node-0001","node-0002","node-0003"]}'
)


def table():
    """node-0001 has room and is cheap, node-0002 is short of room, node-0003 is unknown to us."""
    rooms = {"rack-1": 90e3, "rack-2": 5e3}
    found = [
        Headroom(rack=r, at_s=0.0, power_w=w, cooling_w=w, marginal_w_per_w=0.05, known=True) for r, w in rooms.items()
    ]
    nodes = {"node-0001": "rack-1", "node-0002": "rack-2"}
    return node_table(nodes, found, dict.fromkeys(rooms, 132e3), {}, 1.0, 300.0)


def test_filter_answers_in_the_form_of_the_question():
    """Names for names; the reason of what failed; an unknown node passes."""
    assert Extender(table(), POWER).filter(CAPTURED) == (
        b'{"Nodes":null,"NodeNames":["node-0001","node-0003"],'
        b'"FailedNodes":{"node-0002":"rack-2 has 5.0 kW left of 8.0 kW wanted"},'
        b'"FailedAndUnresolvableNodes":{"node-0002":"rack-2 has 5.0 kW left of 8.0 kW wanted"},"Error":""}'
    )


def test_nodes_by_other_names():
    """A cluster that calls nodes otherwise has the same rooms and scores."""
    nodes, also = {"node-0001": "rack-1", "node-0002": "rack-2"}, {"ip-1": "node-0001", "ip-2": "node-0002"}
    other = Extender(table(), POWER, names=names_of(nodes, also))
    asked = CAPTURED.replace(b"node-0001", b"ip-1").replace(b"node-0002", b"ip-2")
    plain = json.loads(Extender(table(), POWER).prioritize(CAPTURED))
    rows = json.loads(other.prioritize(asked))
    assert [(r["Host"], r["Score"]) for r in rows[:2]] == [("ip-1", plain[0]["Score"]), ("ip-2", plain[1]["Score"])]
    assert json.loads(other.filter(asked))["FailedNodes"] == {"ip-2": "rack-2 has 5.0 kW left of 8.0 kW wanted"}
    assert json.loads(other.prioritize(CAPTURED)) == plain, "and the site's own names go on"


def test_prioritize_scores_up_to_ten():
    """The good node first; what we do not know is never better."""
    rows = json.loads(Extender(table(), POWER).prioritize(CAPTURED))
    assert [row["Host"] for row in rows] == ["node-0001", "node-0002", "node-0003"]
    good, short, unknown = (row["Score"] for row in rows)
    assert 5 < good <= 10
    assert short == 0
    assert unknown <= good
    assert all(isinstance(row["Score"], int) for row in rows)


def test_whole_nodes_come_back_untouched():
    """Without nodeCacheCapable: five thousand full node objects, those that pass byte for byte."""
    nodes = [
        {"metadata": {"name": f"node-{i:04d}", "labels": {"a/b": "ü"}}, "status": {"allocatable": {"cpu": "96"}}}
        for i in range(5000)
    ]
    pod = json.loads(CAPTURED)["Pod"]
    body = json.dumps({"Pod": pod, "Nodes": {"metadata": {}, "items": nodes}, "NodeNames": None}).encode()
    answer = json.loads(Extender(table(), POWER).filter(body))
    assert answer["NodeNames"] is None
    assert answer["Nodes"]["items"] == [n for n in nodes if n["metadata"]["name"] != "node-0002"]
    assert list(answer["FailedNodes"]) == ["node-0002"]


@pytest.mark.parametrize(
    ("annotation", "fits"),
    [("4000", True), ("6000.5", False)],
)
def test_a_pod_says_its_power(annotation, fits):
    """The annotation outranks the GPUs."""
    request = json.loads(CAPTURED)
    request["Pod"]["metadata"]["annotations"] = {"coldplate.io/power-w": annotation}
    answer = json.loads(Extender(table(), POWER).filter(json.dumps(request).encode()))
    assert ("node-0002" in answer["NodeNames"]) is fits


@pytest.mark.parametrize("bad", ["-5", "1e9999", "nan", "5 kW", ""])
def test_a_power_that_is_none(bad):
    """Says which pod and what to write; it passes nowhere."""
    request = json.loads(CAPTURED)
    request["Pod"]["metadata"]["annotations"] = {"coldplate.io/power-w": bad}
    with pytest.raises(ConfigError, match=r"pod default/train-7: coldplate.io/power-w.*give watts"):
        Extender(table(), POWER).prioritize(json.dumps(request).encode())
    answer = json.loads(Extender(table(), POWER).filter(json.dumps(request).encode()))
    assert answer["NodeNames"] == []
    assert answer["FailedNodes"] == answer["FailedAndUnresolvableNodes"]
    assert "give watts" in answer["FailedNodes"]["node-0001"]


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"Pod": 3}', b'{"NodeNames": [1]}', b"\xff\xfe"])
def test_garbage(bad):
    """Never a guess."""
    with pytest.raises(ConfigError, match="send an ExtenderArgs"):
        Extender(table(), POWER).prioritize(bad)


def test_no_nodes_at_all():
    """Both lists missing: nothing passes, nothing is scored."""
    assert json.loads(Extender(table(), POWER).prioritize(b'{"Pod":{}}')) == []

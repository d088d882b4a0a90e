"""The scheduler extender's contract (kube-scheduler, extender/v1): bytes in, bytes out.

Go structs without JSON names, so all keys are capitalised. With `nodeCacheCapable: true` kube-scheduler sends names
(`NodeNames`), without it whole nodes (`Nodes`), of which only the names are read; the answer has the form of the
question. Scores are 0..10. A node that coldplate does not know passes the filter: the scheduler knows it, we do not.
What fails is named twice, also as one that preemption does not help: kube-scheduler would else weigh the eviction of
pods there, which it believes to make room, and it takes that word before the other (v1.34.2, `schedule_one.go`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from placement.nodes import NodeTable, neutral_score, scores
from plant.errors import ConfigError

MOST = 10
"""kube-scheduler's MaxExtenderPriority."""
POWER_KEY = "coldplate.io/power-w"
"""A pod's annotation: the electric power that it will draw on its node [W]."""
_MOST_POWERS = 64
GPU_KEYS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915")
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)(k|M|G|m)?$")
_SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3}


class _Resources(msgspec.Struct):
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}


class _Container(msgspec.Struct):
    resources: _Resources = msgspec.field(default_factory=_Resources)


class _Spec(msgspec.Struct):
    containers: list[_Container] = []


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] | None = None


class _Pod(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Node(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Nodes(msgspec.Struct):
    items: list[_Node] = []


class _Args(msgspec.Struct, rename="pascal"):
    pod: _Pod = msgspec.field(default_factory=_Pod)
    nodes: _Nodes | None = None
    node_names: list[str] | None = None


class _RawNodes(msgspec.Struct):
    items: list[msgspec.Raw] = []


class _RawArgs(msgspec.Struct, rename="pascal"):
    nodes: _RawNodes | None = None


_DECODER = msgspec.json.Decoder(_Args)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPower:
    """gpu_w: watts for each GPU that a pod asks for; other_w: for a pod that asks for none [W]."""

    gpu_w: float
    other_w: float = 0.0


@dataclass(frozen=True, slots=True)
class _Judged:
    """Every node of a table for one power: why it can not take it; its row of the answer; that of one not known."""

    short: Mapping[str, str]
    rows: Mapping[str, bytes]
    neutral: int


class Extender:
    """Both verbs over one table of nodes; what a power gives is kept, as a job's pods ask for the same again."""

    def __init__(self, table: NodeTable, power: PodPower) -> None:
        self._table, self._power = table, power
        self._judged: dict[float, _Judged] = {}

    def filter(self, body: bytes) -> bytes:
        """The `filter` verb: nodes without room, by cooling, power or budget, fail with the reason; unknown ones pass.

        With a power that can't be read all fail with that reason, which stands in the pod's events. An `Error` would
        not do: kube-scheduler skips an ignorable extender that answers one, and the pod would pass (v1.34.2).

        Raises:
            ConfigError: the body is not an ExtenderArgs.
        """
        args = _decode(body)
        names = _names(args)
        try:
            short = self._for(args.pod).short
        except ConfigError as error:
            short = dict.fromkeys(names, str(error))
        failed = {name: short[name] for name in names if name in short}
        if args.node_names is not None:
            return _filtered(None, [n for n in names if n not in failed] if failed else names, failed)
        raw = msgspec.json.decode(body, type=_RawArgs).nodes or _RawNodes()
        items = [item for item, name in zip(raw.items, names, strict=True) if name not in failed]
        return _filtered({"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": items}, None, failed)

    def prioritize(self, body: bytes) -> bytes:
        """The `prioritize` verb: 0..10 for each node, neutral for one that coldplate does not know.

        Raises:
            ConfigError: the body is not an ExtenderArgs, or the pod's annotation no power.
        """
        args = _decode(body)
        judged = self._for(args.pod)
        rows, neutral = judged.rows, judged.neutral
        return b"[%b]" % b",".join([rows.get(name) or _row(name, neutral) for name in _names(args)])

    def _for(self, pod: _Pod) -> _Judged:
        wanted_w = pod_power_w(pod, self._power)
        if wanted_w not in self._judged:
            if len(self._judged) >= _MOST_POWERS:
                self._judged.clear()
            self._judged[wanted_w] = _judged(self._table, wanted_w)
        return self._judged[wanted_w]


def _filtered(nodes: Mapping[str, Any] | None, names: list[str] | None, failed: Mapping[str, str]) -> bytes:
    """An ExtenderFilterResult."""
    told = msgspec.Raw(_ENCODER.encode(failed))
    answer = {"Nodes": nodes, "NodeNames": names, "FailedNodes": told, "FailedAndUnresolvableNodes": told, "Error": ""}
    return _ENCODER.encode(answer)


def _judged(table: NodeTable, wanted_w: float) -> _Judged:
    made = scores(table, wanted_w)
    marks = ((made * MOST + 50) // 100).tolist()
    return _Judged(
        short=_short(table, wanted_w),
        rows={name: _row(name, score) for name, score in zip(table.names, marks, strict=True)},
        neutral=neutral_score(table, made, wanted_w) * MOST // 100,
    )


def _row(name: str, score: int) -> bytes:
    return _ENCODER.encode({"Host": name, "Score": score})


def pod_power_w(pod: _Pod, power: PodPower) -> float:
    """What a pod will draw [W]: its annotation, else its GPUs times gpu_w, else other_w.

    Raises:
        ConfigError: the annotation is no number of watts.
    """
    said = (pod.metadata.annotations or {}).get(POWER_KEY)
    if said is not None:
        if not re.fullmatch(r"\d{1,9}(\.\d+)?", said):
            where = f"pod {pod.metadata.namespace}/{pod.metadata.name}"
            raise ConfigError(f"{POWER_KEY}: {said!r}", where=where, remedy="give watts, e.g. '5600'")
        return float(said)
    gpus = sum(_gpus({**c.resources.limits, **c.resources.requests}) for c in pod.spec.containers)
    return gpus * power.gpu_w if gpus else power.other_w


def gpus_of(pod: Mapping[str, Any]) -> float:
    """Whole or shared GPUs that a pod (a v1.Pod as JSON) asks for."""
    wanted = ((c.get("resources") or {}) for c in pod["spec"].get("containers") or ())
    return sum(_gpus({**(w.get("limits") or {}), **(w.get("requests") or {})}) for w in wanted)


def _gpus(wanted: Mapping[str, Any]) -> float:
    return sum(_quantity(str(wanted[key])) for key in GPU_KEYS if key in wanted)


def _quantity(text: str) -> float:
    found = _QUANTITY.fullmatch(text)
    return float(found.group(1)) * _SCALE[found.group(2) or ""] if found else 0.0


def _decode(body: bytes) -> _Args:
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as error:
        remedy = "send an ExtenderArgs as kube-scheduler does (Pod, Nodes or NodeNames)"
        raise ConfigError(f"not a scheduler's request: {error}", where="body", remedy=remedy) from None


def _names(args: _Args) -> list[str]:
    if args.node_names is not None:
        return args.node_names
    return [node.metadata.name for node in args.nodes.items] if args.nodes is not None else []


def _short(table: NodeTable, wanted_w: float) -> dict[str, str]:
    """Node -> why it can not take the power: a budget's word counts also where nothing else is known."""
    capped = table.cap_w < wanted_w
    short = capped | (table.known & (table.room_w < wanted_w))
    return {table.names[i]: _why(table, i, wanted_w, capped=bool(capped[i])) for i in short.nonzero()[0].tolist()}


def _why(table: NodeTable, i: int, wanted_w: float, *, capped: bool) -> str:
    left_w = float(table.cap_w[i] if capped else table.room_w[i])
    whose = f"the budget of {table.capped_by[i]}" if capped else table.racks[i]
    return f"{whose} has {left_w / 1e3:.1f} kW left of {wanted_w / 1e3:.1f} kW wanted"

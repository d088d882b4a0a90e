"""The scheduler extender's contract (kube-scheduler, extender/v1): bytes in, bytes out.

Go structs without JSON names, so all keys are capitalised. With `nodeCacheCapable: true` kube-scheduler sends names
(`NodeNames`), without it whole nodes (`Nodes`), of which only the names are read; the answer has the form of the
question. Scores are 0..10. A node that coldplate does not know passes the filter: the scheduler knows it, we do not.
What fails is named twice, also as one that preemption does not help: kube-scheduler would else weigh the eviction of
pods there, which it believes to make room, and it takes that word before the other (v1.34.2, `schedule_one.go`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import add
from typing import Any

import msgspec

from placement.kubernetes.names import Names, names_of
from placement.kubernetes.promises import Budgeted, Lessening, Promises
from placement.kubernetes.questions import Questions
from placement.node_table import NodeTable, rack_rows
from placement.nodes import neutral_score, scores
from plant.errors import ConfigError

MOST = 10
"""kube-scheduler's MaxExtenderPriority."""
POWER_KEY = "coldplate.io/power-w"
"""A pod's annotation: the electric power that it will draw on its node [W]."""
WATTS = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
"""What that may say: digits of ASCII, as Python takes others for digits, too."""
GPU_KEYS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915")
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)(k|M|G|m)?$")
_SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3}


class _Resources(msgspec.Struct):
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}


class _Container(msgspec.Struct):
    resources: _Resources = msgspec.field(default_factory=_Resources)


class _Spec(msgspec.Struct, rename="camel"):
    containers: list[_Container] = []
    resource_claims: list[Any] | None = None


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    uid: str = ""
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
_ENDS = [b"%d}" % score for score in range(MOST + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPower:
    """gpu_w: watts for each GPU that a pod asks for; other_w: for a pod that asks for none [W]."""

    gpu_w: float
    other_w: float = 0.0


@dataclass(frozen=True, slots=True)
class _Judged:
    """For one power, by the racks' numbers and at last for nodes that are not known.

    passes: whether it can take it; why: not; marks: its nodes' score 0..10; ends: that as JSON.
    """

    passes: Sequence[bool]
    why: Sequence[str]
    marks: Sequence[int]
    ends: Sequence[bytes]


class Extender:
    """Both verbs over one table of nodes and what `promises` holds of its racks and budgets.

    Every pod that passes is promised power, so racks are judged anew for each; what is done by node is done in C.
    """

    def __init__(
        self,
        table: NodeTable,
        power: PodPower,
        promises: Promises | None = None,
        budgets: Sequence[Budgeted] = (),
        names: Names | None = None,
        questions: Questions | None = None,
    ) -> None:
        """names: of nodes, where they are more than the table's; questions: remembers what they show."""
        # all nodes of a rack have the same room: they are judged by rack, which is twenty times as fast
        self._racks, self._power = Lessening(rack_rows(table), budgets), power
        self._promises = promises or Promises(time.monotonic)
        self._questions = questions or Questions(time.monotonic)
        self._last: tuple[str, float, _Judged] | None = None
        self._names = names or names_of(dict(zip(table.names, table.racks, strict=True)), {})

    def filter(self, body: bytes) -> bytes:
        """The `filter` verb: nodes without room, by cooling, power or budget, fail with the reason; unknown ones pass.

        With a power that can't be read all fail with that reason, which stands in the pod's events. An `Error` would
        not do: kube-scheduler skips an ignorable extender that answers one, and the pod would pass (v1.34.2).

        Raises:
            ConfigError: the body is not an ExtenderArgs.
        """
        args = _decode(body)
        names = _names(args)
        self._questions.look(names, self._names.numbers, whole=args.node_names is None)
        if _only_claimed(args.pod):
            self._questions.claimed(f"{args.pod.metadata.namespace}/{args.pod.metadata.name}")
        try:
            judged = self._for(args.pod)
        except ConfigError as error:
            failed, passed = dict.fromkeys(names, str(error)), [False] * len(names)
        else:
            racks = list(map(self._names.numbers.__getitem__, names))
            passed = list(map(judged.passes.__getitem__, racks))
            why = map(judged.why.__getitem__, racks)
            failed = {name: reason for name, reason in zip(names, why, strict=True) if reason}
            self._promise(args.pod, set(compress(racks, passed)), judged)
        if args.node_names is not None:
            return _filtered(None, list(compress(names, passed)), failed)
        raw = msgspec.json.decode(body, type=_RawArgs).nodes or _RawNodes()
        items = list(compress(raw.items, passed))
        return _filtered({"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": items}, None, failed)

    def prioritize(self, body: bytes) -> bytes:
        """The `prioritize` verb: 0..10 for each node, neutral for one that coldplate does not know.

        Raises:
            ConfigError: the body is not an ExtenderArgs, or the pod's annotation no power.
        """
        args = _decode(body)
        judged = self._just_filtered(args.pod) or self._for(args.pod)
        names = _names(args)
        ends = map(judged.ends.__getitem__, map(self._names.numbers.__getitem__, names))
        return b"[%b]" % b",".join(map(add, map(self._names.rows.__getitem__, names), ends))

    def _just_filtered(self, pod: _Pod) -> _Judged | None:
        """Prioritize follows filter: what that found for the pod, before it was promised any."""
        last, self._last = self._last, None
        return last[2] if last is not None and last[:2] == (_key(pod), pod_power_w(pod, self._power)) else None

    def _for(self, pod: _Pod) -> _Judged:
        return _judged(self._racks.by(self._promises.by_rack(_key(pod))), pod_power_w(pod, self._power))

    def _promise(self, pod: _Pod, racks: set[int], judged: _Judged) -> None:
        """It will most likely go to the best of the racks that passed."""
        wanted_w, name = pod_power_w(pod, self._power), _key(pod)
        self._last = (name, wanted_w, judged)
        known = self._names.racks
        ours = [r for r in racks if r < len(known)] if wanted_w > 0.0 else []
        if not ours:
            self._promises.let_go(name)
            return
        best = max(map(judged.marks.__getitem__, ours))
        self._promises.hold(name, sorted(known[r] for r in ours if judged.marks[r] == best), wanted_w)


def _filtered(nodes: Mapping[str, Any] | None, names: list[str] | None, failed: Mapping[str, str]) -> bytes:
    """An ExtenderFilterResult."""
    told = msgspec.Raw(_ENCODER.encode(failed))
    answer = {"Nodes": nodes, "NodeNames": names, "FailedNodes": told, "FailedAndUnresolvableNodes": told, "Error": ""}
    return _ENCODER.encode(answer)


def _judged(table: NodeTable, wanted_w: float) -> _Judged:
    made = scores(table, wanted_w)
    neutral = neutral_score(table, made, wanted_w) * MOST // 100
    why = [*_short(table, wanted_w), ""]
    marks = [*((made * MOST + 50) // 100).tolist(), neutral]
    return _Judged(passes=[not w for w in why], why=why, marks=marks, ends=[_ENDS[mark] for mark in marks])


def _key(pod: _Pod) -> str:
    return pod.metadata.uid or f"{pod.metadata.namespace}/{pod.metadata.name}"


def pod_power_w(pod: _Pod, power: PodPower) -> float:
    """What a pod will draw [W]: its annotation, else its GPUs times gpu_w, else other_w.

    Raises:
        ConfigError: the annotation is no number of watts.
    """
    said = (pod.metadata.annotations or {}).get(POWER_KEY)
    if said is not None:
        if not WATTS.fullmatch(said):
            where = f"pod {pod.metadata.namespace}/{pod.metadata.name}"
            raise ConfigError(f"{POWER_KEY}: {said!r}", where=where, remedy="give watts, e.g. '5600'")
        return float(said)
    gpus = _gpus_of(pod)
    return gpus * power.gpu_w if gpus else power.other_w


def _gpus_of(pod: _Pod) -> float:
    return sum(_gpus({**c.resources.limits, **c.resources.requests}) for c in pod.spec.containers)


def _only_claimed(pod: _Pod) -> bool:
    """Whether its devices stand in resource claims (DRA), of which a question has the names only, and nowhere else."""
    if not pod.spec.resource_claims or POWER_KEY in (pod.metadata.annotations or {}):
        return False
    return not _gpus_of(pod)


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


def _short(table: NodeTable, wanted_w: float) -> list[str]:
    """By rack, why it can not take the power, if so: a budget's word counts also where nothing else is known."""
    capped = table.cap_w < wanted_w
    short = capped | (table.known & (table.room_w < wanted_w))
    why = [""] * len(short)
    for i in short.nonzero()[0].tolist():
        why[i] = _why(table, i, wanted_w, capped=bool(capped[i]))
    return why


def _why(table: NodeTable, i: int, wanted_w: float, *, capped: bool) -> str:
    left_w = float(table.cap_w[i] if capped else table.room_w[i])
    whose = f"the budget of {table.capped_by[i]}" if capped else table.racks[i]
    return f"{whose} has {left_w / 1e3:.1f} kW left of {wanted_w / 1e3:.1f} kW wanted"

"""Pods as known future load: a job for each controller that owns them, with the power that they say or their GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from placement.kubernetes.extender import POWER_KEY, WATTS, PodPower, gpus_of
from plant.records import JobOutlook

OPEN_END_S = 4 * 3600.0
"""A pod without a deadline runs on for so long, for the forecast [s]."""
SOON_S = 300.0
"""A pod that the scheduler has not judged yet starts about then; also the standard deviation [s]."""
POWER_ERROR = 0.35
"""Relative spread where nobody has measured it: between an idle GPU and a full one."""
FAILURES_PER_S = 1.0 / (48 * 3600.0)
STOP_KEY = "coldplate.io/interruptible"
"""Annotation of pods that may be stopped and started again: "true"."""

Pod = Mapping[str, Any]


def pod_outlooks(pods: Iterable[Pod], rack_of: Mapping[str, str], power: PodPower, now_s: float) -> list[JobOutlook]:
    """Running and new pods by owner, but those that draw nothing; now_s by the cluster's clock [s since 1970].

    New ones are spread over all racks of the cluster. One that the scheduler found no node for, or that a gate holds
    (Kueue's, say), starts when nobody knows, and is not told, as a job that Slurm plans no start for: the queue would
    else take the room ahead that its own pods are judged by, and none of them would ever start.
    """
    groups: dict[tuple[str, bool], list[Pod]] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if power_w(pod, power) > 0 and (node in rack_of if node else not _held(pod)):
            groups.setdefault((owner_of(pod), bool(node)), []).append(pod)
    everywhere = tuple(dict.fromkeys(rack_of.values()))
    return [
        _running(name, group, rack_of, power, now_s) if placed else _waiting(name, group, everywhere, power, now_s)
        for (name, placed), group in groups.items()
    ]


def power_w(pod: Pod, power: PodPower) -> float:
    """What a pod draws [W]: as it says, else by its GPUs; an annotation that is no number counts as none."""
    said = (pod["metadata"].get("annotations") or {}).get(POWER_KEY, "")
    if WATTS.fullmatch(said):
        return float(said)
    return gpus_of(pod) * power.gpu_w or power.other_w


def interruptible(pod: Pod) -> bool:
    """Whether a pod says that it may be stopped, and something that owns it would start it again."""
    said = (pod["metadata"].get("annotations") or {}).get(STOP_KEY, "")
    return said == "true" and any(owner.get("controller") for owner in pod["metadata"].get("ownerReferences") or ())


def _held(pod: Pod) -> bool:
    """Found no node for, or gated: both stand in its conditions."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)


def _running(name: str, pods: list[Pod], rack_of: Mapping[str, str], power: PodPower, now_s: float) -> JobOutlook:
    starts = [started_s(pod, now_s) for pod in pods]
    ends = [
        start + float(pod["spec"].get("activeDeadlineSeconds") or 0) for start, pod in zip(starts, pods, strict=True)
    ]
    end_s = max(ends) if all(pod["spec"].get("activeDeadlineSeconds") for pod in pods) else now_s + OPEN_END_S
    total_w = sum(power_w(pod, power) for pod in pods)
    return JobOutlook(
        job=name,
        racks=tuple(rack_of[pod["spec"]["nodeName"]] for pod in pods),
        start_s=min(starts),
        end_s=max(end_s, now_s),
        power_w=total_w,
        power_sd_w=POWER_ERROR * total_w,
        failures_per_s=FAILURES_PER_S,
        interruptible=all(map(interruptible, pods)),
    )


def _waiting(name: str, pods: list[Pod], racks: tuple[str, ...], power: PodPower, now_s: float) -> JobOutlook:
    total_w = sum(power_w(pod, power) for pod in pods)
    return JobOutlook(
        job=f"{name}/waiting",
        racks=racks,
        start_s=now_s + SOON_S,
        end_s=now_s + SOON_S + OPEN_END_S,
        power_w=total_w,
        power_sd_w=POWER_ERROR * total_w,
        start_sd_s=SOON_S,
        failures_per_s=FAILURES_PER_S,
        interruptible=all(map(interruptible, pods)),
    )


def owner_of(pod: Pod) -> str:
    """Namespace, kind and name of its controller; of a bare pod its own name."""
    metadata = pod["metadata"]
    owners: Iterator[Any] = (owner for owner in metadata.get("ownerReferences") or () if owner.get("controller"))
    owner = next(owners, None)
    name = f"{owner['kind']}/{owner['name']}" if owner else metadata["name"]
    return f"{metadata.get('namespace', 'default')}/{name}"


def started_s(pod: Pod, otherwise_s: float) -> float:
    """When its node took it [s since 1970]."""
    text = pod.get("status", {}).get("startTime")
    return datetime.fromisoformat(text).timestamp() if text else otherwise_s

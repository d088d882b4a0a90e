"""Packing of shared GPUs on a public trace: what is allocated at saturation, and what the cluster draws on the way.

The experiment (workload inflation, Weng et al., USENIX ATC 2023, section 6): pods of the trace are drawn with
replacement, uniformly, by a generator with the row's seed, and arrive one after another; a pod that fits nowhere is
turned away and none ever leaves. Arrivals stop when the GPU asked for, turned away or not, has reached the cluster's.
`allocation_percent` is the share of GPU that is then taken. Power is read when the taken share first reaches 20, 40, 60
and 80 %: `it_power_kw_…` by the model of `placement.gpu_power`; what an idle cluster draws is in it.
`least_power_kw_…` is a bound that no placement of the row's pods can undercut (and most likely none can reach).

Every policy meets the same pods in the same order. `bestfit` takes the node with the least free CPU and GPU (each
counted against the largest node's) and its least free GPUs that have room; `random` any node and any of its GPUs that
have room. `ours` knows the trace's mix of requests, as in the paper, not their order: before the first arrival it
rehearses with arrivals that it draws itself (`placement.rehearsal`, once for all rows: `learning_s`). The expected mean
allocation published for fragmentation gradient descent is 95.23 %, for best-fit 92.86 %, for random 86.30 %.

Data: `openb/openb_node_list_gpu_node.csv` and `openb/openb_pod_list_default.csv` of
hkust-adsl/kubernetes-scheduler-simulator (Apache-2.0), folder `data/csv`.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from placement.advice import packer_of
from placement.fragmentation import Workload, fragmentation
from placement.gpu_cluster import GPU_MILLI, Cluster, Node, Pod
from placement.gpu_power import cluster_power_w, least_power_w
from placement.node_worth import Worth
from placement.packing import Placement
from placement.rehearsal import learn
from plant.errors import ConfigError

SEEDS = range(42, 52)
LOADS_PERCENT = (20, 40, 60, 80)
NODE_FILE, POD_FILE = "openb_node_list_gpu_node.csv", "openb_pod_list_default.csv"

Policy = Callable[[Pod], Placement | None]
Row = dict[str, float | str]


def run(quick: bool, data: Path | None) -> dict[str, float | str | list[Row]]:
    """The table; `quick` takes seed 42 alone.

    Raises:
        ConfigError: the trace is not there.
    """
    nodes, pods = read_trace(data)
    seeds = SEEDS[:1] if quick else SEEDS
    start_s = time.perf_counter()
    _learnt(tuple(nodes), tuple(pods))
    learning_s = time.perf_counter() - start_s
    rows = [_timed(policy, seed, nodes, pods) for seed in seeds for policy in POLICIES]
    return {**summary(rows), "learning_s": learning_s, "rows": rows}


def read_trace(data: Path | None) -> tuple[list[Node], list[Pod]]:
    """Nodes and pods of the trace in the folder of public data."""
    if data is None or not (data / "openb" / POD_FILE).is_file():
        raise ConfigError(
            "the GPU trace is not there",
            where=f"openb/{POD_FILE}",
            remedy="copy data/csv of hkust-adsl/kubernetes-scheduler-simulator into openb/ in the folder of --data",
        )
    nodes = [_node(row) for row in _rows(data / "openb" / NODE_FILE)]
    return nodes, [_pod(row) for row in _rows(data / "openb" / POD_FILE)]


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _node(row: Mapping[str, str]) -> Node:
    return Node(
        name=row["sn"],
        cpu_milli=int(row["cpu_milli"]),
        memory_mib=int(row["memory_mib"]),
        gpus=int(row["gpu"]),
        model=row["model"],
    )


def _pod(row: Mapping[str, str]) -> Pod:
    """`gpu_spec` lists the cards a pod accepts, with `|` between; none named is any."""
    return Pod(
        name=row["name"],
        cpu_milli=int(row["cpu_milli"]),
        memory_mib=int(row["memory_mib"]),
        gpus=int(row["num_gpu"]),
        gpu_milli=int(row["gpu_milli"]),
        models=frozenset(filter(None, row["gpu_spec"].split("|"))),
    )


# Policies -------------------------------------------------------------------------------------------------------------


def ours(cluster: Cluster, pods: Sequence[Pod], seed: int) -> Policy:  # noqa: ARG001 - it draws nothing
    """The policy of `POST /v1/advise/packing`, with what it learnt before."""
    return partial(packer_of(cluster, pods, _learnt(cluster.nodes, tuple(pods))).place, why=False)


@lru_cache(maxsize=1)
def _learnt(nodes: tuple[Node, ...], pods: tuple[Pod, ...]) -> Worth:
    return learn(nodes, pods)


def bestfit(cluster: Cluster, pods: Sequence[Pod], seed: int) -> Policy:  # noqa: ARG001 - it neither draws nor expects
    """The fullest node that fits."""
    most_cpu, most_gpu = cluster.cpu.max(), cluster.gpus.max() * GPU_MILLI

    def choose(pod: Pod) -> Placement | None:
        fits = cluster.fits(pod)
        if not fits.any():
            return None
        left = cluster.cpu_free / most_cpu + cluster.gpu_free.sum(axis=1) / most_gpu
        node = int(np.argmin(np.where(fits, left, np.inf)))
        open_gpus = _with_room(cluster, pod, node)
        gpus = sorted(open_gpus, key=lambda gpu: int(cluster.gpu_free[node, gpu]))[: pod.gpus]
        return Placement(node=node, name=cluster.nodes[node].name, gpus=tuple(gpus))

    return choose


def at_random(cluster: Cluster, pods: Sequence[Pod], seed: int) -> Policy:  # noqa: ARG001 - it expects nothing
    """Any node that fits, any of its GPUs; its generator is not the arrivals'."""
    rng = np.random.default_rng((seed, 1))

    def choose(pod: Pod) -> Placement | None:
        fits = np.nonzero(cluster.fits(pod))[0]
        if not fits.size:
            return None
        node = int(rng.choice(fits))
        gpus = rng.permutation(_with_room(cluster, pod, node))[: pod.gpus]
        return Placement(node=node, name=cluster.nodes[node].name, gpus=tuple(int(gpu) for gpu in gpus))

    return choose


def _with_room(cluster: Cluster, pod: Pod, node: int) -> list[int]:
    return [int(gpu) for gpu in np.nonzero(cluster.gpu_free[node] >= pod.gpu_milli)[0]] if pod.gpus else []


POLICIES: Mapping[str, Callable[[Cluster, Sequence[Pod], int], Policy]] = {
    "ours": ours,
    "bestfit": bestfit,
    "random": at_random,
}


# The experiment -------------------------------------------------------------------------------------------------------


def inflate(policy: str, seed: int, nodes: Sequence[Node], pods: Sequence[Pod]) -> Row:
    """One row of the table: pods arrive until what they ask for equals the cluster's GPU."""
    cluster = Cluster(nodes)
    choose = POLICIES[policy](cluster, pods, seed)
    row: Row = {"policy": policy, "seed": float(seed)}
    marks = list(LOADS_PERCENT)
    for pod in arrivals(pods, int(cluster.gpus.sum()) * GPU_MILLI, seed):
        place = choose(pod)
        if place is None:
            continue
        cluster.take(pod, place.node, place.gpus)
        while marks and 100.0 * cluster.allocated_share >= marks[0]:
            load = marks.pop(0)
            row[f"it_power_kw_{load}"] = cluster_power_w(cluster) / 1e3
            row[f"least_power_kw_{load}"] = least_power_w(cluster) / 1e3
    stranded = fragmentation(cluster, Workload(pods))
    row["allocation_percent"] = 100.0 * cluster.allocated_share
    return row | {
        "stranded_by_gpu": stranded.gpu,
        "stranded_by_cpu": stranded.cpu,
        "stranded_by_memory": stranded.memory,
    }


def arrivals(pods: Sequence[Pod], capacity_milli: int, seed: int) -> Iterator[Pod]:
    """Pods drawn with replacement until they have asked for `capacity_milli` of GPU [thousandths of a GPU].

    Raises:
        ConfigError: no pod asks for a GPU.
    """
    if not any(pod.asked_milli for pod in pods):
        raise ConfigError("no pod asks for a GPU", where="pods")
    rng = np.random.default_rng(seed)
    asked_milli = 0
    while asked_milli < capacity_milli:
        pod = pods[int(rng.integers(len(pods)))]
        asked_milli += pod.asked_milli
        yield pod


def _timed(policy: str, seed: int, nodes: Sequence[Node], pods: Sequence[Pod]) -> Row:
    start_s = time.perf_counter()
    row = inflate(policy, seed, nodes, pods)
    return row | {"run_s": time.perf_counter() - start_s}


def summary(rows: Sequence[Row]) -> dict[str, float | str]:
    """Means over seeds: allocation of each policy; power of ours, and the bound, over best-fit's, less one [%]."""
    figures: dict[str, float | str] = {
        f"{policy}_allocation_percent": _mean(rows, policy, "allocation_percent") for policy in POLICIES
    }
    for load in LOADS_PERCENT:
        bestfit_kw = _mean(rows, "bestfit", f"it_power_kw_{load}")
        ours_kw, least_kw = _mean(rows, "ours", f"it_power_kw_{load}"), _mean(rows, "bestfit", f"least_power_kw_{load}")
        figures[f"power_against_bestfit_percent_{load}"] = 100.0 * (ours_kw / bestfit_kw - 1.0)
        figures[f"bound_against_bestfit_percent_{load}"] = 100.0 * (least_kw / bestfit_kw - 1.0)
    figures["ours_longest_run_s"] = max(float(row["run_s"]) for row in rows if row["policy"] == "ours")
    return figures


def _mean(rows: Sequence[Row], policy: str, column: str) -> float:
    return float(np.mean([float(row[column]) for row in rows if row["policy"] == policy]))

"""The packing benchmark: the same pods for all, figures as defined, a cut trace that runs in seconds."""

from __future__ import annotations

from itertools import islice

import pytest

from benchmarks import placement
from placement.gpu_cluster import Node, Pod
from plant.errors import ConfigError

NODE_HEAD = "sn,cpu_milli,memory_mib,gpu,model\n"
POD_HEAD = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase\n"
SHAPES = ((96000, 8, "G2"), (104000, 2, "T4"), (16000, 2, "P100"))


@pytest.fixture
def data(tmp_path):
    """Twelve nodes of three cards; pods with shares, whole GPUs, a card of their own, and none."""
    folder = tmp_path / "openb"
    folder.mkdir()
    nodes = [f"{card}-{i},{cpu},262144,{gpus},{card}\n" for i in range(4) for cpu, gpus, card in SHAPES]
    (folder / placement.NODE_FILE).write_text(NODE_HEAD + "".join(nodes), encoding="utf-8")
    pods = "a,4000,8192,1,460,,LS,R\nb,11000,32768,1,1000,,LS,R\nc,8000,8192,2,1000,,LS,R\nd,6000,8192,0,0,,LS,R\n"
    (folder / placement.POD_FILE).write_text(POD_HEAD + pods + "e,4000,8192,1,300,T4|G2,LS,R\n", encoding="utf-8")
    return tmp_path


def test_a_quick_run_has_a_row_for_each_policy(data):
    """Seed 42, three policies, every figure; ours allocates no less than random and draws less than best-fit early."""
    figures = placement.run(quick=True, data=data)
    rows = {row["policy"]: row for row in figures["rows"]}
    assert list(rows) == ["ours", "bestfit", "random"]
    for row in rows.values():
        assert row["seed"] == 42
        assert 60 < row["allocation_percent"] <= 100
        powers = [row[f"it_power_kw_{load}"] for load in placement.LOADS_PERCENT]
        assert powers == sorted(powers)
    assert rows["ours"]["allocation_percent"] >= rows["random"]["allocation_percent"]
    assert figures["power_against_bestfit_percent_20"] < 0


def test_cards_of_a_pod_are_read(data):
    """`T4|G2` are two cards, an empty cell is any."""
    _, pods = placement.read_trace(data)
    assert [pod.models for pod in pods] == [frozenset()] * 4 + [{"T4", "G2"}]


def test_arrivals_end_when_the_gpus_asked_for_are_the_clusters():
    """Three halves reach a capacity of 1.2 GPUs; the seed alone decides who comes."""
    half = Pod(name="h", cpu_milli=1, memory_mib=1, gpus=1, gpu_milli=500)
    assert len(list(placement.arrivals([half], 1200, 1))) == 3
    others = [Pod(name=str(i), cpu_milli=1, memory_mib=1, gpus=1) for i in range(50)]
    drawn = [list(islice(placement.arrivals(others, 10**6, seed), 20)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(ConfigError, match="no pod asks"):
        next(placement.arrivals([Pod(name="c", cpu_milli=1, memory_mib=1)], 1000, 1))


def test_best_fit_takes_the_fullest_node_and_its_fullest_gpu():
    """The smaller node first; there the GPU that is already shared."""
    nodes = [
        Node(name=n, cpu_milli=c, memory_mib=99, gpus=2, model="T4") for n, c in (("large", 9000), ("small", 4000))
    ]
    cluster = placement.Cluster(nodes)
    half = Pod(name="h", cpu_milli=1000, memory_mib=1, gpus=1, gpu_milli=500)
    cluster.take(half, 1, [1])
    best = placement.bestfit(cluster, [half], 1)(half)
    assert (best.name, best.gpus) == ("small", (1,))


def test_a_trace_that_is_not_there_is_an_error(tmp_path):
    """It says which file, and where to get it."""
    with pytest.raises(ConfigError, match="GPU trace"):
        placement.run(quick=True, data=tmp_path)

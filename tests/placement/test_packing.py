"""Promises of GPU packing, on clusters small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.fragmentation import Workload, fragmentation
from placement.gpu_cluster import Cluster, Node, Pod
from placement.gpu_power import cluster_power_w, least_power_w
from placement.node_costs import Weights
from placement.packing import Packer, place
from plant.errors import ConfigError


def _node(name, cpu=32, gpus=2, model="T4", memory=100):
    return Node(name=name, cpu_milli=cpu * 1000, memory_mib=memory, gpus=gpus, model=model)


def _pod(milli=1000, gpus=1, cpu=4, memory=10, models=()):
    return Pod(name="p", cpu_milli=cpu * 1000, memory_mib=memory, gpus=gpus, gpu_milli=milli, models=frozenset(models))


def test_a_pod_that_fits_nowhere_has_no_place():
    """GPUs, threads, memory and card each rule a node out; a cluster without nodes has no place either."""
    cluster = Cluster([_node("a")])
    workload = Workload([_pod()])
    for pod in (_pod(gpus=3), _pod(cpu=33), _pod(memory=101), _pod(models={"A10"})):
        assert place(cluster, pod, workload) is None
    assert place(cluster, _pod(), workload) is not None
    assert place(Cluster([]), _pod(), workload) is None


def test_a_share_joins_the_gpu_that_is_begun():
    """Half a GPU beside half a GPU strands nothing and adds no power; on the free GPU it would do both."""
    cluster = Cluster([_node("a"), _node("b")])
    cluster.take(_pod(500), 1, [1])
    best = place(cluster, _pod(500), Workload([_pod(), _pod(500)]))
    assert (best.name, best.gpus) == ("b", (1,))
    assert best.power_w == 0
    # Before: whole GPUs could not use the 500. After: nothing of it is left. Half of the pods want whole ones.
    assert best.stranded_gpus == pytest.approx(-0.25)
    assert best.reasons[0] == "fits on 2 nodes"


def test_power_decides_between_places_that_strand_alike():
    """T4 draws 60 W more with work, P100 225 W, and a package 145 and 105 W; without power the first node would do."""
    cluster = Cluster([_node("dear", model="P100"), _node("cheap", model="T4")])
    workload = Workload([_pod()])
    best = place(cluster, _pod(), workload)
    assert (best.name, best.power_w) == ("cheap", pytest.approx(60 + 145))
    blind = Packer(cluster, workload, Weights(power=(0.0, 0.0), balance=0.0, pairing=0.0)).place(_pod())
    assert blind.name == "dear"


def test_many_threads_go_where_threads_are_left_over():
    """The workload asks 16 threads a GPU; a pod with 30 takes the node with 40 a GPU, one with 4 the one with 8."""
    nodes = [_node("poor", cpu=16), _node("rich", cpu=80)]
    workload = Workload([_pod(cpu=16)])
    packer = Packer(Cluster(nodes), workload, Weights(power=(0.0, 0.0), balance=1.0, threads=1.0, pairing=0.0))
    assert packer.place(_pod(cpu=16)).name == "rich"
    assert packer.place(_pod(cpu=4)).name == "poor"


def test_scores_that_are_remembered_are_those_of_a_new_policy():
    """After other pods came and one went, the packer that remembers places as one that starts now."""
    cluster = Cluster([_node("a"), _node("b", cpu=16, model="A10"), _node("c", gpus=4)])
    workload = Workload([_pod(), _pod(300), _pod(gpus=2)])
    packer = Packer(cluster, workload)
    first = packer.place(_pod(300))
    cluster.take(_pod(300), first.node, first.gpus)
    for pod in (_pod(gpus=2), _pod(300), _pod(700), _pod(gpus=0)):
        best = packer.place(pod)
        assert best == Packer(cluster, workload).place(pod)
        cluster.take(pod, best.node, best.gpus)
    cluster.release(_pod(300), first.node, first.gpus)
    assert packer.place(_pod(300)) == Packer(cluster, workload).place(_pod(300))


def test_stranded_gpu_has_a_cause():
    """One node each: threads are gone, memory is gone, a share is too small, the card is not accepted."""
    cluster = Cluster([_node("cpu"), _node("memory"), _node("share"), _node("model", model="P100")])
    cluster.take(_pod(gpus=0, cpu=30), 0, [])
    cluster.take(_pod(gpus=0, memory=95), 1, [])
    cluster.take(_pod(400), 2, [0])
    stranded = fragmentation(cluster, Workload([_pod(models={"T4"})]))
    assert (stranded.cpu, stranded.memory, stranded.model) == (2.0, 2.0, 2.0)
    assert stranded.gpu == pytest.approx(0.6)
    assert (stranded.total, stranded.free) == (pytest.approx(6.6), pytest.approx(7.6))


def test_a_package_is_left_for_need_if_few_threads_share_it():
    """A third thread begins 8 threads for 145 W on T4, or 64 for 250 W on A10: less at once is dearer in the end."""
    cluster = Cluster([_node("few", cpu=56), _node("many", cpu=64, model="A10")])
    cluster.take(_pod(gpus=0, cpu=48), 0, [])
    workload = Workload([_pod()])
    pod = _pod(gpus=0, cpu=4)
    for shared, name, power_w in ((0.0, "few", 145), (0.8, "many", 250)):
        best = Packer(cluster, workload, Weights(balance=0.0, shared=shared, pairing=0.0)).place(pod)
        assert (best.name, best.power_w) == (name, power_w)


def test_threads_and_gpus_of_a_package_run_out_together():
    """A10, 64 threads a package, two GPUs: few threads go beside 50, and many beside 10."""
    cluster = Cluster([_node("greedy", cpu=128, model="A10"), _node("modest", cpu=128, model="A10")])
    cluster.take(_pod(cpu=50), 0, [0])
    cluster.take(_pod(cpu=10), 1, [0])
    packer = Packer(cluster, Workload([_pod()]), Weights(power=(0.0, 0.0), balance=0.0, pairing=0.1))
    assert packer.place(_pod(cpu=5)).name == "greedy"
    best = packer.place(_pod(cpu=20))
    assert best.name == "modest"
    # Surplus 22 -> 34 threads; beside 50, half of 18 missing -> 58 in surplus, once the second package is awake.
    assert best.reasons[-1] == "what is left counts +1.200 (all that fit: +1.200 to +4.900)"


def test_power_counts_less_when_much_is_taken():
    """From its first value, where nothing is taken, down to its second, where `settled` is, and no further."""
    weights = Weights(power=(3.0, 1.0), settled=0.5)
    assert [weights.power_at(taken) for taken in (0.0, 0.25, 0.5, 1.0)] == [3.0, 2.0, 1.0, 1.0]


def test_power_counts_for_the_loads_that_are_still_to_come():
    """Looked at from 20 and 60 %: both count at first, then the second alone; late is late."""
    weights = Weights(loads=((0.2, 1.0), (0.6, 3.0)), settled=0.6, late=0.5)
    assert [weights.power_at(taken) for taken in (0.0, 0.19, 0.2, 0.59, 0.6)] == [4.0, 4.0, 3.0, 3.0, 0.5]


def test_power_of_a_cluster_by_hand():
    """Two T4 idle 20 W and one package 20 W; a share of one GPU and a thread make 70 + 10 + 165 W."""
    cluster = Cluster([_node("a")])
    assert cluster_power_w(cluster) == 40
    cluster.take(_pod(100, cpu=1), 0, [0])
    assert cluster_power_w(cluster) == 245


def test_packages_wake_one_after_the_other():
    """P100 with 40 threads: two packages of 16 cores; 32 threads are one, a core more is the second, 105 W each."""
    cluster = Cluster([_node("a", cpu=40, model="P100")])
    idle_w = cluster_power_w(cluster)
    assert idle_w == 2 * 25 + 2 * 15
    cluster.take(_pod(gpus=0, cpu=32), 0, [])
    assert cluster_power_w(cluster) == idle_w + 105
    cluster.take(_pod(gpus=0, cpu=1), 0, [])
    assert cluster_power_w(cluster) == idle_w + 210


def test_a_node_of_unknown_make_is_taken_for_a_thirsty_one():
    """One GPU of 400 W and 16 cores of 120 W."""
    cluster = Cluster([_node("a", gpus=1, model="mystery")])
    cluster.take(_pod(), 0, [0])
    assert cluster_power_w(cluster) == 520


def test_the_least_power_pours_all_into_the_cheapest():
    """Three halves on A10 and P100: a T4 pair takes 1.5 × 60 W above idle; 33 threads go to T4 first, 48 for 145 W."""
    cluster = Cluster([_node("a"), _node("b", model="A10"), _node("c", model="P100")])
    idle_w = cluster_power_w(cluster)
    assert least_power_w(cluster) == idle_w
    for node, gpu in ((1, 0), (1, 1), (2, 0)):
        cluster.take(_pod(500, cpu=11), node, [gpu])
    # T4 has 32 threads only: the last one goes to P100, 32 for 105 W.
    assert least_power_w(cluster) == pytest.approx(idle_w + 1.5 * 60 + 32 * 145 / 48 + 105 / 32)
    assert cluster_power_w(cluster) == pytest.approx(idle_w + 2 * 120 + 225 + 250 + 105)


def test_what_does_not_fit_is_not_taken():
    """The same GPU twice, a GPU that is full, too many threads: an error, and nothing has changed."""
    cluster = Cluster([_node("a")])
    cluster.take(_pod(), 0, [0])
    for pod, gpus in ((_pod(gpus=2), [1, 1]), (_pod(), [0]), (_pod(cpu=40), [1])):
        with pytest.raises(ConfigError, match="does not fit"):
            cluster.take(pod, 0, gpus)
    assert cluster.allocated_share == 0.5


def test_bad_input_is_refused():
    """Names twice, negative capacity, a workload without GPUs."""
    with pytest.raises(ConfigError, match="named twice"):
        Cluster([_node("a"), _node("a")])
    with pytest.raises(ConfigError, match="negative"):
        Cluster([_node("a", cpu=-1)])
    with pytest.raises(ConfigError, match="no pod asks"):
        Workload([_pod(gpus=0)])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([(1, 200), (1, 500), (1, 1000), (2, 1000), (0, 1000)]), st.integers(1, 20)),
        min_size=1,
        max_size=30,
    )
)
def test_nothing_is_given_twice_and_causes_add_up(asked):
    """Whatever comes, no GPU, thread or MiB goes below zero, a promised change of stranding is the real one."""
    cluster = Cluster([_node("a"), _node("b", model="A10", gpus=4), _node("c", cpu=8, gpus=1)])
    workload = Workload([_pod(), _pod(500), _pod(gpus=2, cpu=10)])
    packer = Packer(cluster, workload)
    for (gpus, milli), cpu in asked:
        pod = _pod(milli, gpus=gpus, cpu=cpu)
        before = (fragmentation(cluster, workload).total, cluster_power_w(cluster))
        best = packer.place(pod)
        assert (best is not None) == bool(cluster.fits(pod).any())
        if best is None:
            continue
        cluster.take(pod, best.node, best.gpus)
        after = (fragmentation(cluster, workload).total, cluster_power_w(cluster))
        assert np.subtract(after, before) == pytest.approx((best.stranded_gpus, best.power_w), abs=1e-9)
    assert least_power_w(cluster) <= cluster_power_w(cluster) + 1e-9
    assert min(cluster.gpu_free.min(), cluster.cpu_free.min(), cluster.memory_free.min()) >= 0
    stranded = fragmentation(cluster, workload)
    assert -1e-9 <= stranded.total <= stranded.free + 1e-9

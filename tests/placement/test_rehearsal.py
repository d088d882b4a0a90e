"""Promises of learning what nodes are worth: the grid of states, worth from prices, rehearsal on a small cluster."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from placement.fragmentation import Workload
from placement.gpu_cluster import Cluster, Node, Pod
from placement.gpu_power import cluster_power_w
from placement.node_costs import NodeCosts, Weights
from placement.node_states import NodeStates, most_points
from placement.node_worth import STAGES, Kinds, Market, first_worth
from placement.packing import Packer
from placement.rehearsal import LEARNING, can_learn, kinds_of, learn, mix_of


def _node(name, cpu=96, gpus=8, model="G2"):
    return Node(name=name, cpu_milli=cpu * 1000, memory_mib=400_000, gpus=gpus, model=model)


def _pod(cpu, milli=1000, gpus=1, models=()):
    return Pod(name="p", cpu_milli=cpu, memory_mib=1000, gpus=gpus, gpu_milli=milli, models=frozenset(models))


FEW, MANY, SHARE, NONE = _pod(4000), _pod(24000), _pod(6000, 470), _pod(12500, gpus=0)
NODES = [_node(f"g{i}") for i in range(8)] + [_node(f"t{i}", 104, 2, "T4") for i in range(16)]
PODS = [FEW] * 5 + [_pod(11500)] * 6 + [MANY] * 3 + [SHARE] * 4 + [NONE] * 2


@pytest.fixture(scope="module")
def worth():
    """What was learnt for the nodes and pods above."""
    return learn(NODES, PODS)


def _states(nodes=NODES):
    return NodeStates(Cluster(nodes), Workload(PODS))


def test_a_state_on_the_grid_is_read_as_it_stands():
    """Each point of the grid finds itself, whatever the shape: threads, packages, whole GPUs and parts."""
    states = _states()
    table = np.random.default_rng(1).random(states.size)
    points = states.points(states.shape, *states.awake(states.shape, states.cpu_free), states.whole, states.part)
    # A package that is full and the next one before it is begun are one state, so the first of them is found.
    assert points.read(table) == pytest.approx(table[points.index[:, 0]])
    assert (states.cpu_free[points.index[:, 0]] == states.cpu_free).all()


def test_between_cores_worth_is_interpolated():
    """One thread is half a core: what counts the free threads of the package counts it exactly."""
    states = _states([_node("a")])
    table = (states.cpu_free / 1000).astype(float)
    cpu_free = np.array([90_000, 91_000, 91_500])
    shape = np.zeros(3, dtype=np.int64)
    points = states.points(shape, *states.awake(shape, cpu_free), np.array([8, 7, 0]), np.array([0.0, 0.1, 1.0]))
    assert points.read(table) == pytest.approx([90, 91, 91.5])


def test_parts_count_by_who_can_use_them():
    """All that share ask for 470: 530 free are of use, 460 are not; whole GPUs are counted apart."""
    states = _states([_node("a", gpus=4)])
    whole, part = states.parts(np.array([[1000, 530, 0, 0], [1000, 1000, 460, 460]]))
    assert whole.tolist() == [1, 2]
    assert part == pytest.approx([0.95 * 0.53, 0.0])


def test_a_node_gains_what_pods_would_pay_elsewhere():
    """A price above the cost gives worth to states that can take the kind, and none where it fits nowhere."""
    nodes, weights = [_node("a", 32, 2, "T4")], Weights(power=(1.0, 1.0), stranded=0.0, balance=0.0, settled=0.8)
    states, workload = NodeStates(Cluster(nodes), Workload([FEW])), Workload([FEW])
    costs = NodeCosts(states.shapes, workload, weights)
    market = Market(states, costs, Kinds((FEW,), np.ones(1)), 2000)
    zero = first_worth(states, costs)
    zero.tables[:] = 0.0
    dear = market.improved(zero, np.full((STAGES, 1), 10.0), 1.0).tables[0]
    takes = (states.whole >= 1) & (states.cpu_free >= FEW.cpu_milli)
    assert (dear[takes] > 0).all()
    assert (dear[~takes] == 0).all()
    # The most that can be gained: two pods at 10, less 2 · 60 W and, from idle, 145 W for the package (of 250 W).
    empty = (states.whole == 2) & (states.cpu_free == 32_000) & (states.part == 0)
    assert dear[empty].max() == pytest.approx(20 - (120 + 145) / 250, abs=0.05)
    nowhere = market.improved(zero, np.full((STAGES, 1), -np.inf), 1.0)
    assert (nowhere.tables == 0).all()


def test_a_card_that_is_not_accepted_gains_nothing():
    """Pods for A10 alone give a T4 node no worth."""
    nodes, picky = [_node("a", 32, 2, "T4")], _pod(4000, models={"A10"})
    weights = Weights(stranded=0.0, balance=0.0, shared=0.0, pairing=0.0)
    states = NodeStates(Cluster(nodes), Workload([FEW]))
    costs = NodeCosts(states.shapes, Workload([FEW]), weights)
    market = Market(states, costs, Kinds((picky, FEW), np.array([0.5, 0.5])), 2000)
    prices = np.tile([10.0, -np.inf], (STAGES, 1))
    assert (market.improved(first_worth(states, costs), prices, 1.0).tables == 0).all()


def test_like_requests_are_one_kind():
    """Threads within a half and shares within 40 thousandths; shares of arrivals add up."""
    kinds = kinds_of(mix_of([_pod(4000), _pod(4100), _pod(4100), _pod(9000), _pod(4000, 470), _pod(4000, 480)]))
    found = {(pod.cpu_milli, pod.gpu_milli): share for pod, share in zip(kinds.pods, kinds.share, strict=True)}
    assert found == pytest.approx({(4100, 1000): 0.5, (9000, 1000): 1 / 6, (4000, 470): 1 / 3})


def test_arrivals_are_drawn_as_often_as_they_are_expected():
    """A quarter of the pods is a quarter of the arrivals, whatever they are called."""
    mix, rng = mix_of([replace(FEW, name="a"), replace(FEW, name="b"), FEW, NONE]), np.random.default_rng(3)
    drawn = [mix.draw(rng) for _ in range(2000)]
    assert len(mix.pods) == 2
    assert sum(pod.gpus == 0 for pod in drawn) / 2000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("nodes", "pods", "can"),
    [
        (NODES, PODS, True),
        ([_node("a", gpus=0)], PODS, False),
        (NODES, [_pod(10, milli=1)], False),
        ([_node(str(i), cpu=64 + i) for i in range(400)], PODS, False),
    ],
)
def test_only_what_is_in_proportion_is_learnt(nodes, pods, can):
    """Nothing without GPUs, for crumbs of GPUs or for hundreds of kinds of nodes."""
    assert can_learn(nodes, pods) == can


def test_points_are_told_before_the_grid_is_laid_out():
    """A bound that is not far off."""
    assert _states().size <= most_points(NODES) < 1.1 * _states().size


def test_learning_is_repeatable(worth):
    """The same cluster and pods give the same worth, in whatever order; it is not what it began with."""
    assert learn(NODES[::-1], PODS[::-1]).tables == pytest.approx(worth.tables, abs=1e-6)
    costs = NodeCosts(worth.states.shapes, Workload(PODS), LEARNING)
    assert not np.allclose(first_worth(worth.states, costs).tables, worth.tables)


def _filled(packer, seed, share):
    """Pods drawn from the mix until that share of the GPU is taken."""
    cluster, rng = packer.cluster, np.random.default_rng(seed)
    while cluster.allocated_share < share:
        pod = PODS[int(rng.integers(len(PODS)))]
        place = packer.place(pod)
        if place is None:
            break
        cluster.take(pod, place.node, place.gpus)
    return cluster


def test_what_was_learnt_saves_power(worth):
    """On arrivals that it never saw, the mean power at 40 and 60 % is below that of the policy that guesses."""

    def mean_w(learnt):
        packers = [
            (Packer(Cluster(NODES), Workload(PODS), worth=learnt), s, u) for s in range(1, 5) for u in (0.4, 0.6)
        ]
        return np.mean([cluster_power_w(_filled(*case)) for case in packers])

    assert mean_w(worth) < mean_w(None)


def test_remembered_scores_are_those_of_a_new_policy_in_every_stage(worth):
    """A packer that went through the stages places as one that starts now."""
    packer = Packer(Cluster(NODES), Workload(PODS), worth=worth)
    for share in (0.2, 0.5, 0.9):
        _filled(packer, 7, share)
        for pod in (FEW, MANY, SHARE, NONE):
            assert packer.place(pod) == Packer(packer.cluster, packer.workload, worth=worth).place(pod)


CROWD = [_node(f"g{i}") for i in range(300)] + [_node(f"t{i}", 104, 2, "T4") for i in range(300)] + [_node("m", 8, 1)]


def _unlearnt(nodes, **weights):
    """Worth of nothing: power, stranding and balance count nothing either, so that crowding alone decides."""
    none = {"power": (0.0, 0.0), "stranded": 0.0, "balance": 0.0, "shared": 0.0, "pairing": 0.0, "settled": 0.8}
    states = _states(nodes)
    return first_worth(states, NodeCosts(states.shapes, Workload(PODS), Weights(**{**none, **weights})))


def test_a_crowd_costs_and_a_lack_of_threads_pays():
    """60,008 threads: usual are 1 % of them for each package of a node; a package more costs `crowd` at twice that."""
    worth = _unlearnt(CROWD, crowd=2.0, spare=(0.01, 0.02))
    threads = np.bincount(worth.states.of(Cluster(CROWD)), Cluster(CROWD).cpu / 1000)
    usual = 0.01 * threads.sum() * np.array([1, 2, 3])
    package = np.array([8, 64, 48])
    assert [node.cpu_milli for node in worth.states.shapes.nodes] == [8000, 96_000, 104_000]
    for free, loose, costs in ((usual, 1.0, 0.0), (0 * usual, 1.0, -2.0), (2 * usual, 1.0, 2.0), (2 * usual, 2.0, 0.0)):
        counts = worth.crowding(free, threads, 0.0, loose)
        # The one small node is no crowd whatever stands free.
        assert counts * package == pytest.approx([0.0, costs, costs])
    assert worth.crowding(2 * usual, threads, 0.8 - 1e-9, 1.0)[1:] == pytest.approx(0.0, abs=1e-6)
    assert (worth.crowding(2 * usual, threads, 0.8, 1.0) == 0).all()


def test_in_a_small_cluster_nothing_is_a_crowd(worth):
    """A single package that is begun would be many times what is usual."""
    threads = np.array([768.0, 1664.0])
    assert (worth.crowding(threads, threads, 0.1, 1.0) == 0).all()


def test_a_crowded_shape_is_left_and_prices_do_not_tell():
    """200 G2 without a free GPU have 63 threads to spare each, so the next package is begun on T4; at rest on G2."""
    worth = _unlearnt(CROWD, spare=(0.01, 0.01))
    rest, crowded = (Packer(Cluster(CROWD), Workload(PODS), worth=worth) for _ in range(2))
    for node in range(200):
        crowded.cluster.take(_pod(1000, gpus=8), node, range(8))
    assert rest.place(FEW).name == "g0"
    assert crowded.place(FEW).name == "t0"
    # Who needs no GPU takes of what is too many.
    assert crowded.place(NONE).name == "g0"
    assert crowded.price(FEW) == rest.price(FEW) == 0.0

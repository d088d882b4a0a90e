"""Promises of the memory of what was learnt, and of learning in a process of its own."""

from __future__ import annotations

import pytest

from placement import learn_apart as apart
from placement.gpu_cluster import Node, Pod
from placement.learnt import Learnt, case_of, frequent
from placement.rehearsal import learn
from plant.errors import ColdplateError

NODES = [Node(name=f"t{i}", cpu_milli=104_000, memory_mib=400_000, gpus=2, model="T4") for i in range(6)]


def _pod(cpu, gpus=1, milli=1000):
    return Pod(name="p", cpu_milli=cpu, memory_mib=1000, gpus=gpus, gpu_milli=milli)


PODS = [_pod(4000), _pod(12_000, milli=500), _pod(8000, gpus=0)]


def test_a_case_is_nodes_by_kind_and_requests_by_share():
    """Names, order and the size of the sample do not matter; another node does, another mix as far as it differs."""
    case = case_of(NODES, PODS)
    renamed = [Node(name=f"x{i}", cpu_milli=104_000, memory_mib=400_000, gpus=2, model="T4") for i in range(6)]
    assert case.differs(case_of(renamed, PODS[::-1] * 3)) == 0
    assert case.differs(case_of(NODES[1:], PODS)) == 1
    assert case.differs(case_of(NODES, [*PODS, _pod(9000)])) == pytest.approx(0.25)


def test_what_is_like_enough_is_found_and_the_oldest_is_forgotten():
    """The nearest mix is found if it is near enough; of two that are kept the one asked for longest ago goes."""
    learnt, worths = Learnt(kept=2), [learn(NODES, [pod]) for pod in PODS[:2]]
    first, second, third = (case_of(NODES, pods) for pods in (PODS[:1], PODS[1:2], PODS))
    for case, worth in zip((first, second), worths, strict=True):
        learnt.keep(case, worth)
    assert learnt.find(first, 0.0) is worths[0]
    assert learnt.find(third, 0.5) is None
    assert learnt.find(third, 0.7) is not None
    assert learnt.find(first, 0.0) is worths[0]
    learnt.keep(third, learn(NODES, PODS))
    assert learnt.find(second, 0.0) is None
    assert learnt.find(first, 0.0) is worths[0]


def test_rare_requests_do_not_count():
    """The most frequent with GPUs, and the most frequent without."""
    often = [PODS[0], PODS[0], PODS[2], PODS[2]]
    assert frequent([*often, PODS[1], _pod(1000, gpus=0)], most=1) == often


async def test_a_child_learns_the_same():
    """Worth comes back as it was learnt."""
    worth = await apart.learn_apart(NODES, PODS, 60.0)
    assert worth.tables == pytest.approx(learn(NODES, PODS).tables)


async def test_a_child_that_takes_too_long_ends():
    """The wait is over after the limit, and so is the child (else its pipes would be left open: an error here)."""
    with pytest.raises(TimeoutError):
        await apart.learn_apart(NODES, PODS, 0.01)


async def test_a_child_that_dies_says_why():
    """Two nodes of one name can't be learnt for."""
    with pytest.raises(ColdplateError, match="named twice"):
        await apart.learn_apart([NODES[0], NODES[0]], PODS, 60.0)

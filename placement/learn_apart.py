"""Learning for packing in a process of its own, so that a server goes on answering meanwhile.

`python -m placement.learn_apart` reads nodes and pods from its input and writes what it learnt to its output, pickled:
both ends are coldplate's own. It is the last to get a processor.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence

from placement.gpu_cluster import Node, Pod
from placement.node_worth import Worth
from placement.rehearsal import learn
from plant.errors import ColdplateError

_NICE = 10


async def learn_apart(nodes: Sequence[Node], pods: Sequence[Pod], limit_s: float) -> Worth:
    """As `learn`, by a child that ends with the waiting.

    Raises:
        TimeoutError: it took longer than limit_s [s].
        ColdplateError: the child died.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        async with asyncio.timeout(limit_s):
            out, err = await child.communicate(pickle.dumps((list(nodes), list(pods))))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        lines = err.decode(errors="replace").split("\n")
        raise ColdplateError(f"learning died ({child.returncode}): {' '.join(lines[-2:]).strip()}")
    worth: Worth = pickle.loads(out)  # noqa: S301 - written by the child just started
    return worth


def _main() -> None:
    os.nice(_NICE)
    nodes, pods = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    pickle.dump(learn(nodes, pods), sys.stdout.buffer)


if __name__ == "__main__":
    _main()

"""What `bench hints` is compared with: the extender's two verbs as anybody would write them with FastAPI and pydantic.

    python -m benchmarks.hints_peer PORT NODES     nodes node-00000…, scores from their numbers

The same contract, the same number of nodes, scores in a dict: models for question and answer, a loop over the names.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

GPUS, GPU_W = "nvidia.com/gpu", 1833.0
Rooms = dict[str, tuple[float, int]]
"""Node -> room [W] and score."""


class Args(BaseModel):
    """ExtenderArgs, by names."""

    Pod: dict[str, Any]
    NodeNames: list[str]


class Filtered(BaseModel):
    """ExtenderFilterResult."""

    Nodes: None = None
    NodeNames: list[str]
    FailedNodes: dict[str, str]
    Error: str = ""


class Scored(BaseModel):
    """HostPriority."""

    Host: str
    Score: int


def peer(rooms: Rooms) -> FastAPI:
    """The application."""
    app = FastAPI()

    @app.post("/k8s/extender/filter", response_model=Filtered)
    def filter_nodes(args: Args) -> Filtered:
        """Nodes with room."""
        wanted_w = _power_w(args.Pod)
        failed = {n: f"{rooms[n][0] / 1e3:.1f} kW left" for n in args.NodeNames if rooms[n][0] < wanted_w}
        return Filtered(NodeNames=[n for n in args.NodeNames if n not in failed], FailedNodes=failed)

    @app.post("/k8s/extender/prioritize", response_model=list[Scored])
    def prioritize(args: Args) -> list[Scored]:
        """Nodes with scores."""
        return [Scored(Host=n, Score=rooms[n][1]) for n in args.NodeNames]

    return app


def _power_w(pod: dict[str, Any]) -> float:
    limits = (c.get("resources", {}).get("limits", {}) for c in pod.get("spec", {}).get("containers", []))
    return sum(float(limit.get(GPUS, 0)) for limit in limits) * GPU_W


def main() -> None:
    """Serve until killed."""
    port, count = map(int, sys.argv[1:3])
    rooms = {f"node-{i:05d}": (1e3 * (i % 97), i % 11) for i in range(count)}
    uvicorn.run(peer(rooms), host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()

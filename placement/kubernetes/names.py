"""Names that kube-scheduler may call nodes by, made once for a site: its answers name ten thousand of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Names:
    """By name: the rack; the beginning of its row of scores, up to the figure."""

    rack_of: Mapping[str, str]
    rows: Mapping[str, bytes]


def names_of(nodes: Mapping[str, str], also: Mapping[str, str]) -> Names:
    """nodes: node -> rack; also: other names of them -> theirs."""
    rack_of = {own: nodes[node] for own, node in also.items()} | dict(nodes)
    return Names(rack_of=rack_of, rows={name: row(name, 0)[:-2] for name in rack_of})


def row(name: str, score: int) -> bytes:
    """A HostPriority."""
    return _ENCODER.encode({"Host": name, "Score": score})

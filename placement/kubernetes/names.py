"""Names that kube-scheduler may call nodes by, made once for a site: its answers name ten thousand of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

_ENCODER = msgspec.json.Encoder()


class _Rows(dict[str, bytes]):
    """By name: the beginning of its row of scores, up to the figure; also of one that is not known."""

    def __missing__(self, name: str) -> bytes:
        return _ENCODER.encode({"Host": name, "Score": 0})[:-2]


class _Numbers(dict[str, int]):
    """By name: its rack's number; of one that is not known the number after the last."""

    def __init__(self, rack_of: Mapping[str, str], racks: Sequence[str]) -> None:
        number = {rack: i for i, rack in enumerate(racks)}
        super().__init__((name, number[rack]) for name, rack in rack_of.items())
        self._stranger = len(racks)

    def __missing__(self, _: str) -> int:
        return self._stranger


@dataclass(frozen=True, slots=True)
class Names:
    """racks: in their table's order. By name: number of the rack; the beginning of its row of scores.

    Looked up, a name that nobody knows has the number after the last, and a row too; neither is kept.
    """

    racks: tuple[str, ...]
    numbers: Mapping[str, int]
    rows: Mapping[str, bytes]


def names_of(nodes: Mapping[str, str], also: Mapping[str, str]) -> Names:
    """nodes: node -> rack; also: other names of them -> theirs."""
    racks = tuple(dict.fromkeys(nodes.values()))
    rack_of = {own: nodes[node] for own, node in also.items()} | dict(nodes)
    rows = _Rows()
    rows.update((name, rows[name]) for name in rack_of)
    return Names(racks=racks, numbers=_Numbers(rack_of, racks), rows=rows)

"""Take nodes out of service and back, with reasons of our own; what others drained stays theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from placement.slurm.commands import Slurm
from placement.slurm.nodes import PREFIX, read_nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """Nodes that were (dry: would be) drained and resumed, and those that others have drained."""

    drained: tuple[str, ...]
    resumed: tuple[str, ...]
    foreign: tuple[str, ...]


async def reconcile_drains(slurm: Slurm, wanted: Mapping[str, str], *, dry: bool = False) -> Drained:
    """Drain each node of wanted (node -> reason in words), give back ours that are not in it.

    Nodes that are drained for another's reason are left as they are: a resume of ours would put a
    broken node back into service, and a reason of ours would hide why it is broken. Nodes that are lent stay lent.

    Raises:
        SilentError: the controller did not answer.
        RefusedError: it refused.
    """
    nodes = await read_nodes(slurm)
    foreign = tuple(sorted(n for n in wanted if n in nodes and nodes[n].drains and not nodes[n].drained_by_us))
    fresh = tuple(name for name in sorted(wanted) if name in nodes and not nodes[name].drains)
    lines = [f'update nodename={name} state=drain reason="{drain_reason(wanted[name])}"' for name in fresh]
    ours = (n for n in nodes.values() if n.drains and n.drained_by_us and not n.drained_for_a_loan)
    back = tuple(sorted(n.name for n in ours if n.name not in wanted))
    if back:
        lines.append(f"update nodename={','.join(back)} state=resume")
    if not dry:
        await slurm.update_all(lines)
    return Drained(drained=fresh, resumed=back, foreign=foreign)


def drain_reason(words: str) -> str:
    """A reason of ours, fit for Slurm's command line and for one line of `sinfo`."""
    plain = words.replace('"', "'").replace("|", "/")
    return " ".join([PREFIX, *plain.split()])

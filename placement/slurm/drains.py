"""Take nodes out of service and back, with reasons of our own; what others drained stays theirs."""

from __future__ import annotations

from collections.abc import Mapping

from placement.slurm.commands import Slurm
from placement.slurm.nodes import PREFIX, read_nodes


async def reconcile_drains(slurm: Slurm, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Drain each node of wanted (node -> reason in words), give back ours that are not in it.

    Returns the nodes that are drained for another's reason, which are left as they are: a resume of ours would put a
    broken node back into service, and a reason of ours would hide why it is broken. Nodes that are lent stay lent.

    Raises:
        SilentError: the controller did not answer.
        RefusedError: it refused.
    """
    nodes = await read_nodes(slurm)
    foreign = tuple(sorted(n for n in wanted if n in nodes and nodes[n].drains and not nodes[n].drained_by_us))
    lines = [
        f'update nodename={name} state=drain reason="{drain_reason(reason)}"'
        for name, reason in sorted(wanted.items())
        if name in nodes and not nodes[name].drains
    ]
    ours = (n for n in nodes.values() if n.drains and n.drained_by_us and not n.drained_for_a_loan)
    back = [n.name for n in ours if n.name not in wanted]
    if back:
        lines.append(f"update nodename={','.join(sorted(back))} state=resume")
    await slurm.update_all(lines)
    return foreign


def drain_reason(words: str) -> str:
    """A reason of ours, fit for Slurm's command line and for one line of `sinfo`."""
    plain = words.replace('"', "'").replace("|", "/")
    return " ".join([PREFIX, *plain.split()])

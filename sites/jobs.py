"""What a site file says of jobs: the rack of each node, the power of GPUs, and a file to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from plant.errors import ConfigError
from plant.hostlist import hosts, names_there
from plant.job_knowledge import JobKnowledge
from sites.document import Document
from sites.form import SiteForm
from sites.problem import Fault, one_of


def job_knowledge(form: SiteForm, document: Document) -> JobKnowledge:
    """As the plant's own type; `form` must have no faults, `document` is the site file."""
    jobs = form.jobs
    nodes = {n: rack for rack, words in jobs.nodes.items() for word in words for n in hosts(word)}
    return JobKnowledge(
        file=str(Path(document.path).parent / jobs.file) if jobs.file else "",
        rack_of_node=nodes,
        leaf_of_node={n: leaf for leaf, words in jobs.leaves.items() for word in words for n in hosts(word)},
        names={name: names_there(names, nodes) for name, names in jobs.names.items()},
        node_at=_nodes_at(form, document),
        named_at={name: _named_at(names, name, document) for name, names in jobs.names.items()},
        gpu_power_w=dict(jobs.gpu_power_w),
    )


def _nodes_at(form: SiteForm, document: Document) -> dict[str, str]:
    """Node -> `file:line` of its rack's nodes."""
    lines = document.entries(("jobs", "nodes"))
    return {n: lines.get(rack, "") for rack, words in form.jobs.nodes.items() for word in words for n in hosts(word)}


def _named_at(names: Mapping[str, str], scheduler: str, document: Document) -> dict[str, str]:
    """What a scheduler calls a node -> `file:line` of where that is said."""
    lines = document.entries(("jobs", "names", scheduler))
    return {own: lines.get(word, "") for word, there in names.items() for own in hosts(there)}


def job_faults(form: SiteForm) -> Iterator[Fault]:
    """Nodes of unknown racks, in two racks or leaves, in words that name none; in no rack; of names that can't be."""
    racks = [e.id for e in form.equipment if e.kind == "rack"]
    for rack in form.jobs.nodes:
        if rack not in racks:
            place = ("jobs", "nodes", rack)
            yield Fault(place=place, message=f"jobs name unknown rack {rack!r}", remedy=one_of(rack, racks))
    nodes: dict[str, str] = {}
    yield from _once(form.jobs.nodes, "nodes", nodes)
    leaves: dict[str, str] = {}
    yield from _once(form.jobs.leaves, "leaves", leaves)
    stray = next((node for node in leaves if node not in nodes), None)
    if stray is not None:
        message = f"node {stray!r} of leaf {leaves[stray]!r} stands in no rack"
        yield Fault(place=("jobs", "leaves", leaves[stray]), message=message, remedy="name it under jobs.nodes, too")
    for scheduler in form.jobs.names:
        yield from _misnamed(form, scheduler, nodes)


def _misnamed(form: SiteForm, scheduler: str, nodes: Mapping[str, str]) -> Iterator[Fault]:
    """What a scheduler can't call nodes so, and nodes that stand nowhere."""
    place = ("jobs", "names", scheduler)
    try:
        named = names_there(form.jobs.names[scheduler], nodes)
    except ConfigError as error:
        yield Fault(place=place, message=error.message, remedy=error.remedy)
        return
    stray = next((node for node in named if node not in nodes), None)
    if stray is not None:
        message = f"node {stray!r} stands in no rack"
        yield Fault(place=place, message=message, remedy="name it under jobs.nodes, too: names are NODE: NAME THERE")


def _once(given: Mapping[str, list[str]], key: str, seen: dict[str, str]) -> Iterator[Fault]:
    """Words that name no node, and nodes that stand twice; fills seen with node -> where it stands."""
    for where, words in given.items():
        place = ("jobs", key, where)
        try:
            named = [n for word in words for n in hosts(word)]
        except ConfigError as error:
            yield Fault(place=place, message=error.message, remedy=error.remedy)
            continue
        twice = next((n for n in named if n in seen), None)
        if twice is not None:
            message = f"node {twice!r} stands in {seen[twice]} and {where}"
            yield Fault(place=place, message=message, remedy="keep it where it stands")
        seen |= dict.fromkeys(named, where)

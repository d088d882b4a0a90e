"""What feeds what: walks over the feeds of a site file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sites.form import EquipmentForm

Feeds = Mapping[str, Sequence[str]]

POWER_KINDS = frozenset({"utility", "ups", "pdu", "power-shelf"})
COOLING_KINDS = frozenset({"cdu", "sidecar"})
RACK_COOLERS = COOLING_KINDS | {"rear-door"}
FACILITY_KINDS = frozenset({"fws-loop", "pump", "dry-cooler", "cooling-tower", "economiser", "chiller"})


def feeds_of(equipment: Iterable[EquipmentForm]) -> dict[str, list[str]]:
    """Id to the ids that it feeds."""
    return {e.id: e.feeds for e in equipment}


def turned(feeds: Feeds) -> dict[str, list[str]]:
    """The same edges backwards: id to the ids that feed it."""
    sources: dict[str, list[str]] = {e: [] for e in feeds}
    for source, targets in feeds.items():
        for target in targets:
            sources.setdefault(target, []).append(source)
    return sources


def reached(start: Iterable[str], feeds: Feeds, through: Collection[str] | None = None) -> set[str]:
    """Everything on a way from `start`; with `through`, only ways over these ids (their ends included)."""
    found: set[str] = set()
    waiting = [t for s in start for t in feeds.get(s, ())]
    while waiting:
        node = waiting.pop()
        if node not in found and (through is None or node in through):
            found.add(node)
            waiting.extend(feeds.get(node, ()))
    return found


def loop_in(feeds: Feeds) -> list[str]:
    """One circle of feeds, its first id repeated at the end; empty if there is none."""
    done: set[str] = set()
    for start in feeds:
        path, branches = [start], [iter(feeds[start])]
        while branches and start not in done:
            target = next(branches[-1], None)
            if target is None:
                done.add(path.pop())
                branches.pop()
            elif target in path:
                return [*path[path.index(target) :], target]
            elif target in feeds and target not in done:
                path.append(target)
                branches.append(iter(feeds[target]))
    return []

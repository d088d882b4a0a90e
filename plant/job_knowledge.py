"""What a site file says of jobs: where nodes stand, what schedulers call them, and what a GPU draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class JobKnowledge:
    """Where jobs are read from (a file, or empty), rack and leaf of nodes, and what a GPU in work draws [W] by type.

    names: by scheduler what it calls nodes that the site calls otherwise, node -> its name there.
    node_at, named_at: `file:line` of where the site file says so, by node, and by scheduler and its own name.
    """

    file: str = ""
    rack_of_node: Mapping[str, str] = field(default_factory=dict)
    leaf_of_node: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    gpu_power_w: Mapping[str, float] = field(default_factory=dict)
    node_at: Mapping[str, str] = field(default_factory=dict)
    named_at: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def also(self) -> Mapping[str, str]:
        """Name that some scheduler calls a node by -> the site's name of it."""
        return {own: node for names in self.names.values() for node, own in names.items()}

    def node(self, name: str) -> str:
        """The site's name of a node by any of its names; a name that nobody knows as it is."""
        return name if name in self.rack_of_node else self.also.get(name, name)

    def said_at(self, scheduler: str, name: str) -> str:
        """`file:line` of what the site file calls so at a scheduler; "" where it says nothing of it."""
        return self.named_at.get(scheduler, {}).get(name) or self.node_at.get(name, "")

    def rack_of(self, name: str) -> str | None:
        """Rack of a node by any of its names; None where nobody said."""
        return self.rack_of_node.get(self.node(name))

"""The hints of this moment: a table of all nodes, made anew only when what it rests on has changed or run out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from api.answers import encode
from api.live import good_value
from api.mirror import Mirror
from placement.budgets import BudgetState, caps, shares, states
from placement.even_place import Draws
from placement.hint_list import InputAge, NodeHints, blocks_of, hint_list, node_power_w, nodes_of
from placement.hints import HEADROOM_MAX_AGE_S
from placement.kubernetes.extender import Extender, PodPower
from placement.kubernetes.names import Names, names_of
from placement.kubernetes.promises import Budgeted, Promises
from placement.kubernetes.questions import Questions
from placement.node_table import Array, NodeTable, node_rows, rack_table
from placement.rooms import Room, believed, cdu_rooms, node_rooms
from placement.workload import Layout, layout_of
from plant.job_knowledge import JobKnowledge
from plant.records import Headroom
from plant.topology import Site
from sites.network import POWER_KINDS

WATCHED_S = 2.0
"""Under a budget, how often what runs is looked at again [s, real]."""


@dataclass(frozen=True, kw_only=True)
class Edition:
    """What one state of the inputs gives: a table of racks, and by and by what is asked of it. nodes: node -> rack.

    shared_w: what each block (CDU or loop) can still take, (blocks,) [W]; node_w: what one more busy node draws [W].
    """

    racks: NodeTable
    nodes: Mapping[str, str]
    shared_w: Array
    inputs: tuple[InputAge, ...]
    node_w: Array
    blocks: Mapping[str, str]
    pod_power: PodPower
    promises: Promises
    questions: Questions
    jobs: JobKnowledge
    called: Names
    budgets: tuple[Budgeted, ...] = ()

    @cached_property
    def table(self) -> NodeTable:
        """A row for each node: twenty times as many."""
        return node_rows(self.racks, self.nodes)

    @cached_property
    def hints(self) -> NodeHints:
        """The list of all nodes; costs as much as all the rest, and many a scheduler never asks for it."""
        return hint_list(self.table, self.node_w, self.blocks, self.inputs, self.jobs.names)

    @cached_property
    def body(self) -> bytes:
        """The list as JSON."""
        return encode(self.hints)

    @cached_property
    def extender(self) -> Extender:
        """The Kubernetes scheduler extender; it judges by rack."""
        return Extender(self.racks, self.pod_power, self.promises, self.budgets, self.called, self.questions)


class HintBook:
    """The newest edition."""

    def __init__(self, site: Site, mirror: Mirror) -> None:
        self._site, self._mirror = site, mirror
        self._promises = Promises(mirror.real_s)
        self.questions = Questions(mirror.real_s)
        self._key: tuple[float, ...] = ()
        self._edition: Edition | None = None

    @cached_property
    def full_w(self) -> dict[str, float]:
        """Rack -> its design power [W]; a rack without one is never known to have room."""
        return {r.id: r.design.get("power_w", math.nan) for r in self._site.of_kind("rack")}

    @cached_property
    def _nodes(self) -> dict[str, str]:
        return nodes_of(self._site)

    @cached_property
    def _called(self) -> Names:
        return names_of(self._nodes, self._site.jobs.also)

    @cached_property
    def _blocks(self) -> dict[str, str]:
        return blocks_of(self._site)

    @cached_property
    def node_w(self) -> Array:
        """What one more busy node draws [W], (n,)."""
        return node_power_w(self._site, {r: 0.0 if math.isnan(w) else w for r, w in self.full_w.items()})

    @cached_property
    def layout(self) -> Layout:
        """Where nodes stand."""
        return layout_of(self._nodes, self._blocks, self._site.jobs.leaf_of_node)

    @cached_property
    def _feed(self) -> npt.NDArray[np.int64]:
        """The number of what feeds each rack of the layout with power; racks without a feed share one."""
        kinds, fed_by = self._site.equipment, self._site.fed_by
        names = [next((f for f in fed_by.get(r, ()) if kinds[f].kind in POWER_KINDS), "") for r in self.layout.racks]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    def draws(self) -> Draws:
        """What the layout's racks draw now; one whose power is not good counts with its design power."""
        full_w = np.array([self.full_w.get(rack, math.nan) for rack in self.layout.racks])
        full_w = np.where(np.isfinite(full_w), full_w, 1.0)  # without one it is never known to have room
        values = [good_value(self._mirror, self._site, f"{rack}/power") for rack in self.layout.racks]
        told = np.array([math.nan if value is None else value for value in values])
        return Draws(power_w=np.where(np.isfinite(told), told, full_w), full_w=full_w, feed=self._feed)

    @cached_property
    def node_index(self) -> dict[str, int]:
        """Node -> its number."""
        return {name: i for i, name in enumerate(self._nodes)}

    @property
    def now_s(self) -> float:
        """Site time [s since 1970]."""
        return self._mirror.now_s

    def budgets(self) -> list[BudgetState]:
        """Budgets in force and what runs under them."""
        mirror, site = self._mirror, self._site
        if not mirror.budgets:
            return []
        power_w = {r.id: good_value(mirror, site, f"{r.id}/power") for r in site.of_kind("rack")}
        return states(site, mirror.budgets, power_w, mirror.now_s)

    def now(self) -> Edition:
        """The edition of this moment."""
        mirror = self._mirror
        watched = mirror.real_s() // WATCHED_S if mirror.budgets else 0.0
        key = (*(float(mirror.versions.get(k, 0)) for k in ("headroom", "ride_through", "budgets", "clock")), watched)
        if self._edition is None or key != self._key or mirror.now_s >= self._edition.racks.expires_s:
            self._key, self._edition = key, self._made()
        return self._edition

    @cached_property
    def pod_power(self) -> PodPower:
        """What a pod's GPU draws [W]: the racks' design power by their GPUs, as Kubernetes names no type."""
        known = [w for w in self.full_w.values() if not math.isnan(w)]
        gpus = self._site.gpus_per_rack
        return PodPower(gpu_w=sum(known) / len(known) / gpus if known and gpus else 0.0)

    def _made(self) -> Edition:
        mirror = self._mirror
        headrooms, counting = believed(mirror.headroom, mirror.now_s), self.budgets()
        racks = rack_table(
            self._called.racks,
            headrooms,
            self.full_w,
            self._calm_s(),
            mirror.now_s,
            HEADROOM_MAX_AGE_S,
            caps(self._site, counting),
            self._blocks,
        )
        return Edition(
            racks=racks,
            nodes=self._nodes,
            shared_w=self._shared_w(headrooms),
            inputs=self._inputs(),
            node_w=self.node_w,
            blocks=self._blocks,
            pod_power=self.pod_power,
            promises=self._promises,
            questions=self.questions,
            jobs=self._site.jobs,
            called=self._called,
            budgets=tuple(
                Budgeted(scope=s.budget.scope, room_w=s.room_w, shares=shares(self._site, s.budget.scope))
                for s in counting
            ),
        )

    def _shared_w(self, headrooms: Iterable[Headroom]) -> Array:
        """By block, the least that one of its racks tells; what nobody tells does not limit."""
        least: dict[str, float] = {}
        for found in headrooms:
            block = self._blocks.get(found.rack, found.rack)
            if found.known and math.isfinite(found.shared_w):
                least[block] = min(found.shared_w, least.get(block, math.inf))
        return np.array([least.get(block, math.inf) for block in self.layout.blocks], dtype=np.float64)

    def rooms(self, level: str) -> list[Room]:
        """Headroom by CDU or by node."""
        mirror = self._mirror
        headrooms, held = believed(mirror.headroom, mirror.now_s), caps(self._site, self.budgets())
        if level == "node":
            return node_rooms(self._nodes, self.full_w, headrooms, held)
        return cdu_rooms(self._site, headrooms, mirror.ride_through, held)

    def _calm_s(self) -> dict[str, float]:
        """Rack -> ride-through [s] if the worst pump of its loop stops; 0 where not known."""
        worst: dict[str, float] = {}
        for found in self._mirror.ride_through:
            left_s = (math.inf if found.seconds is None else found.seconds) if found.known else 0.0
            worst[found.loop] = min(worst.get(found.loop, math.inf), left_s)
        groups = self._site.groups
        return {rack: left_s for loop, left_s in worst.items() if loop in groups for rack in groups[loop].racks}

    def _inputs(self) -> tuple[InputAge, ...]:
        mirror = self._mirror
        ages = {
            "headroom": _age_s((h.at_s for h in mirror.headroom), mirror.now_s),
            "ride_through": _age_s((r.at_s for r in mirror.ride_through), mirror.now_s),
            "forecast": _age_s([mirror.forecast.made_s] if mirror.forecast else [], mirror.now_s),
        }
        return tuple(InputAge(name=name, age_s=age_s) for name, age_s in ages.items())


def _age_s(times_s: Iterable[float], now_s: float) -> float | None:
    """The oldest one's age [s]."""
    oldest = min(times_s, default=None)
    return None if oldest is None else round(max(now_s - oldest, 0.0), 3)

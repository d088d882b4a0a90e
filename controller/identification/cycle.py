"""Identification of all loops of a site in one cycle; a loop that can't be looked at keeps what it knew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from controller import inputs
from controller.design import LoopDesign, loop_design
from controller.heats import Heat
from controller.identification.costs import Running
from controller.identification.findings import changed
from controller.identification.identify import identified
from controller.identification.known import Known
from controller.inputs import FLOW
from controller.model import Load, Setpoints
from plant.errors import ConfigError, StaleError
from plant.live import Snapshot
from plant.topology import CoolingGroup, Site


def known_of_all(
    before: Mapping[str, Known], site: Site, snapshot: Snapshot, heats: Mapping[str, Heat]
) -> dict[str, Known]:
    """What is known of each CDU loop after this cycle; heats: measured now, by group."""
    return {
        g.id: _of_loop(before.get(g.id, Known()), site, snapshot, g, heats[g.id])
        for g in site.groups.values()
        if FLOW not in g.commands
    }


def _of_loop(before: Known, site: Site, snapshot: Snapshot, group: CoolingGroup, heat: Heat) -> Known:
    try:
        design = loop_design(site, group)
        known = identified(before, site, snapshot, group, design)
        if known.at_s == before.at_s or not heat.known:
            return known
        running = _running(site, snapshot, group, design, heat.heat_w)
    except (StaleError, ConfigError):  # both are told by the plan that misses the same reading or figure
        return replace(before, setpoints=())
    return changed(known, running)


def _running(site: Site, snapshot: Snapshot, group: CoolingGroup, design: LoopDesign, heat_w: float) -> Running:
    now = inputs.current_setpoints(site, snapshot, group)
    at = Setpoints.of(np.array([[now[r] for r in inputs.roles(site, group)]]))
    heat_w = max(heat_w, 0.02 * design.liquid_heat_w)
    _, hot_w = inputs.hottest_gpu(site, snapshot, group)
    gpu_w = hot_w if math.isfinite(hot_w) else design.index_rack.gpu_power_w
    air = inputs.outdoor(site, snapshot, group)
    load = Load(heat_w=heat_w, it_w=heat_w * design.rack_power_w / design.liquid_heat_w, gpu_w=gpu_w, air=air)
    return Running(site=site, snapshot=snapshot, group=group, design=design, load=load, at=at)
